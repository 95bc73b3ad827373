//! How a value changed since the store was last told of it.

use std::collections::BTreeMap;

use store::{Remembered, UnixMicros};
use waf::Difference;

/// Everything that happened to a value, however often it changed: with a store that is away for long, and a client that
/// asks a thousand times a second, no more waits than this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    begins: Begins,
    /// When what was there before is gone, if it was there.
    renewed: Option<UnixMicros>,
    /// What was added then.
    added: Option<Sum>,
    /// When what was set, or the sum, is gone.
    expires: Option<UnixMicros>,
}

/// What a value went on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Begins {
    /// Whatever it was.
    #[default]
    AsItWas,
    /// It was gone.
    Gone,
    /// It was set; when it is gone stayed as it was.
    With(String),
    /// It was gone, and was set.
    Anew(String),
}

/// Numbers added one after another, none of which took the value below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    by: i64,
    /// What comes of it at least, whatever there was.
    least: i64,
}

/// What waits, by the names of values.
pub(super) type Changes = BTreeMap<String, Change>;

/// Changes a value as a rule did, on top of what waits.
pub(super) fn note(waiting: &mut Changes, difference: &Difference, now: UnixMicros) {
    let (name, change) = of(difference);
    let before = waiting.remove(&name).unwrap_or_default();
    waiting.insert(name, before.then(change, now));
}

/// What waits, and then what came after it.
pub(super) fn joined(mut before: Changes, after: Changes, now: UnixMicros) -> Changes {
    for (name, change) in after {
        let earlier = before.remove(&name).unwrap_or_default();
        before.insert(name, earlier.then(change, now));
    }
    before
}

/// Changes values.
pub(super) fn apply(values: &mut BTreeMap<String, Remembered>, changes: &Changes, now: UnixMicros) {
    for (name, change) in changes {
        if let Some(value) = change.applied_to(values.remove(name), now) {
            values.insert(name.clone(), value);
        }
    }
}

/// Changes values as a rule did.
pub(super) fn apply_one(values: &mut BTreeMap<String, Remembered>, difference: &Difference, now: UnixMicros) {
    let (name, change) = of(difference);
    if let Some(value) = change.applied_to(values.remove(&name), now) {
        values.insert(name, value);
    }
}

/// The name of a value, and how it changed.
fn of(difference: &Difference) -> (String, Change) {
    let (name, change) = match difference {
        Difference::Set { name, value } => (name, Change { begins: Begins::With(text(value)), ..Change::default() }),
        Difference::Unset { name } => (name, Change { begins: Begins::Gone, ..Change::default() }),
        Difference::Added { name, by } => {
            (name, Change { added: Some(Sum { by: *by, least: 0 }), ..Change::default() })
        }
        Difference::Expires { name, at } => {
            let at = UnixMicros(at.saturating_mul(1_000_000));
            (name, Change { renewed: Some(at), ..Change::default() })
        }
    };
    (text(name), change)
}

impl Change {
    /// This one, and then another.
    fn then(self, next: Self, now: UnixMicros) -> Self {
        let is_over = self.expires.or(self.renewed).is_some_and(|at| at <= now);
        match next.begins {
            Begins::Gone | Begins::Anew(_) => next,
            // What is over does not go on.
            Begins::AsItWas if is_over => Self { begins: Begins::Gone, ..next },
            Begins::With(value) if is_over => Self { begins: Begins::Anew(value), renewed: None, ..next },
            Begins::AsItWas => self.and(&next),
            Begins::With(value) => self.set(value, next.renewed, next.expires, next.added),
        }
    }

    /// This one, and then one that goes on from it.
    fn and(self, next: &Self) -> Self {
        if !self.leaves_something() {
            let renewed = next.renewed.or(self.renewed);
            return Self { begins: self.begins, renewed, added: next.added, expires: next.expires };
        }
        let added = match (self.added, next.added) {
            (Some(sum), Some(more)) => Some(sum.then(more)),
            (sum, more) => sum.or(more),
        };
        Self { added, expires: next.expires.or(next.renewed).or(self.expires), ..self }
    }

    /// Whether there is a value afterwards, whatever there was.
    fn leaves_something(&self) -> bool {
        self.added.is_some() || matches!(self.begins, Begins::With(_) | Begins::Anew(_))
    }

    /// This one, and then a value that is set in its place and goes when it would have gone.
    fn set(self, value: String, renewed: Option<UnixMicros>, expires: Option<UnixMicros>, added: Option<Sum>) -> Self {
        let is_there = self.leaves_something();
        let begins = match self.begins {
            Begins::AsItWas | Begins::With(_) => Begins::With(value),
            Begins::Gone | Begins::Anew(_) => Begins::Anew(value),
        };
        if is_there {
            Self { begins, renewed: self.renewed, expires: expires.or(renewed).or(self.expires), added }
        } else {
            Self { begins, renewed: renewed.or(self.renewed), expires, added }
        }
    }

