//! All keys by the marks of their secrets, in small parts: a change copies some of them, and a request reads one without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hashbrown::{HashMap, HashTable};
use store::KeyId;

use crate::facts::{Found, KeyFacts};
use crate::pepper::Mark;

const SHARDS: usize = 256;

/// Keys by their marks, which are as good as random, so that they need no other hash.
type Shard = HashTable<Arc<KeyFacts>>;

/// All keys by their marks.
pub(crate) struct Keys {
    shards: Box<[ArcSwap<Shard>]>,
    /// Whether there are keys that were made elsewhere.
    imported: AtomicBool,
    /// How many keys the last changes had whose hashes cannot be checked.
    foreign: AtomicU64,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::iter::repeat_with(ArcSwap::default).take(SHARDS).collect(),
            imported: AtomicBool::new(false),
            foreign: AtomicU64::new(0),
        }
    }

    /// The key with this mark: one of ours with this id, or without an id one that was imported. Takes no lock and
    /// allocates nothing.
    pub(crate) fn having(&self, mark: &Mark, id: Option<KeyId>) -> Option<Found> {
        let shard = self.shards.get(place(mark))?.load();
        let is_it = |facts: &Arc<KeyFacts>| {
            facts.mark == *mark && id.map_or(facts.imported, |id| !facts.imported && facts.id == id)
        };
        let facts = shard.find(hash_of(mark), is_it)?;
        facts.tie.approach();
        Some(Found(facts.clone()))
    }

    pub(crate) fn has_imported(&self) -> bool {
        self.imported.load(Ordering::Relaxed)
    }

    pub(crate) fn foreign(&self) -> u64 {
        self.foreign.load(Ordering::Relaxed)
    }

    pub(crate) fn for_each(&self, mut see: impl FnMut(&KeyFacts)) {
        for shard in &self.shards {
            shard.load().iter().for_each(|facts| see(facts));
        }
    }
}

/// What changes do to keys. It is done once for all pages of changes, and when the reader is cut off among them, because
/// the book has them already.
pub(crate) struct Moves<'a> {
    keys: &'a Keys,
    of_shards: HashMap<usize, Vec<(Move, Arc<KeyFacts>)>>,
    pub(crate) count: usize,
    pub(crate) foreign: u64,
}

/// Whether a key leaves its shard or comes into it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Out,
    In,
}

impl<'a> Moves<'a> {
    pub(crate) fn of(keys: &'a Keys) -> Self {
        Self { keys, of_shards: HashMap::new(), count: 0, foreign: 0 }
    }

    pub(crate) fn add(&mut self, placing: Move, moved: impl IntoIterator<Item = Arc<KeyFacts>>) {
        for facts in moved {
            self.count += 1;
            self.of_shards.entry(place(&facts.mark)).or_default().push((placing, facts));
        }
    }
}

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        if self.of_shards.is_empty() && self.foreign == 0 {
            return;
        }
        for (place, moves) in std::mem::take(&mut self.of_shards) {
            if moves.iter().any(|(_, facts)| facts.imported) {
                self.keys.imported.store(true, Ordering::Relaxed);
            }
            if let Some(shard) = self.keys.shards.get(place) {
                replace(shard, moves);
            }
        }
        self.keys.foreign.store(self.foreign, Ordering::Relaxed);
        if 0 < self.foreign {
            tracing::warn!(keys = self.foreign, "keys were hashed with another pepper or algorithm and open nothing");
        }
    }
}

/// The shard of a mark.
fn place(mark: &Mark) -> usize {
    let [first, ..] = mark;
    usize::from(*first) % SHARDS
}

/// The hash of a mark within its shard: marks are as good as random themselves.
fn hash_of(mark: &Mark) -> u64 {
    mark.last_chunk().copied().map_or(0, u64::from_ne_bytes)
}

/// Swaps a shard for a copy in which keys came or went.
fn replace(shard: &ArcSwap<Shard>, moves: Vec<(Move, Arc<KeyFacts>)>) {
    let mut copy = Shard::clone(&shard.load());
    let of = |facts: &Arc<KeyFacts>| hash_of(&facts.mark);
    copy.reserve(moves.len(), of);
    for (placing, facts) in moves {
        match placing {
            Move::In => drop(copy.insert_unique(of(&facts), facts, of)),
            Move::Out => {
                if let Ok(entry) = copy.find_entry(of(&facts), |known| Arc::ptr_eq(known, &facts)) {
                    entry.remove();
                }
            }
        }
    }
    shard.store(Arc::new(copy));
}
