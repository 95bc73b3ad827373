//! How a room went: what was counted in it from time to time. It follows from what happened, so that every node has the same and
//! a restart changes nothing.

use crate::{Counters, Seconds};

/// What was counted from time to time. The longer it goes, the farther apart: it never takes more memory than a screen shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What was counted, oldest first.
    pub samples: Vec<Sample>,
    /// What was counted when something happened last.
    pub latest: Option<Sample>,
    /// How often samples were made fewer: each time, those that come are twice as far apart.
    pub thinned: u32,
}

/// What was counted at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl Sample {
    fn of(counters: &Counters, at: Seconds) -> Self {
        let (queue, serving, tokens, waiting) = (counters.queue, counters.serving, counters.tokens, counters.waiting());
        Self { at, queue, serving, tokens, waiting }
    }

    fn is_as(&self, other: &Self) -> bool {
        Self { at: other.at, ..*self } == *other
    }
}

impl History {
    /// Something happened, and this is counted now.
    pub(crate) fn note(&mut self, at: Seconds, counters: &Counters) {
        let sample = Sample::of(counters, at);
        let Some(latest) = self.latest else {
            if !sample.is_as(&Sample { at, ..Sample::default() }) {
                self.samples.push(sample);
                self.latest = Some(sample);
            }
            return;
        };
        // Clocks of several nodes differ.
        let at = at.max(latest.at);
        let sample = Sample { at, ..sample };
        let (quiet, last) = (at - latest.at, self.samples.last().map_or(0, |last| last.at));
        let step = self.step();
        if quiet >= step || latest.at.saturating_sub(last) >= step {
            self.keep(latest);
        }
        if quiet >= step {
            // It was so until just before.
            self.keep(Sample { at: at - 1, ..latest });
        }
        self.latest = Some(sample);
    }

    fn keep(&mut self, sample: Sample) {
        match &mut *self.samples {
            [.., last] if last.at >= sample.at => *last = Sample { at: last.at, ..sample },
            // Of a time in which nothing changes only the ends matter.
            [.., before, last] if before.is_as(last) && last.is_as(&sample) => last.at = sample.at,
            _ => self.samples.push(sample),
        }
        if self.samples.len() > MOST {
            let mut is_kept = true;
            self.samples.retain(|_| {
                is_kept = !is_kept;
                !is_kept
            });
            self.thinned += 1;
        }
    }

    /// Seconds between two samples at least, unless nothing happened before or after one.
    fn step(&self) -> Seconds {
        STEP.saturating_mul(2_u32.saturating_pow(self.thinned))
    }

    /// All of it, from the beginning until now.
    pub fn until(&self, now: Seconds) -> Vec<Sample> {
        let mut history = self.clone();
        if let Some(latest) = self.latest {
            history.keep(latest);
            if now > latest.at {
                history.keep(Sample { at: now, ..latest });
            }
        }
        history.samples
    }

    /// How many turns came in how many seconds lately, if any did.
    pub fn pace(&self, now: Seconds) -> Option<(u32, u32)> {
        let (first, latest) = (self.samples.first()?, self.latest?);
        let since = now.saturating_sub(LATELY);
        // What was counted then is what was counted last before.
        let known = self.samples.iter().rev().find(|sample| sample.at <= since);
        let (serving, since) = known.map_or((first.serving, first.at), |known| (known.serving, since));
        let turns = u32::try_from(latest.serving.saturating_sub(serving)).ok().filter(|turns| *turns > 0)?;
        let seconds = now.saturating_sub(since);
        (seconds >= SHORTEST).then_some((turns, seconds))
    }
}

/// Seconds between two samples at first.
const STEP: Seconds = 5;
/// So many samples at most.
const MOST: usize = 720;
/// What counts as lately.
const LATELY: Seconds = 300;
/// In fewer seconds nothing can be learned.
const SHORTEST: Seconds = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(queue: u32, serving: i64) -> Counters {
        Counters { queue, serving, ..Counters::default() }
    }

    #[test]
    fn a_room_in_which_nothing_happens_takes_no_memory() {
        let mut history = History::default();
        for now in 1..10_000 {
            history.note(now, &counters(0, 0));
        }
        assert_eq!((history.samples.capacity(), history.until(20_000)), (0, Vec::new()));
    }

    #[test]
    fn a_rush_and_the_silence_behind_it_are_seen_as_they_were() {
        let mut history = History::default();
        for number in 1..=1000 {
            history.note(100 + number / 500, &counters(number, 0));
        }
        history.note(900, &counters(1000, 10));
        let seen = |now| -> Vec<_> {
            history.until(now).iter().map(|sample| (sample.at, sample.queue, sample.serving)).collect()
        };
        assert_eq!(seen(900), [(100, 1, 0), (102, 1000, 0), (899, 1000, 0), (900, 1000, 10)]);
        assert_eq!(seen(950)[4..], [(950, 1000, 10)]);
    }

    #[test]
    fn a_long_time_is_kept_more_coarsely_from_its_beginning_to_its_end() {
        let mut history = History::default();
        let day = 24 * 3600;
        for now in 0..7 * day {
            history.note(now, &counters(now + 1, 0));
        }
        let samples = history.until(7 * day - 1);
        assert!((MOST / 2..=MOST + 1).contains(&samples.len()), "{}", samples.len());
        assert_eq!(samples.first().map(|sample| sample.at), Some(0));
        assert_eq!(samples.last().map(|sample| (sample.at, sample.queue)), Some((7 * day - 1, 7 * day)));
        assert!(samples.is_sorted_by_key(|sample| sample.at));
    }

    #[test]
    fn the_pace_is_that_of_the_last_minutes() {
        let mut history = History::default();
        for now in 1000..2000 {
            history.note(now, &counters(5000, i64::from(now / 10)));
        }
        let (turns, seconds) = history.pace(2000).unwrap();
        assert!((28..=31).contains(&turns) && seconds == 300, "{turns} in {seconds}");
        assert_eq!(history.pace(9999), None, "no turn came lately");
        assert_eq!(History::default().pace(100), None);
    }
}
