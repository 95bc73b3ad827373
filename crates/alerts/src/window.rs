//! Sums over the last while, in a bounded number of pieces.

use std::collections::VecDeque;
use std::time::Duration;

use store::UnixMicros;

/// Sums of two counts over the last while.
#[derive(Debug)]
pub(crate) struct Window {
    within: u64,
    piece: u64,
    /// Number of the piece, and what was counted in it.
    pieces: VecDeque<(u64, [u64; 2])>,
}

impl Window {
    pub(crate) fn new(within: Duration) -> Self {
        let within = u64::try_from(within.as_micros()).unwrap_or(u64::MAX).max(1);
        Self { within, piece: (within / PIECES).max(1), pieces: VecDeque::new() }
    }

    pub(crate) fn lasts(&self, within: Duration) -> bool {
        u128::from(self.within) == within.as_micros()
    }

    /// Adds to both counts now.
    pub(crate) fn add(&mut self, now: UnixMicros, counts: [u64; 2]) {
        let number = now.0 / self.piece;
        match self.pieces.back_mut() {
            // A clock that was put back adds to what is there.
            Some((last, sums)) if number <= *last => {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum = sum.saturating_add(count);
                }
            }
            _ => self.pieces.push_back((number, counts)),
        }
    }

    /// The sums of the last while.
    pub(crate) fn sums(&mut self, now: UnixMicros) -> [u64; 2] {
        let oldest = now.0.saturating_sub(self.within) / self.piece;
        while self.pieces.front().is_some_and(|(number, _)| *number < oldest) {
            self.pieces.pop_front();
        }
        let add = |[a, b]: [u64; 2], (_, [c, d]): &(u64, [u64; 2])| [a.saturating_add(*c), b.saturating_add(*d)];
        self.pieces.iter().fold([0, 0], add)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// Pieces of a window: it is exact to a sixtieth.
const PIECES: u64 = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_too_old_does_not_count() {
        let mut window = Window::new(Duration::from_mins(1));
        let at = |seconds: u64| UnixMicros(1_000_000_000_000 + seconds * 1_000_000);
        window.add(at(0), [1, 10]);
        window.add(at(30), [2, 20]);
        assert_eq!(window.sums(at(59)), [3, 30]);
        assert_eq!(window.sums(at(62)), [2, 20]);
        assert_eq!(window.sums(at(600)), [0, 0]);
        assert!(window.is_empty());
    }

    proptest! {
        #[test]
        fn it_has_a_bound_and_forgets_nothing_that_is_new(steps in proptest::collection::vec(0_u64..5_000_000, 1..500)) {
            let mut window = Window::new(Duration::from_secs(30));
            let (mut now, mut times) = (1_000_000_000_000, Vec::new());
            for step in steps {
                now += step;
                times.push(now);
                window.add(UnixMicros(now), [1, 1]);
                let [sum, _] = window.sums(UnixMicros(now));
                let certain = times.iter().filter(|time| now - **time <= 30_000_000).count() as u64;
                let possible = times.iter().filter(|time| now - **time <= 31_000_000).count() as u64;
                prop_assert!(certain <= sum && sum <= possible);
                prop_assert!(window.pieces.len() <= 62);
            }
        }
    }
}
