//! What every match of an expression has, worked out from its parts.

use crate::ByteSet;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::frequency::{Rarity, set_weight};
use super::needs::{ALPHABETS, Needs};

/// What values of each alphabet need to have for an expression to match. Of one that cannot be read nothing is known.
pub(super) fn needs(pattern: &str) -> [Option<Needs>; ALPHABETS.len()] {
    let parser = ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build().parse(pattern);
    let Ok(hir) = parser else { return ALPHABETS.map(|_| Some(Needs::default())) };
    ALPHABETS.map(|alphabet| {
        let facts = Facts::of(&hir, &alphabet)?;
        let literals = facts.best().cloned();
        Some(Needs::trimmed(literals, facts.sets, facts.length))
    })
}

type Texts = Vec<Vec<u8>>;

/// What is known of a part of an expression. Texts are in small letters.
#[derive(Clone, Debug)]
struct Facts {
    /// All texts that it matches, if they are few.
    exact: Option<Texts>,
    /// Every match begins with one of these, and ends with one of those; nothing is known where one of them is empty.
    start: Texts,
    end: Texts,
    /// Texts of which every match has one, wherever.
    inner: Option<Texts>,
    /// Sets of which every match has a byte.
    sets: Vec<ByteSet>,
    length: usize,
}

impl Facts {
    /// Of a part, for values of an alphabet; nothing where no such value can match it.
    fn of(hir: &Hir, alphabet: &ByteSet) -> Option<Self> {
        match hir.kind() {
            // An end of the value is a text of its own: nothing else stands there.
            HirKind::Look(Look::Start | Look::End) => Some(Self::texts(vec![vec![END]], Vec::new(), 0)),
            HirKind::Empty | HirKind::Look(_) => Some(Self::empty()),
            HirKind::Literal(literal) => {
                let bytes = &literal.0;
                let is_possible = bytes.iter().all(|byte| alphabet.contains(*byte));
                let sets = bytes.iter().map(|byte| ByteSet::new(&[*byte])).collect();
                is_possible.then(|| Self::texts(vec![bytes.to_ascii_lowercase()], sets, bytes.len()))
            }
            HirKind::Class(class) => Self::of_class(class, alphabet),
            HirKind::Repetition(repetition) => Self::of_repetition(repetition, alphabet),
            HirKind::Capture(capture) => Self::of(&capture.sub, alphabet),
            HirKind::Concat(parts) => {
                let mut all = Self::empty();
                for part in parts {
                    all = all.then(Self::of(part, alphabet)?);
                }
                Some(all)
            }
            HirKind::Alternation(branches) => {
                let branches: Vec<Self> = branches.iter().filter_map(|branch| Self::of(branch, alphabet)).collect();
                Self::one_of(&branches)
            }
        }
    }

    fn empty() -> Self {
        Self::texts(vec![Vec::new()], Vec::new(), 0)
    }

    /// Of what is nothing but one of some texts.
    fn texts(exact: Texts, sets: Vec<ByteSet>, length: usize) -> Self {
        Self { start: exact.clone(), end: exact.clone(), exact: Some(exact), inner: None, sets, length }
    }

    /// Of what may be anything of some length.
    fn unknown(sets: Vec<ByteSet>, length: usize) -> Self {
        Self { exact: None, start: vec![Vec::new()], end: vec![Vec::new()], inner: None, sets, length }
    }

    fn of_class(class: &Class, alphabet: &ByteSet) -> Option<Self> {
        let mut set = ByteSet::EMPTY;
        match class {
            Class::Bytes(class) => {
                for range in class.ranges() {
                    set = set.or(ByteSet::EMPTY.with_range(range.start(), range.end()));
                }
            }
            // Of ASCII alone, as nothing else is read without Unicode.
            Class::Unicode(class) => {
                for range in class.ranges() {
                    let (Ok(start), Ok(end)) = (u8::try_from(range.start()), u8::try_from(range.end())) else {
                        return Some(Self::unknown(Vec::new(), 1));
                    };
                    set = set.or(ByteSet::EMPTY.with_range(start, end));
                }
            }
        }
        let set = set.and(*alphabet);
        if set.is_empty() {
            return None;
        }
        let mut bytes: Vec<u8> = set.iter().map(|byte| byte.to_ascii_lowercase()).collect();
        bytes.sort_unstable();
        bytes.dedup();
        if bytes.len() > SMALL_CLASS {
            return Some(Self::unknown(vec![set], 1));
        }
        Some(Self::texts(bytes.into_iter().map(|byte| vec![byte]).collect(), vec![set], 1))
    }

