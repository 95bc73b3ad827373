//! What limits need from a place where several nodes count together.

use std::pin::Pin;
use std::time::Duration;

use crate::gcra::Ticks;
use crate::{Decision, Gcra, Passage, Window};

/// Counts that several nodes share. Each question is one step there, which nobody sees half done.
pub trait Shared: Send + Sync {
    /// Counts `draw.cost` in a window, unless that would be more than the limit.
    fn draw(&self, draw: Draw) -> Asked<'_, Drawn>;
    /// Takes back what was drawn. Nobody waits for it.
    fn return_to(&self, counter: &str, window: Window, n: u32);
    /// Lets a request pass at a rate, or not.
    fn step(&self, name: String, cost: u32, rule: Gcra) -> Asked<'_, Decision>;
    /// Takes back what was let pass so long ago. Nobody waits for it.
    fn step_back(&self, name: &str, cost: u32, rule: Gcra, held: Duration);
    /// What was counted without it in a window, because it was away: it is added as soon as it is there again.
    fn owe(&self, counter: &str, window: Window, n: i64, known: u64);
    /// What to do while it is away.
    fn fallback(&self) -> Fallback;
}

/// An answer that comes.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Away>> + Send + 'a>>;

/// The place cannot be asked at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what all nodes count together cannot be asked at the moment")]
pub struct Away;

/// What to do while the place is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Each node counts by itself, from what it knows. All together may grant more than the limit, meanwhile.
    #[default]
    Alone,
    /// Requests cannot be judged.
    Fail,
}

/// What is asked of a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The counter's name.
    pub counter: String,
    /// In which window.
    pub window: Window,
    /// How much.
    pub cost: u32,
    /// How much there may be in all.
    pub limit: u64,
    /// How much there was at some time, as far as this node knows: a place that forgot counts on from there. What was given
    /// back since is not counted again.
    pub known: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Whether it was counted.
    pub is_granted: bool,
    /// What was consumed, this included.
    pub consumed: u64,
}

/// A rule in the numbers of a place whose clock counts sixteenths of a microsecond: they fit into a double for 17 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What passes between two requests at exactly the rate.
    pub interval: u64,
    /// How far ahead of now the arrival time may be.
    pub reach: u64,
}

impl Gcra {
    /// The rule in coarser numbers, rounded so that no more passes.
    pub fn terms(&self) -> Terms {
        let interval = self.interval().div_ceil(COARSER);
        Terms { interval, reach: interval.saturating_mul(self.burst()) }
    }

    /// What a request is told whose arrival time is `ahead` of now, and which waits for so long if it was not granted.
    pub fn told(&self, is_granted: bool, ahead: u64, wait: u64, cost: u32) -> Decision {
        let Terms { interval, reach } = self.terms();
        let duration = |terms: u64| Ticks(terms.saturating_mul(COARSER)).duration();
        let passes_ever = interval.saturating_mul(cost.into()) <= reach;
        let passage = if is_granted {
            Passage::Granted
        } else {
            Passage::Refused { retry_after: passes_ever.then(|| duration(wait)) }
        };
        let remaining = reach.saturating_sub(ahead) / interval.max(1);
        Decision { passage, limit: self.burst(), remaining, resets_in: duration(ahead) }
    }
}

impl Terms {
    /// How much of what was granted `held` ago is given back: as much as time has not refilled.
    pub fn returned(&self, cost: u32, held: Duration) -> u64 {
        let held = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        self.interval.saturating_mul(cost.into()).saturating_sub((held / 1000).saturating_mul(16).saturating_add(16))
    }
}

/// Ticks of [`Gcra`] in one of [`Terms`].
const COARSER: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarser_numbers_let_no_more_pass() {
        for (requests, seconds, burst) in [(3, 1, 1), (100_000, 1, 10), (7, 3600, 1000), (1, 60, 5)] {
            let rule = Gcra::new(requests, Duration::from_secs(seconds), burst).unwrap();
            let Terms { interval, reach } = rule.terms();
            assert!(u128::from(interval) * u128::from(requests) >= u128::from(seconds) * 16_000_000);
            assert_eq!(reach, interval * burst);
        }
    }

    #[test]
    fn a_refused_request_is_told_when_to_come_again() {
        let rule = Gcra::new(10, Duration::from_secs(1), 3).unwrap();
        let reach = rule.terms().reach;

        let granted = rule.told(true, rule.terms().interval, 0, 1);
        assert_eq!((granted.passage, granted.remaining), (Passage::Granted, 2));
        let refused = rule.told(false, reach, rule.terms().interval, 1);
        assert_eq!(refused.passage, Passage::Refused { retry_after: Some(Duration::from_millis(100)) });
        assert_eq!((refused.remaining, refused.resets_in), (0, Duration::from_millis(300)));
        assert_eq!(rule.told(false, 0, 0, 4).passage, Passage::Refused { retry_after: None });
    }
}
