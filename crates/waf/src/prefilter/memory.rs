//! What was found out about values that come again and again, over many transactions of a worker: agents, languages,
//! names of arguments.
//!
//! It holds for bytes alone, so that it can be wrong for no request. A value is kept when it comes a second time; the room
//! for values is bounded, and those that did not come for long give way.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::sieve::Detected;
use payload::candidates::Row;

/// Values of earlier transactions.
#[derive(Debug)]
pub(super) struct Memory {
    young: Generation,
    old: Generation,
    /// By hash: whether a value came once.
    seen: Vec<u64>,
    marked: usize,
}

/// What was found out about a value.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) candidates: SmallVec<[Row; 1]>,
    pub(super) detected: Detected,
    /// Whether texts were looked for in it.
    pub(super) searched: bool,
}

#[derive(Debug, Default)]
struct Generation {
    values: HashTable<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    value: Box<[u8]>,
    known: Known,
}

impl Default for Memory {
    fn default() -> Self {
        Self { young: Generation::default(), old: Generation::default(), seen: vec![0; SEEN / 64], marked: 0 }
    }
}

impl Memory {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        for generation in [&mut self.young, &mut self.old] {
            generation.values.clear();
            generation.bytes = 0;
        }
        self.unmark();
    }

    fn unmark(&mut self) {
        self.seen.fill(0);
        self.marked = 0;
    }

    /// What is known of a value.
    pub(super) fn recall(&mut self, hash: u64, value: &[u8]) -> Option<&Known> {
        if self.young.find(hash, value).is_none() {
            // It is in use: it stays for another generation.
            let known = self.old.take(hash, value)?;
            self.keep(hash, value, known);
        }
        self.young.find(hash, value)
    }

    /// Keeps what was found out about a value, if it is not the first time that it comes.
    pub(super) fn learn(&mut self, hash: u64, value: &[u8], known: impl FnOnce() -> Known) {
        if value.len() > LONGEST {
            return;
        }
        if let Some(entry) = self.young.find_mut(hash, value) {
            *entry = known();
        } else if self.is_second(hash) {
            self.keep(hash, value, known());
        }
    }

    /// Marks a value, and says whether it was marked already.
    fn is_second(&mut self, hash: u64) -> bool {
        if self.marked > SEEN / 4 {
            self.unmark();
        }
        let bit = usize::try_from(hash >> 32).unwrap_or_default() % SEEN;
        let Some(word) = self.seen.get_mut(bit / 64) else { return false };
        let was = *word >> (bit % 64) & 1 == 1;
        *word |= 1 << (bit % 64);
        self.marked += usize::from(!was);
        was
    }

    fn keep(&mut self, hash: u64, value: &[u8], known: Known) {
        if self.young.values.len() >= MOST || self.young.bytes + value.len() > ROOM {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += value.len();
        let entry = Entry { hash, value: value.into(), known };
        self.young.values.insert_unique(hash, entry, |entry| entry.hash);
    }
}

impl Generation {
    fn find(&self, hash: u64, value: &[u8]) -> Option<&Known> {
        self.values.find(hash, |entry| *entry.value == *value).map(|entry| &entry.known)
    }

    fn find_mut(&mut self, hash: u64, value: &[u8]) -> Option<&mut Known> {
        self.values.find_mut(hash, |entry| *entry.value == *value).map(|entry| &mut entry.known)
    }

    fn take(&mut self, hash: u64, value: &[u8]) -> Option<Known> {
        let entry = self.values.find_entry(hash, |entry| *entry.value == *value).ok()?;
        let (entry, _) = entry.remove();
        self.bytes = self.bytes.saturating_sub(entry.value.len());
        Some(entry.known)
    }
}

/// How many values a generation has, and how many bytes they have together.
const MOST: usize = 2048;
const ROOM: usize = 256 * 1024;
/// Longer values are not kept: they hardly come again.
const LONGEST: usize = 512;
/// How many marks there are for values that came once.
const SEEN: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn known(bit: u64) -> Known {
        Known { candidates: SmallVec::from_elem([bit; 8], 1), detected: Detected::default(), searched: true }
    }

    fn hash(number: u64) -> u64 {
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn a_value_is_kept_when_it_comes_again() {
        let mut memory = Memory::default();
        memory.learn(1 << 40, b"value", || known(1));
        assert!(memory.recall(1 << 40, b"value").is_none());
        memory.learn(1 << 40, b"value", || known(2));
        assert_eq!(memory.recall(1 << 40, b"value").unwrap().candidates[0][0], 2);
        assert!(memory.recall(1 << 40, b"other").is_none(), "a hash is not a value");
    }

    #[test]
    fn what_is_in_use_stays_and_the_rest_gives_way() {
        let mut memory = Memory::default();
        let learn = |memory: &mut Memory, number: u64| {
            let value = number.to_be_bytes();
            memory.learn(hash(number), &value, || known(number));
            memory.learn(hash(number), &value, || known(number));
        };
        learn(&mut memory, 0);
        for number in 1..10_000 {
            learn(&mut memory, number);
            assert!(memory.recall(hash(0), &0_u64.to_be_bytes()).is_some(), "after {number}");
        }
        assert!(memory.recall(hash(1), &1_u64.to_be_bytes()).is_none());
        assert!(memory.young.values.len() <= MOST && memory.old.values.len() <= MOST);
    }

    #[test]
    fn long_values_are_not_kept() {
        let mut memory = Memory::default();
        let value = vec![b'a'; LONGEST + 1];
        memory.learn(7, &value, || known(1));
        memory.learn(7, &value, || known(1));
        assert!(memory.recall(7, &value).is_none());
    }
}
