//! Who came when: the state of a rate limit, key by key, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::gcra::Ticks;
use crate::shards::{BuildAsIs, Shards, share};
use crate::{Decision, Gcra};

/// The theoretical arrival times (TAT) of many keys.
///
/// Keys are known by a 64-bit hash with a secret of this table; two that collide share an allowance, which can only
/// refuse too much. A key's entry may go as soon as its TAT is past, because it says nothing any more.
///
/// When the table is full of entries that still count, further keys share the *spill* of their shard: one more
/// allowance, as large as any key's own. So invented keys can neither grow the table nor escape the limit; what they can do is
/// make other newcomers wait with them, until entries go by. A key that gets its own entry later begins with the
/// spill's TAT, and so takes along what it was granted there: the bound holds for every key through all of this.
pub struct Arrivals {
    shards: Shards<RwLock<Shard>>,
    entries_per_shard: usize,
}

#[derive(Default)]
struct Shard {
    tats: HashMap<u64, AtomicU64, BuildAsIs>,
    /// The keys of `tats` in the order in which they are asked to make room.
    queue: VecDeque<u64>,
    /// At least the TAT of every key that has no entry.
    spill: AtomicU64,
}

impl Arrivals {
    /// A table that holds about so many keys (rounded up to a multiple of its shards).
    pub fn new(entries: usize) -> Self {
        Self { shards: Shards::default(), entries_per_shard: share(entries) }
    }

    /// Judges a request of `key` at `now`, in nanoseconds since a moment that never changes for this table.
    pub fn take(&self, key: &(impl Hash + ?Sized), cost: u32, rule: &Gcra, now: u64) -> Decision {
        let now = Ticks::of(now);
        let key = self.shards.fingerprint(key);
        let shard = self.shards.part(key);
        // Shared, so that requests of known keys never wait for each other.
        if let Some(tat) = shard.read().tats.get(&key) {
            return rule.take(tat, cost, now);
        }
        self.take_anew(key, cost, rule, now)
    }

    /// Takes back at the end of `held` what [`Self::take`] granted at its start, and says how things stand, if the key has an
    /// entry. What was granted from a spill stays taken: it cannot be told any more from what others had.
    pub fn give_back(&self, key: &(impl Hash + ?Sized), cost: u32, rule: &Gcra, held: Range<u64>) -> Option<Decision> {
        let key = self.shards.fingerprint(key);
        let shard = self.shards.part(key).read();
        let tat = shard.tats.get(&key)?;
        Some(rule.give_back(tat, cost, Ticks::of(held.start), Ticks::of(held.end)))
    }

    /// As [`Self::take`], for a key that has no entry.
    #[cold]
    fn take_anew(&self, key: u64, cost: u32, rule: &Gcra, now: Ticks) -> Decision {
        let mut shard = self.shards.part(key).write();
        // Another thread may have been faster.
        if let Some(tat) = shard.tats.get(&key) {
            return rule.take(tat, cost, now);
        }
        if !shard.makes_room(now, self.entries_per_shard) {
            return rule.take(&shard.spill, cost, now);
        }
        let tat = AtomicU64::new(shard.spill.load(Ordering::Relaxed));
        let decision = rule.take(&tat, cost, now);
        if decision.is_granted() {
            shard.tats.insert(key, tat);
            shard.queue.push_back(key);
        }
        decision
    }

    /// How many keys have an entry.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().tats.len()).sum()
    }

    /// Whether no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arrivals({} keys)", self.len())
    }
}

impl Shard {
    /// Whether there is room for one more, after a bounded search for an entry whose TAT is past.
    fn makes_room(&mut self, now: Ticks, room: usize) -> bool {
        if self.tats.len() < room {
            return true;
        }
        for _ in 0..SEARCH {
            let Some(candidate) = self.queue.pop_front() else { return false };
            let tat = self.tats.get(&candidate).map_or(0, |tat| tat.load(Ordering::Relaxed));
            if tat > now.0 {
                self.queue.push_back(candidate);
                continue;
            }
            self.tats.remove(&candidate);
            // For requests whose time is a little earlier than `now`, the entry did still count.
            self.spill.fetch_max(tat, Ordering::Relaxed);
            return true;
        }
        false
    }
}