    fn of_repetition(repetition: &Repetition, alphabet: &ByteSet) -> Option<Self> {
        let inner = match Self::of(&repetition.sub, alphabet) {
            Some(inner) => inner,
            None if repetition.min == 0 => return Some(Self::empty()),
            None => return None,
        };
        let least = repetition.min as usize;
        if repetition.min == 0 && repetition.max == Some(1) {
            return Self::one_of(&[Self::empty(), inner]);
        }
        if repetition.min == 0 {
            return Some(Self::unknown(Vec::new(), 0));
        }
        let copies = least.min(COPIES);
        let mut row = inner.clone();
        for _ in 1..copies {
            row = row.then(inner.clone());
        }
        row.length = inner.length.saturating_mul(least);
        if repetition.max == Some(repetition.min) && least == copies {
            return Some(row);
        }
        // So many copies are there, at the beginning and at the end; between them may be more.
        row.inner = row.best().cloned();
        row.exact = None;
        Some(row)
    }

    /// One part behind another.
    fn then(self, next: Self) -> Self {
        let exact = self.exact.as_ref().zip(next.exact.as_ref()).and_then(|(one, other)| product(one, other));
        let joint = product(&self.end, &next.start);
        let mut inner = self.inner;
        for texts in [next.inner.as_ref(), joint.as_ref(), Some(&self.end), Some(&next.start)].into_iter().flatten() {
            inner = rarer(inner, texts);
        }
        let start = self.exact.as_ref().and_then(|exact| product(exact, &next.start)).unwrap_or(self.start);
        let end = next.exact.as_ref().and_then(|exact| product(&self.end, exact)).unwrap_or(next.end);
        let mut sets = self.sets;
        sets.extend(next.sets);
        Self { exact, start, end, inner, sets, length: self.length.saturating_add(next.length) }
    }

    /// Any of some branches.
    fn one_of(branches: &[Self]) -> Option<Self> {
        let length = branches.iter().map(|branch| branch.length).min()?;
        let exact = union(branches.iter().map(|branch| branch.exact.as_ref()), MANY);
        let inner = union(branches.iter().map(|branch| branch.best()), VERY_MANY);
        let start = ends(branches.iter().map(|branch| &branch.start), |text, length| text.get(..length));
        let end = ends(branches.iter().map(|branch| &branch.end), |text, length| {
            text.get(text.len().saturating_sub(length)..)
        });
        // Each branch gives its rarest set; together they are one.
        let rarest = |branch: &Self| branch.sets.iter().min_by_key(|set| set_weight(set)).copied();
        let together = branches.iter().map(rarest).try_fold(ByteSet::EMPTY, |all, set| set.map(|set| all.or(set)));
        Some(Self { exact, start, end, inner, sets: together.into_iter().collect(), length })
    }

    /// The texts that tell most.
    fn best(&self) -> Option<&Texts> {
        let known = [self.exact.as_ref(), self.inner.as_ref(), Some(&self.start), Some(&self.end)];
        let known = known.into_iter().flatten().filter(|texts| is_told(texts));
        known.min_by(|one, other| Rarity::of(one).partial_cmp(&Rarity::of(other)).unwrap_or(std::cmp::Ordering::Equal))
    }
}

/// Whether every match has some text.
fn is_told(texts: &[Vec<u8>]) -> bool {
    texts.iter().all(|text| !text.is_empty())
}

fn rarer(old: Option<Texts>, new: &Texts) -> Option<Texts> {
    if !is_told(new) || old.as_ref().is_some_and(|old| Rarity::of(old) <= Rarity::of(new)) {
        return old;
    }
    Some(new.clone())
}

