//! Seats: small numbers that threads hold while they live, so that what they write often is theirs alone.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many seats there are, the shared one included.
pub const SEATS: usize = EXCLUSIVE + 1;

/// A place in anything that is kept once per thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat(usize);

impl Seat {
    /// The seat of those that found no free one, and of those that want to be together.
    pub const SHARED: Self = Self(EXCLUSIVE);

    /// The seat of the calling thread, taken at its first call and given back when the thread ends.
    pub fn current() -> Self {
        HELD.try_with(|held| held.0).unwrap_or(Self::SHARED)
    }

    /// Its number, below [`SEATS`].
    pub fn index(self) -> usize {
        self.0
    }

    /// Whether no other thread has it now.
    pub fn is_exclusive(self) -> bool {
        self != Self::SHARED
    }
}

thread_local! {
    static HELD: Held = Held::claim();
}

struct Held(Seat);

impl Held {
    fn claim() -> Self {
        let mut taken = TAKEN.load(Ordering::Relaxed);
        loop {
            let free = taken.trailing_ones() as usize;
            if free >= EXCLUSIVE {
                return Self(Seat::SHARED);
            }
            // Acquire: what the last holder wrote without locked instructions comes before what this one writes.
            match TAKEN.compare_exchange_weak(taken, taken | 1 << free, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Self(Seat(free)),
                Err(now) => taken = now,
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.is_exclusive() {
            TAKEN.fetch_and(!(1 << self.0.0), Ordering::Release);
        }
    }
}

/// A bit per exclusive seat. The seats belong to the process's threads, not to a configuration, hence the static.
static TAKEN: AtomicU64 = AtomicU64::new(0);
const EXCLUSIVE: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn threads_that_live_at_once_never_have_the_same_exclusive_seat() {
        let barrier = Barrier::new(100);
        let seats: Vec<Seat> = std::thread::scope(|scope| {
            let claim = || {
                let seat = Seat::current();
                barrier.wait();
                seat
            };
            let threads: Vec<_> = (0..100).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        let exclusive: Vec<_> = seats.iter().filter(|seat| seat.is_exclusive()).collect();
        let distinct: HashSet<_> = exclusive.iter().map(|seat| seat.index()).collect();
        assert_eq!(exclusive.len(), distinct.len());
        assert!(seats.contains(&Seat::SHARED), "a hundred threads do not fit into sixty-four seats");
    }
}