/// How many entries a newcomer asks to make room: a bound on the time that a lock is held.
const SEARCH: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn rule(requests: u64, burst: u64) -> Gcra {
        Gcra::new(requests, Duration::from_secs(1), burst).unwrap()
    }

    #[test]
    fn every_key_has_its_own_allowance() {
        let (arrivals, rule) = (Arrivals::new(100), rule(10, 1));

        assert!(arrivals.take("a", 1, &rule, 0).is_granted());
        assert!(!arrivals.take("a", 1, &rule, 0).is_granted());
        assert!(arrivals.take("b", 1, &rule, 0).is_granted());
    }

    #[test]
    fn an_idle_key_makes_room_for_a_new_one() {
        let (arrivals, rule) = (Arrivals::new(16), rule(10, 1));

        for round in 0..20 {
            for key in 0..8 {
                arrivals.take(&(round, key), 1, &rule, round * 1000 * MS);
            }
            assert!(arrivals.len() <= 16);
        }
        assert!(arrivals.take("new", 1, &rule, 20_000 * MS).is_granted());
    }

    #[test]
    fn invented_keys_neither_grow_the_table_nor_escape_the_limit() {
        let (arrivals, rule) = (Arrivals::new(16), rule(1, 5));

        let passed = (0..10_000_u64).filter(|key| arrivals.take(key, 5, &rule, 0).is_granted()).count();

        // One entry and one spill for each of the 16 shards, with one full burst each.
        assert!(passed <= 32, "{passed} passed");
        assert_eq!(arrivals.len(), 16);
    }

    #[test]
    fn a_known_key_is_not_disturbed_by_invented_ones() {
        let (arrivals, rule) = (Arrivals::new(64), rule(1000, 10));
        let (mut now, mut granted) = (0, 0);
        for round in 0..1000_u64 {
            now += MS;
            granted += u64::from(arrivals.take("known", 1, &rule, now).is_granted());
            for invented in 0..50 {
                arrivals.take(&(round, invented), 10, &rule, now);
            }
        }
        assert_eq!(granted, 1000);
    }

    #[test]
    fn threads_together_never_pass_more_than_the_bound() {
        let (threads, each) = (4_u64, 20_000_u64);
        let (arrivals, rule) = (Arrivals::new(16), rule(1000, 7));
        let start = Barrier::new(4);

        let passed: usize = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..threads)
                .map(|thread| {
                    let (arrivals, rule, start) = (&arrivals, &rule, &start);
                    scope.spawn(move || {
                        start.wait();
                        let at = |step| step * 10_000 + thread * 37;
                        (0..each).filter(|&step| arrivals.take("hot", 1, rule, at(step)).is_granted()).count()
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).sum()
        });

        let window = each * 10_000;
        let bound = 7 + window / MS;
        assert!(passed as u64 <= bound, "{passed} passed, {bound} allowed");
    }

    proptest! {
        /// A schedule of many keys on a table too small for them, with times out of order.
        #[test]
        fn the_bound_holds_for_every_key_through_eviction_and_spill(
            burst in 1..6_u64,
            requests in 1..200_u64,
            steps in prop::collection::vec((0..60_u8, 0..4_000_000_u64, 0..3_000_000_u64), 1..600),
        ) {
            let (arrivals, rule) = (Arrivals::new(16), rule(requests, burst));
            let (mut clock, mut passed) = (10_000_000_u64, HashMap::<u8, Vec<u64>>::new());
            for (key, step, late) in steps {
                clock += step;
                let now = clock - late;
                if arrivals.take(&key, 1, &rule, now).is_granted() {
                    passed.entry(key).or_default().push(now);
                }
            }
            for times in passed.values_mut() {
                times.sort_unstable();
                for (index, &from) in times.iter().enumerate() {
                    for (more, &to) in times[index..].iter().enumerate() {
                        let allowed = burst * 1_000_000_000 + requests * (to - from);
                        prop_assert!((more as u64 + 1) * 1_000_000_000 <= allowed);
                    }
                }
            }
        }

        #[test]
        fn keys_that_ask_alike_get_alike(requests in 1..1000_u64, burst in 1..10_u64, rounds in 1..200_u64) {
            let (arrivals, rule) = (Arrivals::new(1000), rule(requests, burst));
            let mut granted = [0_u32; 5];
            for round in 0..rounds {
                for (key, granted) in granted.iter_mut().enumerate() {
                    *granted += u32::from(arrivals.take(&key, 1, &rule, round * 700_000).is_granted());
                }
            }
            prop_assert!(granted.iter().all(|count| *count == granted[0]), "{:?}", granted);
        }
    }
}
