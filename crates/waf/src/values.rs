//! All values of a transaction in one piece of memory, each of them once.
//!
//! Names, values, and what transformations make of them are numbers here, so that what was found out about one value
//! holds for every place where it stands: most of what a request carries, it carries several times.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};
use payload::ByteSet;

/// A value by its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ValueId(pub(crate) u32);

impl ValueId {
    /// The value without any byte, which is always there.
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The values of a transaction.
#[derive(Debug)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// A part of a value, kept for its room.
    part: Vec<u8>,
    /// How many values stay.
    staying: usize,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    end: usize,
    hash: u64,
    held: ByteSet,
}

impl Values {
    pub(crate) fn new() -> Self {
        let mut values = Self {
            bytes: Vec::with_capacity(4096),
            entries: Vec::with_capacity(128),
            table: HashTable::with_capacity(128),
            hasher: DefaultHashBuilder::default(),
            part: Vec::new(),
            staying: 0,
        };
        values.intern(b"");
        values.stay();
        values
    }

    /// The values so far are never forgotten.
    pub(crate) fn stay(&mut self) {
        self.staying = self.entries.len();
    }

    /// Forgets all values but those that stay, and keeps their room unless it is large.
    pub(crate) fn clear(&mut self) {
        let end = self.staying.checked_sub(1).and_then(|last| self.entries.get(last)).map_or(0, |last| last.end);
        self.entries.truncate(self.staying);
        self.bytes.truncate(end);
        self.table.clear();
        if self.bytes.capacity() > LARGE {
            self.bytes.shrink_to(LARGE / 16);
            self.entries.shrink_to(LARGE / 1024);
            self.table = HashTable::with_capacity(128);
        }
        let Self { entries, table, .. } = self;
        for (id, entry) in (0..).zip(entries.iter()) {
            table.insert_unique(entry.hash, id, |id| entries.get(*id as usize).map_or(0, |entry| entry.hash));
        }
    }

    /// The number of a value, which is kept if it is new.
    pub(crate) fn intern(&mut self, value: &[u8]) -> ValueId {
        let hash = self.hasher.hash_one(value);
        let is_same =
            |id: &u32| self.entries.get(*id as usize).is_some_and(|entry| bytes_of(&self.bytes, entry) == value);
        if let Some(id) = self.table.find(hash, is_same) {
            return ValueId(*id);
        }
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push(Entry { start, end: self.bytes.len(), hash, held: ByteSet::of(value) });
        let Self { entries, table, .. } = self;
        table.insert_unique(hash, id, |id| entries.get(*id as usize).map_or(0, |entry| entry.hash));
        ValueId(id)
    }

    /// The number of a number as it is written.
    pub(crate) fn intern_number(&mut self, number: u64) -> ValueId {
        match u8::try_from(number) {
            Ok(digit @ 0..=9) => self.intern(&[b'0' + digit]),
            _ => self.intern(number.to_string().as_bytes()),
        }
    }

    /// The number of a part of a value.
    pub(crate) fn intern_part(&mut self, id: ValueId, range: Range<usize>) -> ValueId {
        if range.len() == self.bytes(id).len() {
            return id;
        }
        let mut part = std::mem::take(&mut self.part);
        part.clear();
        part.extend_from_slice(self.bytes(id).get(range).unwrap_or_default());
        let id = self.intern(&part);
        self.part = part;
        id
    }

    /// The number of a text that is nobody's value: it is kept anew each time, and nothing is known of its bytes.
    pub(crate) fn append(&mut self, text: &[u8]) -> ValueId {
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.entries.push(Entry { start, end: self.bytes.len(), hash: 0, held: ByteSet::FULL });
        ValueId(id)
    }

    pub(crate) fn bytes(&self, id: ValueId) -> &[u8] {
        self.entries.get(id.index()).map_or(&[], |entry| bytes_of(&self.bytes, entry))
    }

    /// The bytes that a value holds.
    pub(crate) fn held(&self, id: ValueId) -> &ByteSet {
        self.entries.get(id.index()).map_or(&ByteSet::EMPTY, |entry| &entry.held)
    }

    /// A number that is nearly always another one for another value. It is the same over transactions.
    pub(crate) fn hash(&self, id: ValueId) -> u64 {
        self.entries.get(id.index()).map_or(0, |entry| entry.hash)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Room that is given back rather than kept for the next transaction.
const LARGE: usize = 1 << 20;

fn bytes_of<'a>(bytes: &'a [u8], entry: &Entry) -> &'a [u8] {
    bytes.get(entry.start..entry.end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_number_wherever_it_stands() {
        let mut values = Values::new();
        let a = values.intern(b"a");
        assert_ne!(values.intern(b"b"), a);
        assert_eq!(values.intern(b"a"), a);
        assert_eq!(values.intern(b""), ValueId::EMPTY);
        assert_eq!(values.bytes(a), b"a");
        assert!(values.held(a).contains(b'a'));
    }
}
