//! All values of a transaction in one piece of memory, each of them once.
//!
//! Names, values, and what transformations make of them are numbers here, so that what was found out about one value
//! holds for every place where it stands: most of what a request carries, it carries several times.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

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
    fixed: Arc<Fixed>,
    own: Heap,
    /// A part of a value, kept for its room.
    part: Vec<u8>,
}

/// Values that all transactions of a rule set have from the beginning on, and share.
#[derive(Debug)]
pub(crate) struct Fixed {
    heap: Heap,
    hasher: DefaultHashBuilder,
}

/// Values one after another, each once.
#[derive(Debug)]
struct Heap {
    /// The number of the first one.
    first: u32,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    end: usize,
    hash: u64,
    held: ByteSet,
}

impl Fixed {
    pub(crate) fn new() -> Self {
        let mut fixed = Self { heap: Heap::new(0, 1024), hasher: DefaultHashBuilder::default() };
        fixed.intern(b"");
        fixed
    }

    /// The number of a value, which is taken in if it is new.
    pub(crate) fn intern(&mut self, value: &[u8]) -> ValueId {
        let hash = self.hasher.hash_one(value);
        self.heap.find(hash, value).unwrap_or_else(|| self.heap.add(hash, value))
    }

    pub(crate) fn bytes(&self, id: ValueId) -> &[u8] {
        self.heap.bytes(id)
    }
}

impl Heap {
    fn new(first: u32, room: usize) -> Self {
        let (bytes, entries) = (Vec::with_capacity(room * 32), Vec::with_capacity(room));
        Self { first, bytes, entries, table: HashTable::with_capacity(room) }
    }

    fn find(&self, hash: u64, value: &[u8]) -> Option<ValueId> {
        let found = self.table.find(hash, |id| {
            self.entry(ValueId(*id)).is_some_and(|entry| entry.hash == hash && self.bytes_of(entry) == value)
        });
        found.map(|id| ValueId(*id))
    }

    fn add(&mut self, hash: u64, value: &[u8]) -> ValueId {
        let id = self.append(hash, value, ByteSet::of(value));
        let Self { first, entries, table, .. } = self;
        let hash_of = |id: &u32| entries.get(id.wrapping_sub(*first) as usize).map_or(0, |entry| entry.hash);
        table.insert_unique(hash, id.0, hash_of);
        id
    }

    /// Adds a value that nobody looks for.
    fn append(&mut self, hash: u64, value: &[u8], held: ByteSet) -> ValueId {
        let id = self.first.saturating_add(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push(Entry { start, end: self.bytes.len(), hash, held });
        ValueId(id)
    }

    /// Forgets all of them, and keeps their room unless it is large.
    fn clear(&mut self) {
        if self.bytes.capacity() > LARGE || self.entries.capacity() > LARGE / 64 {
            *self = Self::new(self.first, ROOM);
            return;
        }
        self.bytes.clear();
        self.entries.clear();
        self.table.clear();
    }

    fn entry(&self, id: ValueId) -> Option<&Entry> {
        self.entries.get(id.0.wrapping_sub(self.first) as usize)
    }

    fn bytes(&self, id: ValueId) -> &[u8] {
        self.entry(id).map_or(&[], |entry| self.bytes_of(entry))
    }

    fn bytes_of(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.start..entry.end).unwrap_or_default()
    }
}

impl Values {
    pub(crate) fn new(fixed: Arc<Fixed>) -> Self {
        let first = u32::try_from(fixed.heap.entries.len()).unwrap_or(u32::MAX);
        Self { fixed, own: Heap::new(first, ROOM), part: Vec::new() }
    }

    /// Forgets all values but those that are fixed, and keeps their room unless it is large.
    pub(crate) fn clear(&mut self) {
        self.own.clear();
    }

    /// The number of a value, which is kept if it is new.
    pub(crate) fn intern(&mut self, value: &[u8]) -> ValueId {
        let hash = self.fixed.hasher.hash_one(value);
        let found = self.own.find(hash, value).or_else(|| self.fixed.heap.find(hash, value));
        found.unwrap_or_else(|| self.own.add(hash, value))
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
        self.own.append(0, text, ByteSet::FULL)
    }

    pub(crate) fn bytes(&self, id: ValueId) -> &[u8] {
        self.heap(id).bytes(id)
    }

    /// Whether it is among the values that rules have from the beginning on.
    pub(crate) fn is_fixed(&self, id: ValueId) -> bool {
        id.0 < self.own.first
    }

    /// The bytes that a value holds.
    pub(crate) fn held(&self, id: ValueId) -> &ByteSet {
        self.heap(id).entry(id).map_or(&ByteSet::EMPTY, |entry| &entry.held)
    }

    /// A number that is nearly always another one for another value. It is the same over transactions.
    pub(crate) fn hash(&self, id: ValueId) -> u64 {
        self.heap(id).entry(id).map_or(0, |entry| entry.hash)
    }

    /// One more than the largest number.
    pub(crate) fn len(&self) -> usize {
        self.own.first as usize + self.own.entries.len()
    }

    fn heap(&self, id: ValueId) -> &Heap {
        if self.is_fixed(id) { &self.fixed.heap } else { &self.own }
    }
}

/// For so many values there is room from the beginning on.
const ROOM: usize = 128;
/// Room that is given back rather than kept for the next transaction.
const LARGE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_number_wherever_it_stands() {
        let mut fixed = Fixed::new();
        let f = fixed.intern(b"f");
        let mut values = Values::new(Arc::new(fixed));
        let a = values.intern(b"a");
        assert_eq!(values.intern(b"f"), f);
        assert_eq!(values.bytes(f), b"f");
        assert_ne!(values.intern(b"b"), a);
        assert_eq!(values.intern(b"a"), a);
        assert_eq!(values.intern(b""), ValueId::EMPTY);
        assert_eq!(values.bytes(a), b"a");
        assert!(values.held(a).contains(b'a'));
    }
}
