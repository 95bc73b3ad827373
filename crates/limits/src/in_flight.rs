//! How many are underway at once, key by key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::shards::{BuildAsIs, Shards};

/// Counts what is underway. It holds no more entries than there are permits, so its callers bound it.
#[derive(Default)]
pub struct InFlight {
    shards: Shards<Mutex<HashMap<u64, u32, BuildAsIs>>>,
}

/// How many are underway, the newcomer included if it was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

impl InFlight {
    /// Lets one more in for `key` if fewer than `limit` are underway, or says how many are.
    pub fn enter(self: &Arc<Self>, key: &(impl Hash + ?Sized), limit: u32) -> Result<(Permit, Count), Count> {
        let key = self.shards.fingerprint(key);
        let mut underway = self.shards.part(key).lock();
        let count = match underway.entry(key) {
            Entry::Occupied(mut entry) => {
                if *entry.get() >= limit {
                    return Err(Count(*entry.get()));
                }
                *entry.get_mut() += 1;
                *entry.get()
            }
            Entry::Vacant(_) if limit == 0 => return Err(Count(0)),
            Entry::Vacant(entry) => *entry.insert(1),
        };
        Ok((Permit { of: self.clone(), key, is_held: AtomicBool::new(true) }, Count(count)))
    }

    /// How many keys have something underway.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether nothing is underway.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn leave(&self, key: u64) {
        if let Entry::Occupied(mut entry) = self.shards.part(key).lock().entry(key) {
            match entry.get().checked_sub(1) {
                None | Some(0) => {
                    entry.remove();
                }
                Some(rest) => *entry.get_mut() = rest,
            }
        }
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InFlight({} keys)", self.len())
    }
}

/// A place among those underway, given back when dropped.
#[derive(Debug)]
#[must_use = "dropping the permit gives it back"]
pub struct Permit {
    of: Arc<InFlight>,
    key: u64,
    is_held: AtomicBool,
}

impl Permit {
    /// Gives the place back before the permit is dropped.
    pub fn release(&self) {
        if self.is_held.swap(false, Ordering::Relaxed) {
            self.of.leave(self.key);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn as_many_as_the_limit_are_underway_and_a_dropped_permit_makes_room() {
        let limiter = Arc::new(InFlight::default());

        let (first, _) = limiter.enter("a", 2).unwrap();
        let (_second, count) = limiter.enter("a", 2).unwrap();
        assert_eq!(count, Count(2));
        assert_eq!(limiter.enter("a", 2).unwrap_err(), Count(2));
        let (_other, _) = limiter.enter("b", 2).unwrap();

        drop(first);
        assert!(limiter.enter("a", 2).is_ok());
    }

    #[test]
    fn a_permit_released_early_is_not_released_again() {
        let limiter = Arc::new(InFlight::default());

        let (early, _) = limiter.enter("a", 1).unwrap();
        early.release();
        let (_next, _) = limiter.enter("a", 1).unwrap();
        drop(early);

        assert!(limiter.enter("a", 1).is_err());
    }

    #[test]
    fn nothing_is_left_when_all_is_over() {
        let limiter = Arc::new(InFlight::default());

        let permits: Vec<_> = (0..1000).map(|key| limiter.enter(&key, 1).unwrap()).collect();
        assert_eq!(limiter.len(), 1000);
        drop(permits);

        assert!(limiter.is_empty());
        assert_eq!(limiter.enter("a", 0).unwrap_err(), Count(0));
        assert!(limiter.is_empty());
    }

    #[test]
    fn threads_together_are_never_more_than_the_limit() {
        let limiter = Arc::new(InFlight::default());
        let (underway, most) = (AtomicU32::new(0), AtomicU32::new(0));

        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let Ok(permit) = limiter.enter("hot", 3) else { continue };
                        most.fetch_max(underway.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        underway.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });

        assert!(most.into_inner() <= 3);
        assert!(limiter.is_empty());
    }
}
