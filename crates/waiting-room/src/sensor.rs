//! What is seen of what is behind a room: how much is under way, how long answers take, how many fail.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::Signals;

/// How a request ended that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was answered after this time.
    Answered(Duration),
    /// It failed: there was no answer, or one that says so.
    Failed(Option<Duration>),
    /// It was not even sent: the circuit is open, or no target is in service.
    NotSent,
    /// The client went away before there was an answer, which says nothing.
    Unknown,
}

/// What is seen of what is behind a room. Anybody may note at any time, without waiting for anybody.
#[derive(Default)]
pub struct Sensor {
    in_flight: AtomicU32,
    finished: AtomicU32,
    failed: AtomicU32,
    unsent: AtomicU32,
    /// How many took how long. Made when there is something to note: most rooms note nothing.
    took: OnceLock<Box<[AtomicU32]>>,
    /// Reads without enough to say something.
    meager: AtomicU32,
    recent: Recent,
}

/// What ended lately, as far as it decides whether visitors have to wait: counts that are halved twice a second.
#[derive(Default)]
struct Recent {
    turn: AtomicU64,
    finished: AtomicU32,
    slow: AtomicU32,
    failed: AtomicU32,
}

/// What of a thousand requests that ended lately was slow, and failed. None: too few ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Of a thousand, those that took longer than they should.
    pub slow: u32,
    /// Of a thousand, those that failed.
    pub failed: u32,
}

