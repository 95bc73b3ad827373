//! What is different between two documents, in what they mean and not in how they are written.
//!
//! The order of lists counts and the order of maps does not; what is left out equals its default. Secrets are shown as
//! the references that gave them.

use std::fmt;

use problem::Pointer;
use serde_json::{Map, Value, json};

use crate::Document;
use crate::read::Source;

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where it is: in the new document, or in the old one if something is gone.
    pub at: Pointer,
    /// What it is.
    pub what: What,
}

/// What is different. Values are fit to be shown: as they were written, references unresolved.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// There was nothing.
    Added(Value),
    /// There is nothing any more.
    Removed(Value),
    /// There was something else.
    Changed(Value, Value),
    /// It is written as before, and its reference gives something else than before.
    Resolved(Value),
}

/// Everything that is different in `new`.
pub fn diff(old: (&Document, &Source), new: (&Document, &Source)) -> Vec<Change> {
    let mut comparison = Comparison { old: old.1, new: new.1, changes: Vec::new() };
    // A document consists of maps with text keys, texts and numbers; writing it as JSON cannot fail.
    let value = |document: &Document| serde_json::to_value(document).unwrap_or_default();
    let root = Pointer::default();
    comparison.values(Side { at: &root, value: &value(old.0) }, Side { at: &root, value: &value(new.0) });
    comparison.changes
}

impl Change {
    /// The change for machines.
    pub fn as_json(&self) -> Value {
        let pointer = self.at.as_str();
        match &self.what {
            What::Added(new) => json!({ "pointer": pointer, "change": "added", "new": new }),
            What::Removed(old) => json!({ "pointer": pointer, "change": "removed", "old": old }),
            What::Changed(old, new) => json!({ "pointer": pointer, "change": "changed", "old": old, "new": new }),
            What::Resolved(written) => json!({ "pointer": pointer, "change": "resolved", "reference": written }),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.at;
        match &self.what {
            What::Added(new) => write!(f, "+ {at}: {new}"),
            What::Removed(old) => write!(f, "- {at}: {old}"),
            What::Changed(old, new) => write!(f, "~ {at}: {old} is now {new}"),
            What::Resolved(written) => write!(f, "~ {at}: {written} stands for something else now"),
        }
    }
}

/// A value of one of the documents, and where it stands there.
#[derive(Clone, Copy)]
struct Side<'a> {
    at: &'a Pointer,
    value: &'a Value,
}