    /// What becomes of a value.
    fn applied_to(&self, old: Option<Remembered>, now: UnixMicros) -> Option<Remembered> {
        let old = old.filter(|old| old.expires.is_none_or(|expires| expires > now));
        let goes = old.as_ref().and_then(|old| self.renewed.or(old.expires));
        let set = |value: &String, expires| Remembered { value: value.clone(), expires, changed: now };
        let value = match &self.begins {
            Begins::AsItWas => old.map(|old| Remembered { expires: goes, ..old }),
            Begins::Gone => None,
            Begins::With(value) => Some(set(value, self.expires.or(goes))),
            Begins::Anew(value) => Some(set(value, self.expires)),
        };
        let Some(sum) = self.added else { return value };
        let number = value.as_ref().and_then(|value| value.value.parse().ok()).unwrap_or(0);
        let expires = self.expires.or(value.and_then(|value| value.expires));
        Some(Remembered { value: sum.with(number).to_string(), expires, changed: now })
    }
}

/// A name or a value as the store keeps it. What is no text is written byte by byte, behind a sign that texts hardly begin with.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(BYTES) => text.to_owned(),
        _ => std::iter::once(BYTES).chain(bytes.iter().copied().map(char::from)).collect(),
    }
}

/// What was written so.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix(BYTES) {
        Some(bytes) => bytes.chars().map(|byte| u8::try_from(byte).unwrap_or(b'?')).collect(),
        None => text.as_bytes().to_vec(),
    }
}

/// What stands before bytes that are no text.
const BYTES: char = char::REPLACEMENT_CHARACTER;

impl Sum {
    fn then(self, next: Self) -> Self {
        Self { by: self.by.saturating_add(next.by), least: self.least.saturating_add(next.by).max(next.least) }
    }

    fn with(self, number: i64) -> i64 {
        number.saturating_add(self.by).max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMicros = UnixMicros(10_000_000);

    fn difference() -> impl Strategy<Value = Difference> {
        let name = || prop_oneof![Just(b"a".to_vec()), Just(b"b".to_vec())];
        prop_oneof![
            (name(), "[0-9x]{0,2}").prop_map(|(name, value)| Difference::Set { name, value: value.into_bytes() }),
            (name(), -5_i64..9).prop_map(|(name, by)| Difference::Added { name, by }),
            name().prop_map(|name| Difference::Unset { name }),
            (name(), 9_u64..13).prop_map(|(name, at)| Difference::Expires { name, at }),
        ]
    }

    fn remembered(value: &str, expires: Option<u64>) -> BTreeMap<String, Remembered> {
        let expires = expires.map(|at| UnixMicros(at * 1_000_000));
        [("a".to_owned(), Remembered { value: value.to_owned(), expires, changed: NOW })].into()
    }

    proptest! {
        #[test]
        fn whatever_rules_keep_comes_back_as_it_was(kept: Vec<u8>, word in "\\PC{0,4}") {
            prop_assert_eq!(bytes(&text(&kept)), kept);
            let marked = format!("\u{fffd}{word}");
            prop_assert_eq!(bytes(&text(marked.as_bytes())), marked.as_bytes());
        }

        #[test]
        fn what_waits_does_what_each_of_its_differences_did(
            differences in proptest::collection::vec(difference(), 0..12),
            cut in 0_usize..12,
            value in "[0-9]{1,2}",
            expires in proptest::option::of(9_u64..13),
        ) {
            let mut one_by_one = remembered(&value, expires);
            for difference in &differences {
                apply_one(&mut one_by_one, difference, NOW);
            }
            let (first, rest) = differences.split_at(cut.min(differences.len()));
            let noted = |differences: &[Difference]| {
                let mut waiting = Changes::new();
                for difference in differences {
                    note(&mut waiting, difference, NOW);
                }
                waiting
            };
            let mut together = remembered(&value, expires);
            apply(&mut together, &joined(noted(first), noted(rest), NOW), NOW);
            // A value that is over is as good as none.
            let alive = |values: BTreeMap<String, Remembered>| {
                let is_alive = |value: &Remembered| value.expires.is_none_or(|at| at > NOW);
                values.into_iter().filter(|(_, value)| is_alive(value)).collect::<BTreeMap<_, _>>()
            };
            prop_assert_eq!(alive(together), alive(one_by_one));
        }
    }

    #[test]
    fn a_thousand_changes_wait_as_one() {
        let mut waiting = Changes::new();
        for _ in 0..1000 {
            note(&mut waiting, &Difference::Added { name: b"seen".to_vec(), by: 1 }, NOW);
            note(&mut waiting, &Difference::Expires { name: b"seen".to_vec(), at: 60 }, NOW);
        }
        let mut values = BTreeMap::new();
        apply(&mut values, &waiting, NOW);
        assert_eq!((waiting.len(), values["seen"].value.as_str()), (1, "1000"));
    }
}
