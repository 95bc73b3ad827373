//! What was found out about values that come again and again, over many transactions of a worker: agents, languages,
//! names of arguments.
//!
//! It holds for bytes alone, so that it can be wrong for no request. What is known of a value is kept when it comes a second
//! time; there is room for so many, and those that did not come for long give way. The values themselves are not kept, for
//! sessions and passwords are among them: a value is known by two numbers of 64 bits, one of them by `SipHash` with a secret
//! key, so that nobody can make another one that is taken for it.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::scan::Row;

/// Values of earlier transactions.
#[derive(Debug)]
pub struct Memory {
    young: Generation,
    old: Generation,
    /// By hash: whether a value came once.
    seen: Vec<u64>,
    marked: usize,
    key: RandomState,
}

/// What the two detectors said of a value, if they were asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detected {
    /// Whether it is an injection of SQL.
    pub sqli: Option<bool>,
    /// Whether it is a script.
    pub xss: Option<bool>,
}

/// What was found out about a value.
#[derive(Clone, Debug)]
pub struct Known {
    /// The operators that it is a candidate of.
    pub candidates: SmallVec<[Row; 1]>,
    /// What detectors said.
    pub detected: Detected,
    /// Whether texts were looked for in it.
    pub searched: bool,
}

#[derive(Debug, Default)]
struct Generation(HashTable<Entry>);

#[derive(Debug)]
struct Entry {
    hash: u64,
    print: u64,
    known: Known,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            seen: vec![0; SEEN / 64],
            marked: 0,
            key: RandomState::new(),
        }
    }
}

impl Memory {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.0.clear();
        self.old.0.clear();
        self.unmark();
    }

    fn unmark(&mut self) {
        self.seen.fill(0);
        self.marked = 0;
    }

    /// What is known of a value.
    pub fn recall(&mut self, hash: u64, value: &[u8]) -> Option<&Known> {
        let Self { old, key, .. } = self;
        let is_it = |entry: &Entry| entry.hash == hash && entry.print == key.hash_one(value);
        if let Ok(found) = old.0.find_entry(hash, is_it) {
            // It is in use: it stays for another generation.
            let (entry, _) = found.remove();
            self.keep(entry);
        }
        let Self { young, key, .. } = self;
        let is_it = |entry: &Entry| entry.hash == hash && entry.print == key.hash_one(value);
        young.0.find(hash, is_it).map(|entry| &entry.known)
    }

    /// Keeps what was found out about a value, if it is not the first time that it comes.
    pub fn learn(&mut self, hash: u64, value: &[u8], known: impl FnOnce() -> Known) {
        if value.len() > LONGEST {
            return;
        }
        let Self { young, key, .. } = self;
        let is_it = |entry: &Entry| entry.hash == hash && entry.print == key.hash_one(value);
        if let Some(entry) = young.0.find_mut(hash, is_it) {
            entry.known = known();
        } else if self.is_second(hash) {
            self.keep(Entry { hash, print: self.key.hash_one(value), known: known() });
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

    fn keep(&mut self, entry: Entry) {
        if self.young.0.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.0.insert_unique(entry.hash, entry, |entry| entry.hash);
    }
}

/// How many values a generation has.
const MOST: usize = 1024;
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
        assert!(memory.young.0.len() <= MOST && memory.old.0.len() <= MOST);
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