struct Comparison<'a> {
    old: &'a Source,
    new: &'a Source,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn values(&mut self, old: Side<'_>, new: Side<'_>) {
        if old.value == new.value {
            return;
        }
        match (old.value, new.value) {
            (Value::Object(before), Value::Object(after)) => self.maps((old.at, before), (new.at, after)),
            (Value::Array(before), Value::Array(after)) => self.lists((old.at, before), (new.at, after)),
            (_, Value::Null) => self.removed(old),
            (Value::Null, _) => self.added(new),
            _ => self.changed(old, new),
        }
    }

    fn maps(&mut self, old: (&Pointer, &Map<String, Value>), new: (&Pointer, &Map<String, Value>)) {
        for (key, before) in old.1 {
            let after = new.1.get(key).unwrap_or(&Value::Null);
            let (old_at, new_at) = (old.0.at(key), new.0.at(key));
            self.values(Side { at: &old_at, value: before }, Side { at: &new_at, value: after });
        }
        for (key, after) in new.1.iter().filter(|(key, _)| !old.1.contains_key(*key)) {
            let at = new.0.at(key);
            self.values(Side { at: &at, value: &Value::Null }, Side { at: &at, value: after });
        }
    }

    /// What stands in both lists, in the same order, is the same. Between two such entries, those that are alike are
    /// compared, and all others are gone or new.
    fn lists(&mut self, old: (&Pointer, &[Value]), new: (&Pointer, &[Value])) {
        let mut common = common(old.1, new.1);
        common.push((old.1.len(), new.1.len()));
        let (mut old_from, mut new_from) = (0, 0);
        for (old_to, new_to) in common {
            let mut rest: Vec<_> = (new_from..new_to).filter_map(|index| Some((index, new.1.get(index)?))).collect();
            for (index, before) in old.1.iter().enumerate().take(old_to).skip(old_from) {
                let old_at = old.0.at(index);
                let before = Side { at: &old_at, value: before };
                match rest.iter().position(|(_, after)| is_alike(before.value, after)) {
                    None => self.removed(before),
                    Some(position) => {
                        self.all_added(new.0, rest.drain(..position));
                        let (index, after) = rest.remove(0);
                        self.values(before, Side { at: &new.0.at(index), value: after });
                    }
                }
            }
            self.all_added(new.0, rest.into_iter());
            (old_from, new_from) = (old_to + 1, new_to + 1);
        }
    }

    fn all_added<'v>(&mut self, at: &Pointer, values: impl Iterator<Item = (usize, &'v Value)>) {
        for (index, value) in values {
            self.added(Side { at: &at.at(index), value });
        }
    }

    fn added(&mut self, new: Side<'_>) {
        self.push(new.at, What::Added(shown(new, self.new)));
    }

    fn removed(&mut self, old: Side<'_>) {
        self.push(old.at, What::Removed(shown(old, self.old)));
    }

    fn changed(&mut self, old: Side<'_>, new: Side<'_>) {
        let (before, after) = (shown(old, self.old), shown(new, self.new));
        let what = if before == after { What::Resolved(after) } else { What::Changed(before, after) };
        self.push(new.at, what);
    }

    fn push(&mut self, at: &Pointer, what: What) {
        self.changes.push(Change { at: at.clone(), what });
    }
}

/// A value as it was written, or as it is by default.
fn shown(side: Side<'_>, source: &Source) -> Value {
    source.written(side.at).unwrap_or_else(|| side.value.clone())
}

/// Whether two values are versions of one thing: maps that have the same first key, which is what names a policy.
fn is_alike(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.is_empty() || new.is_empty() || old.keys().next() == new.keys().next()
        }
        _ => false,
    }
}

/// The places in both lists of entries that stand in both, as many as possible without changing their order.
fn common(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let same = |(old, new): &(&Value, &Value)| old == new;
    let leading = old.iter().zip(new).take_while(same).count();
    let (old_rest, new_rest) = (old.get(leading..).unwrap_or_default(), new.get(leading..).unwrap_or_default());
    let trailing = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(same).count();
    let (old_end, new_end) = (old.len() - trailing, new.len() - trailing);

    let mut places: Vec<_> = (0..leading).map(|index| (index, index)).collect();
    let (old_middle, new_middle) = (old_end - leading, new_end - leading);
    if old_middle * new_middle <= MAX_COMPARED {
        // lengths[i][j]: how many entries the middles from i and from j on have in common.
        let mut lengths = vec![vec![0_usize; new_middle + 1]; old_middle + 1];
        let length = |lengths: &[Vec<usize>], i: usize, j: usize| {
            lengths.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0)
        };
        let is_same = |i: usize, j: usize| old.get(leading + i) == new.get(leading + j);
        for i in (0..old_middle).rev() {
            for j in (0..new_middle).rev() {
                let longest = if is_same(i, j) {
                    length(&lengths, i + 1, j + 1) + 1
                } else {
                    length(&lengths, i + 1, j).max(length(&lengths, i, j + 1))
                };
                if let Some(place) = lengths.get_mut(i).and_then(|row| row.get_mut(j)) {
                    *place = longest;
                }
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < old_middle && j < new_middle {
            if is_same(i, j) {
                places.push((leading + i, leading + j));
                (i, j) = (i + 1, j + 1);
            } else if length(&lengths, i + 1, j) >= length(&lengths, i, j + 1) {
                i += 1;
            } else {
                j += 1;
            }
        }
    }
    places.extend((0..trailing).map(|index| (old_end + index, new_end + index)));
    places
}

/// Longer lists are compared by their beginnings and ends only.
const MAX_COMPARED: usize = 1_000_000;
