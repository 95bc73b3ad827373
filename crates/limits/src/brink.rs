//! Who is told when a caller comes near the end of a quota.

use crate::decision::{Decision, Passage};

/// Is told when a caller comes near the end of a quota.
pub trait Brink: Send + Sync {
    /// The shares of quotas, in hundredths, that it wants to know of.
    fn shares(&self) -> Box<[u8]>;
    /// A caller has used so much. Called on the request's thread, which must not wait; more than once for one window, if
    /// requests are refused.
    fn reached(&self, reached: &Reached<'_>);
}

/// How much of a quota a caller has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached<'a> {
    /// The name of the quota.
    pub quota: &'a str,
    /// The caller, by a name that is no secret.
    pub whom: &'a str,
    /// So many hundredths are used.
    pub share: u8,
    /// All there is in a window.
    pub limit: u64,
    /// How many seconds the window has.
    pub lasts: u64,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
    /// What time it is, in microseconds since 1970.
    pub now: u64,
    /// Whether the request was refused: then it will be said again.
    pub is_refused: bool,
}

/// The largest of some shares that a limit came to by a decision: the request was the first one to come as far, or is refused
/// because there is nothing left.
#[inline]
pub fn crossed(decision: &Decision, cost: u32, shares: &[u8]) -> Option<u8> {
    let used = decision.limit.saturating_sub(decision.remaining);
    let is_crossed = |share: &u8| match decision.passage {
        Passage::Granted => {
            let at = (u128::from(decision.limit) * u128::from(*share)).div_ceil(100);
            u128::from(used.saturating_sub(cost.into())) < at && at <= u128::from(used)
        }
        Passage::Refused { .. } => 100 <= *share,
    };
    shares.iter().copied().filter(is_crossed).max()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_share_is_crossed_by_the_request_that_comes_as_far_and_by_no_other() {
        let crossed_by = |remaining: u64, cost: u32| {
            let decision =
                Decision { passage: Passage::Granted, limit: 10, remaining, resets_in: Duration::from_secs(1) };
            crossed(&decision, cost, &[80, 100])
        };
        let by_ones: Vec<_> = (0..10).rev().map(|remaining| crossed_by(remaining, 1)).collect();
        let mut expected = vec![None; 10];
        (expected[7], expected[9]) = (Some(80), Some(100));
        assert_eq!(by_ones, expected);
        assert_eq!(crossed_by(0, 10), Some(100));
        assert_eq!(crossed_by(1, 3), Some(80));
        assert_eq!(crossed_by(0, 0), None);
    }

    #[test]
    fn what_is_refused_has_come_to_the_end() {
        let passage = Passage::Refused { retry_after: None };
        let decision = Decision { passage, limit: 10, remaining: 2, resets_in: Duration::from_secs(1) };
        assert_eq!(crossed(&decision, 3, &[80, 100]), Some(100));
        assert_eq!(crossed(&decision, 3, &[80]), None);
    }
}
