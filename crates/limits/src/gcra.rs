//! The generic cell rate algorithm: a rate with a burst, in one number per key.
//!
//! The number is the theoretical arrival time (TAT): when the allowance will be whole again. A request that
//! costs `c` moves it `c` intervals into the future, and may do so only up to `burst` intervals ahead of now.
//!
//! Why at most `burst + rate * T` pass in any window of length `T`, whatever the order in which threads decide: the first
//! request of the window to be granted leaves the TAT at least one interval after the window's begin; every further
//! one moves it by at least an interval; the last one found it at most `burst` intervals after the window's end.
//! Nothing in this needs the times that callers bring to be in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::{Decision, Passage};

/// A rate and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// Ticks that pass between two requests at exactly the rate.
    interval: u64,
    /// Ticks that the TAT may be ahead of now.
    reach: u64,
    burst: u64,
}

impl Gcra {
    /// So many requests per period, and so many at once; none if one of them is zero or if refilling takes over a year.
    pub fn new(requests: u64, period: Duration, burst: u64) -> Option<Self> {
        if requests == 0 || burst == 0 {
            return None;
        }
        let ticks = period.as_nanos().checked_mul(u128::from(TICKS_PER_NANO))?;
        // Rounded up: the true rate is never exceeded, and missed by less than a tick per request.
        let interval = u64::try_from(ticks.div_ceil(u128::from(requests))).ok().filter(|&interval| interval > 0)?;
        let reach = interval.checked_mul(burst).filter(|&reach| reach <= LONGEST_REACH)?;
        Some(Self { interval, reach, burst })
    }

    /// How many may pass at once.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// Ticks that pass between two requests at exactly the rate.
    pub(crate) fn interval(&self) -> u64 {
        self.interval
    }

    /// How long it takes until the whole burst is there again.
    pub fn refill(&self) -> Duration {
        Ticks(self.reach).duration()
    }

    /// Judges a request by the TAT of its key, and moves the TAT if the request is granted.
    pub(crate) fn take(&self, tat: &AtomicU64, cost: u32, now: Ticks) -> Decision {
        let mut seen = tat.load(Ordering::Relaxed);
        let cost = self.interval.saturating_mul(u64::from(cost));
        let latest = now.0.saturating_add(self.reach);
        loop {
            let moved = seen.max(now.0).saturating_add(cost);
            if moved > latest {
                let retry_after = (cost <= self.reach).then(|| Ticks(moved - latest).duration());
                return self.decision(Passage::Refused { retry_after }, seen, now);
            }
            // One cell, and nothing is published through it: its own order of changes is all that counts.
            match tat.compare_exchange_weak(seen, moved, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return self.decision(Passage::Granted, moved, now),
                Err(other) => seen = other,
            }
        }
    }

    /// Takes back what [`Self::take`] granted at `then`, and says how things stand `now`.
    ///
    /// What others were granted in between stood behind it, and may have gained by the time since: so much of it stays
    /// taken. By that the bound holds for them, and whoever was alone gets everything back, because time refills as much.
    pub(crate) fn give_back(&self, tat: &AtomicU64, cost: u32, then: Ticks, now: Ticks) -> Decision {
        let cost = self.interval.saturating_mul(u64::from(cost));
        let returned = cost.saturating_sub(now.0.saturating_sub(then.0));
        let before = tat.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| Some(tat.saturating_sub(returned)));
        let tat = before.unwrap_or_else(|tat| tat).saturating_sub(returned);
        self.decision(Passage::Granted, tat, now)
    }

    fn decision(&self, passage: Passage, tat: u64, now: Ticks) -> Decision {
        let ahead = tat.saturating_sub(now.0);
        let remaining = self.reach.saturating_sub(ahead) / self.interval;
        Decision { passage, limit: self.burst, remaining, resets_in: Ticks(ahead).duration() }
    }
}