/// All texts of some branches, if each branch has some and they are few.
fn union<'a>(branches: impl Iterator<Item = Option<&'a Texts>>, limit: usize) -> Option<Texts> {
    let mut all: Texts = Vec::new();
    for texts in branches {
        all.extend(texts?.iter().cloned());
        if all.len() > limit * 4 {
            return None;
        }
    }
    all.sort_unstable();
    all.dedup();
    (all.len() <= limit).then_some(all)
}

/// Beginnings or ends of all branches, cut off as far as it takes to have few of them.
fn ends<'a>(branches: impl Iterator<Item = &'a Texts>, cut: impl Fn(&[u8], usize) -> Option<&[u8]>) -> Texts {
    let mut all: Texts = branches.flatten().cloned().collect();
    for length in [LONG, 4, 3, 2, 1] {
        for text in &mut all {
            if let Some(shorter) = cut(text, length) {
                *text = shorter.to_vec();
            }
        }
        all.sort_unstable();
        all.dedup();
        if all.len() <= MANY {
            return all;
        }
    }
    vec![Vec::new()]
}

/// Each text of the first with each of the second behind it, if they stay few and short.
fn product(first: &Texts, second: &Texts) -> Option<Texts> {
    if first.len().saturating_mul(second.len()) > MANY {
        return None;
    }
    let longest = |texts: &Texts| texts.iter().map(Vec::len).max().unwrap_or(0);
    if longest(first) + longest(second) > LONG {
        return None;
    }
    let mut all: Texts = first.iter().flat_map(|start| second.iter().map(move |end| joined(start, end))).collect();
    all.sort_unstable();
    all.dedup();
    Some(all)
}

/// One text behind another. The end of a value, asked for twice, is still one.
fn joined(start: &[u8], end: &[u8]) -> Vec<u8> {
    let end = match (start, end) {
        ([.., END], [END, rest @ ..]) => rest,
        _ => end,
    };
    [start, end].concat()
}

/// Stands for either end of a value. A zero byte that an expression really has says the same, which is less than it could.
pub(super) const END: u8 = 0;

const SMALL_CLASS: usize = 12;
const COPIES: usize = 4;
const MANY: usize = 96;
const VERY_MANY: usize = 1536;
const LONG: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(pattern: &str, alphabet: usize) -> Option<Vec<String>> {
        let needs = needs(pattern);
        let literals = needs[alphabet].clone()?.literals?;
        Some(literals.into_iter().map(|literal| String::from_utf8(literal).unwrap()).collect())
    }

    fn every(pattern: &str) -> Option<Vec<String>> {
        literals(pattern, ALPHABETS.len() - 1)
    }

    #[test]
    fn literals_are_those_that_every_match_has() {
        for (pattern, expected) in [
            ("union.*select", Some(vec!["select"])),
            ("(?i)Union", Some(vec!["union"])),
            ("a(?:bc|de)f", Some(vec!["abcf", "adef"])),
            ("x?abc", Some(vec!["abc"])),
            ("(?:abc)+d", Some(vec!["abcd"])),
            ("(?:abc)*", None),
            ("abc|.", None),
            ("[a-z]+", None),
            ("^[0-9a-z]ls$", Some(vec!["ls\0"])),
            ("(?:^|;)ls", Some(vec!["\0ls", ";ls"])),
            ("^^ls", Some(vec!["\0ls"])),
            (r"\.{2,3}[/;]", Some(vec!["../", "..;"])),
            (r"c[0-9A-Z_]*\(select", Some(vec!["(select"])),
        ] {
            let expected = expected.map(|texts| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(every(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn what_an_alphabet_does_not_have_falls_away() {
        let pattern = r#"w["'\\]*h["'\\]*o["'\\]*(?:a["'\\]*m|i["'\\]*s)|[;|]\s*ls"#;
        assert_eq!(literals(pattern, 0), Some(vec!["whoam".to_owned(), "whois".to_owned()]));
        assert_eq!(needs("<[a-z]+>")[0], None);
    }

    #[test]
    fn a_match_has_a_byte_of_each_set_and_a_length() {
        let [.., needs] = needs("[<>]script[0-9]{2,}");
        let needs = needs.unwrap();
        assert_eq!(needs.length, 9);
        assert_eq!(needs.sets.first(), Some(&ByteSet::new(b"<>")));
    }
}