impl Sensor {
    /// A request is let through.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It came to its end. `slow` says from when on that counts as slow, and `turn` is the half second that it is.
    pub fn end(&self, ending: Ending, slow: Option<Duration>, turn: u64) {
        // Whoever began counted itself.
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let (took, is_failed) = match ending {
            Ending::Unknown => return,
            Ending::Answered(took) => (Some(took), false),
            Ending::Failed(took) => (took, true),
            Ending::NotSent => {
                self.unsent.fetch_add(1, Ordering::Relaxed);
                (None, true)
            }
        };
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.turn(turn);
        self.recent.finished.fetch_add(1, Ordering::Relaxed);
        if is_failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
            self.recent.failed.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(took) = took {
            let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
            let buckets = self.took.get_or_init(|| (0..BUCKETS).map(|_| AtomicU32::new(0)).collect());
            if let Some(bucket) = buckets.get(bucket_of(micros)) {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
            if slow.is_some_and(|slow| took > slow) {
                self.recent.slow.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many were let through and have not ended.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether nothing is under way, and nothing ended since it was asked last.
    pub fn is_quiet(&self) -> bool {
        let counts = [&self.in_flight, &self.finished, &self.unsent];
        counts.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }

    /// What was slow and failed lately.
    pub fn parts(&self, turn: u64) -> Option<Parts> {
        self.turn(turn);
        let Recent { finished, slow, failed, .. } = &self.recent;
        let finished = finished.load(Ordering::Relaxed);
        let of_a_thousand = |count: &AtomicU32| {
            let count = u64::from(count.load(Ordering::Relaxed)) * 1000 / u64::from(finished.max(1));
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        (finished >= ENOUGH).then(|| Parts { slow: of_a_thousand(slow), failed: of_a_thousand(failed) })
    }

    /// Halves what is remembered, once for each half second.
    fn turn(&self, turn: u64) {
        let before = self.recent.turn.fetch_max(turn, Ordering::Relaxed);
        let is_set_back = before > turn + LATE;
        if is_set_back {
            self.recent.turn.store(turn, Ordering::Relaxed);
        }
        let passed = if is_set_back { u64::MAX } else { turn.saturating_sub(before) };
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed == 0 {
            return;
        }
        for count in [&self.recent.finished, &self.recent.slow, &self.recent.failed] {
            let halved = |count: u32| Some(count.checked_shr(passed).unwrap_or(0));
            // It always says what to store.
            let _before = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, halved);
        }
    }

    /// What was seen since this was asked last; nothing, until there is enough to say something. What takes longer than
    /// `target`, in microseconds, is late.
    pub fn signals(&self, target: u32) -> Signals {
        let in_flight = self.in_flight();
        let unsent = self.unsent.load(Ordering::Relaxed);
        let buckets = self.took.get().map(|buckets| &**buckets).unwrap_or_default();
        let counts: Vec<u32> = buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let answered: u32 = counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
        let (finished, failed) = (self.finished.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        let is_broken = unsent > 0 && finished <= unsent;
        let is_meager = finished < ENOUGH && self.meager.fetch_add(1, Ordering::Relaxed) < MEAGER;
        if is_meager && !is_broken {
            return Signals { in_flight, ..Signals::default() };
        }
        self.meager.store(0, Ordering::Relaxed);
        for (bucket, count) in buckets.iter().zip(&counts) {
            bucket.fetch_sub(*count, Ordering::Relaxed);
        }
        self.finished.fetch_sub(finished, Ordering::Relaxed);
        self.failed.fetch_sub(failed, Ordering::Relaxed);
        self.unsent.fetch_sub(unsent, Ordering::Relaxed);
        let late = late(&counts, target);
        Signals { finished, failed, late, slow: slow(&counts, answered), in_flight, is_broken }
    }
}

/// What 95 of 100 took at most.
fn slow(counts: &[u32], all: u32) -> Option<u32> {
    if all == 0 {
        return None;
    }
    let within = u64::from(all) * 95 / 100;
    let mut sum = 0_u64;
    for (index, count) in counts.iter().enumerate() {
        sum += u64::from(*count);
        if sum > within {
            return Some(middle_of(index));
        }
    }
    None
}

/// How many took longer than that, with a part of those in the bucket in which it is.
fn late(counts: &[u32], target: u32) -> u32 {
    let bucket = bucket_of(target);
    let (lowest, width) = extent_of(bucket);
    let above = (lowest + width).saturating_sub(u64::from(target)).min(width);
    let within = counts.get(bucket).map_or(0, |count| u64::from(*count) * above / width);
    let beyond = counts.iter().skip(bucket + 1).fold(0, |sum: u32, count| sum.saturating_add(*count));
    beyond.saturating_add(u32::try_from(within).unwrap_or(u32::MAX))
}

/// Sixteen to each doubling: they are some four per cent from one to the next.
fn bucket_of(micros: u32) -> usize {
    let value = micros.max(STEPS);
    let doublings = value.ilog2() - STEPS.ilog2();
    let step = (value >> doublings) - STEPS;
    (doublings * STEPS + step) as usize
}

/// Where a bucket begins, and how wide it is.
fn extent_of(index: usize) -> (u64, u64) {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let (doublings, step) = (index / STEPS, index % STEPS);
    (u64::from(STEPS + step) << doublings, 1 << doublings)
}

/// What is in the middle of a bucket.
fn middle_of(index: usize) -> u32 {
    let (lowest, width) = extent_of(index);
    u32::try_from(lowest + width / 2).unwrap_or(u32::MAX)
}

const STEPS: u32 = 16;
/// Up to an hour and more.
const BUCKETS: u32 = (32 - 4) * STEPS;
/// Half seconds by which a request may be late. If it is later than that, the clock was set back.
const LATE: u64 = 120;
/// So many requests say something.
const ENOUGH: u32 = 20;
/// So many times it is waited for enough of them.
const MEAGER: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Ending {
        Ending::Answered(Duration::from_millis(millis))
    }

    #[test]
    fn what_95_of_100_took_is_told_to_a_few_per_cent() {
        for took in [1, 7, 50, 300, 2_000, 60_000] {
            let sensor = Sensor::default();
            for number in 0..100 {
                sensor.begin();
                sensor.end(millis(if number < 90 { took / 2 } else { took }), None, 0);
            }
            let signals = sensor.signals(u32::try_from(took).unwrap() * 750);
            assert_eq!((signals.finished, signals.late), (100, 10), "{took} ms");
            let told = f64::from(signals.slow.unwrap());
            let expected = f64::from(u32::try_from(took).unwrap()) * 1000.0;
            assert!((told / expected - 1.0).abs() < 0.05, "{told} for {expected}");
        }
        for micros in [0, 15, 16, 17, 31, 32, 1_000_000, u32::MAX] {
            assert!(bucket_of(micros) < BUCKETS as usize);
            let told = f64::from(middle_of(bucket_of(micros)));
            assert!(micros < 16 || (told / f64::from(micros) - 1.0).abs() < 0.05, "{micros}: {told}");
        }
    }

    #[test]
    fn a_bucket_in_which_the_target_is_counts_in_part() {
        let mut counts = vec![0; BUCKETS as usize];
        let bucket = bucket_of(300_000);
        let (lowest, width) = extent_of(bucket);
        (counts[bucket - 1], counts[bucket], counts[bucket + 1]) = (50, 40, 3);
        let at = |part: u64| late(&counts, u32::try_from(lowest + width * part / 4).unwrap());
        assert_eq!([0, 1, 2, 3].map(at), [43, 33, 23, 13]);
        assert_eq!((late(&counts, 0), late(&counts, u32::MAX)), (93, 0));
    }

    #[test]
    fn few_requests_are_gathered_until_they_say_something() {
        let sensor = Sensor::default();
        sensor.begin();
        for _ in 0..10 {
            sensor.begin();
            sensor.end(millis(9), None, 0);
        }
        assert_eq!(sensor.signals(300_000), Signals { in_flight: 1, ..Signals::default() });
        for _ in 0..10 {
            sensor.begin();
            sensor.end(Ending::Failed(Some(Duration::from_millis(9))), None, 0);
        }
        let signals = sensor.signals(300_000);
        assert_eq!((signals.finished, signals.failed, signals.in_flight, signals.is_broken), (20, 10, 1, false));
        sensor.begin();
        sensor.end(Ending::NotSent, None, 0);
        assert!(sensor.signals(300_000).is_broken);
        assert_eq!(sensor.signals(300_000), Signals { in_flight: 1, ..Signals::default() });
    }

    #[test]
    fn what_was_slow_is_forgotten_within_seconds() {
        let sensor = Sensor::default();
        let slow = Some(Duration::from_millis(100));
        for took in [50, 150].repeat(20) {
            sensor.begin();
            sensor.end(millis(took), slow, 10);
        }
        assert_eq!(sensor.parts(10), Some(Parts { slow: 500, failed: 0 }));
        assert_eq!(sensor.parts(11), Some(Parts { slow: 500, failed: 0 }));
        assert_eq!(sensor.parts(13), None);
    }
}