/// A time, counted in sixteenths of a nanosecond so that intervals such as a third of a second are met closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticks(pub(crate) u64);

impl Ticks {
    /// The ticks of a time; good for 36 years of uptime.
    pub(crate) fn of(nanos: u64) -> Self {
        Self(nanos.saturating_mul(TICKS_PER_NANO))
    }

    /// How long so many ticks are, rounded up so that nobody is told to come too early.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_nanos(self.0.div_ceil(TICKS_PER_NANO))
    }
}

const TICKS_PER_NANO: u64 = 16;

/// A year: beyond it a rate is a mistake, and sums of ticks might not fit.
const LONGEST_REACH: u64 = 366 * 24 * 3600 * 1_000_000_000 * TICKS_PER_NANO;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(requests: u64, period: Duration, burst: u64) -> Gcra {
        Gcra::new(requests, period, burst).unwrap()
    }

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate() {
        let (rule, tat) = (rule(10, Duration::from_secs(1), 3), AtomicU64::new(0));
        let take = |nanos| rule.take(&tat, 1, Ticks::of(nanos));

        let remaining: Vec<_> = (0..3).map(|_| take(5).remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = take(5);
        assert_eq!(refused.passage, Passage::Refused { retry_after: Some(Duration::from_millis(100)) });
        assert_eq!(refused.resets_in, Duration::from_millis(300));
        assert!(!take(100_000_004).is_granted());
        assert!(take(100_000_005).is_granted());
    }

    #[test]
    fn a_cost_above_the_burst_never_passes_and_costs_nothing() {
        let (rule, tat) = (rule(10, Duration::from_secs(1), 3), AtomicU64::new(0));

        assert_eq!(rule.take(&tat, 4, Ticks::of(0)).passage, Passage::Refused { retry_after: None });
        assert_eq!(rule.take(&tat, 3, Ticks::of(0)).remaining, 0);
    }

    #[test]
    fn a_rate_that_makes_no_sense_is_no_rule() {
        assert_eq!(Gcra::new(0, Duration::from_secs(1), 1), None);
        assert_eq!(Gcra::new(1, Duration::from_secs(1), 0), None);
        assert_eq!(Gcra::new(1, Duration::ZERO, 1), None);
        assert_eq!(Gcra::new(1, Duration::from_hours(24), 1000), None);
        assert_eq!(Gcra::new(1, Duration::from_secs(1), u64::MAX), None);
    }

    proptest! {
        /// Also with times out of order, as threads bring them.
        #[test]
        fn in_any_window_at_most_the_burst_and_the_rate_pass(
            requests in 1..2000_u64,
            millis in 1..100_000_u64,
            burst in 1..50_u64,
            steps in prop::collection::vec((0..50_000_000_u64, -20_000_000..20_000_000_i64, 1..4_u32), 1..200),
        ) {
            let (rule, tat) = (rule(requests, Duration::from_millis(millis), burst), AtomicU64::new(0));
            let (mut clock, mut passed) = (0_u64, Vec::new());
            for (step, jitter, cost) in steps {
                clock += step;
                let now = clock.saturating_add_signed(jitter);
                if rule.take(&tat, cost, Ticks::of(now)).is_granted() {
                    passed.push((now, u128::from(cost)));
                }
            }
            passed.sort_unstable();
            let period = u128::from(millis) * 1_000_000;
            for (index, &(from, _)) in passed.iter().enumerate() {
                let mut count = 0;
                for &(to, cost) in &passed[index..] {
                    count += cost;
                    // count <= burst + requests * length / period, without a division.
                    let allowed = u128::from(burst) * period + u128::from(requests) * u128::from(to - from);
                    prop_assert!(count * period <= allowed, "{count} passed in {} ns", to - from);
                }
            }
        }

        #[test]
        fn a_refused_request_costs_nothing_and_is_told_the_truth(
            requests in 1..2000_u64,
            burst in 1..50_u64,
            steps in prop::collection::vec((0..5_000_000_u64, 1..4_u32), 1..100),
        ) {
            let (rule, tat) = (rule(requests, Duration::from_secs(1), burst), AtomicU64::new(0));
            let mut now = 0;
            for (step, cost) in steps {
                now += step;
                let before = tat.load(Ordering::Relaxed);
                let Passage::Refused { retry_after } = rule.take(&tat, cost, Ticks::of(now)).passage else { continue };
                prop_assert_eq!(tat.load(Ordering::Relaxed), before);
                prop_assert_eq!(retry_after.is_none(), u64::from(cost) > burst);
                if let Some(wait) = retry_after {
                    let then = now + u64::try_from(wait.as_nanos()).unwrap();
                    let early = AtomicU64::new(before);
                    prop_assert!(!rule.take(&early, cost, Ticks::of(then - 1)).is_granted());
                    prop_assert!(rule.take(&tat, cost, Ticks::of(then)).is_granted());
                    now = then;
                }
            }
        }

        /// Some are taken back a while after they were granted, with others granted in between.
        #[test]
        fn what_is_given_back_lets_no_more_pass_than_the_bound(
            requests in 1..2000_u64,
            burst in 1..50_u64,
            steps in prop::collection::vec((0..5_000_000_u64, 1..4_u32, prop::option::of(0..4_usize)), 1..200),
        ) {
            let (rule, tat) = (rule(requests, Duration::from_secs(1), burst), AtomicU64::new(0));
            let (mut clock, mut passed, mut open) = (0_u64, Vec::new(), Vec::new());
            for (step, cost, returns) in steps {
                clock += step;
                if rule.take(&tat, cost, Ticks::of(clock)).is_granted() {
                    match returns {
                        Some(later) => open.push((later, clock, cost)),
                        None => passed.push((clock, u128::from(cost))),
                    }
                }
                clock += step / 3;
                open.retain_mut(|(later, then, cost)| {
                    if *later == 0 {
                        rule.give_back(&tat, *cost, Ticks::of(*then), Ticks::of(clock));
                        return false;
                    }
                    *later -= 1;
                    true
                });
            }
            for (index, &(from, _)) in passed.iter().enumerate() {
                let mut count = 0;
                for &(to, cost) in &passed[index..] {
                    count += cost;
                    let allowed = u128::from(burst) * 1_000_000_000 + u128::from(requests) * u128::from(to - from);
                    prop_assert!(count * 1_000_000_000 <= allowed, "{count} passed in {} ns", to - from);
                }
            }
        }

        #[test]
        fn whoever_is_alone_gets_everything_back(
            requests in 1..2000_u64,
            burst in 1..50_u64,
            steps in prop::collection::vec((0..50_000_000_u64, 0..50_000_000_u64), 1..50),
        ) {
            let (rule, tat) = (rule(requests, Duration::from_secs(1), burst), AtomicU64::new(0));
            let mut clock = 0;
            for (step, wait) in steps {
                prop_assert!(rule.take(&tat, u32::try_from(burst).unwrap(), Ticks::of(clock)).is_granted());
                let stands = rule.give_back(&tat, u32::try_from(burst).unwrap(), Ticks::of(clock), Ticks::of(clock + wait));
                prop_assert_eq!(stands.remaining, burst);
                clock += wait + step;
            }
        }

        #[test]
        fn nobody_is_kept_below_the_rate(requests in 1..2000_u64, burst in 1..50_u64, count in 1..200_u64) {
            let (rule, tat) = (rule(requests, Duration::from_secs(1), burst), AtomicU64::new(0));
            // A nanosecond of slack per request covers the rounding of the interval.
            let interval = 1_000_000_000_u64.div_ceil(requests) + 1;
            for index in 0..count {
                prop_assert!(rule.take(&tat, 1, Ticks::of(index * interval)).is_granted());
            }
        }
    }
}
