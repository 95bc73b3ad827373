//! How a room went: what was counted in it from time to time, since this process has it.

use waiting_room::{Counters, Seconds};

use crate::KeptRoom;

/// What was counted from time to time. The longer it goes, the farther apart: it never takes more memory than a screen shows.
#[derive(Debug)]
pub(crate) struct History {
    samples: Vec<Sample>,
    /// Seconds between two.
    step: Seconds,
}

/// What was counted at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When, in seconds since 1970.
    pub at: Seconds,
    /// Places that were given.
    pub queue: u32,
    /// The serving number.
    pub serving: i64,
    /// Visitors who took their turn.
    pub tokens: u32,
    /// Visitors who wait.
    pub waiting: i64,
}

impl History {
    /// Nothing, which takes no memory: most of many rooms are idle.
    pub(crate) const fn new() -> Self {
        Self { samples: Vec::new(), step: STEP }
    }

    /// Takes note of what is counted now. To be called each second.
    pub(crate) fn note(&mut self, now: Seconds, counters: Counters) {
        let (queue, serving, tokens, waiting) = (counters.queue, counters.serving, counters.tokens, counters.waiting());
        let sample = Sample { at: now, queue, serving, tokens, waiting };
        let is_same = |known: &Sample| Sample { at: now, ..*known } == sample;
        match &mut *self.samples {
            [] if is_same(&Sample { at: now, queue: 0, serving: 0, tokens: 0, waiting: 0 }) => return,
            [.., last] if now.saturating_sub(last.at) < self.step => return,
            // Of a time in which nothing happens only the ends matter.
            [.., before, last] if is_same(before) && is_same(last) => {
                last.at = now;
                return;
            }
            _ => {}
        }
        self.samples.push(sample);
        if self.samples.len() > MOST {
            let mut is_kept = true;
            self.samples.retain(|_| {
                is_kept = !is_kept;
                !is_kept
            });
            self.step = self.step.saturating_mul(2);
        }
    }

    /// All of it, from the beginning.
    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl KeptRoom {
    /// How it went, since this process has it.
    pub fn history(&self) -> Vec<Sample> {
        self.past().lock().samples().to_vec()
    }
}

/// Seconds between two samples at first.
const STEP: Seconds = 5;
/// So many samples at most.
const MOST: usize = 720;

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(queue: u32, serving: i64) -> Counters {
        Counters { queue, serving, ..Counters::default() }
    }

    #[test]
    fn a_room_in_which_nothing_happens_takes_no_memory() {
        let mut history = History::new();
        for now in 1..10_000 {
            history.note(now, counters(0, 0));
        }
        assert_eq!(history.samples.capacity(), 0);
        for now in 10_000..20_000 {
            history.note(now, counters(7, 0));
        }
        assert_eq!(history.samples().iter().map(|sample| sample.at).collect::<Vec<_>>(), [10_000, 19_995]);
    }

    #[test]
    fn a_long_time_is_kept_more_coarsely_from_its_beginning_to_its_end() {
        let mut history = History::new();
        let day = 24 * 3600;
        for now in 0..7 * day {
            history.note(now, counters(now + 1, 0));
        }
        let samples = history.samples();
        assert!((MOST / 2..=MOST).contains(&samples.len()), "{}", samples.len());
        assert_eq!(samples.first().map(|sample| sample.at), Some(0));
        assert!(samples.last().unwrap().at + history.step >= 7 * day - 1);
        assert!(samples.is_sorted_by_key(|sample| sample.at));
    }
}
