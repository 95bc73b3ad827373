//! Exchanges that failed, gathered by what they have in common.

use std::sync::Arc;

use parking_lot::Mutex;
use pipeline::{Exchange, OnFinish, Outcome, RequestId, Route};
use thread_local::ThreadLocal;

/// Gathers exchanges that were answered with a status of 500 or more, for somebody who takes them now and then.
///
/// Each thread gathers for itself, so that no worker waits for another. Exchanges that did well cost one comparison.
#[derive(Default)]
pub struct Failures {
    seats: ThreadLocal<Mutex<Vec<Failed>>>,
}

/// Exchanges that failed in one way.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The route.
    pub route: Arc<Route>,
    /// How they failed.
    pub how: How,
    /// The upstream that was asked, if one was.
    pub upstream: Option<Arc<str>>,
    /// How many.
    pub count: u64,
    /// The last of them.
    pub example: RequestId,
}

/// How an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With a problem of the gateway.
    Problem(&'static str),
    /// With this status, which the upstream gave.
    Status(u16),
    /// In another way than those that are told apart.
    Other,
}

impl Failures {
    /// What was gathered since the last time.
    pub fn take(&self) -> Vec<Failed> {
        let mut taken: Vec<Failed> = Vec::new();
        for seat in &self.seats {
            for failed in std::mem::take(&mut *seat.lock()) {
                match taken.iter_mut().find(|known| known.is_like(&failed)) {
                    Some(known) => {
                        known.count = known.count.saturating_add(failed.count);
                        known.example = failed.example;
                    }
                    None => taken.push(failed),
                }
            }
        }
        taken
    }

    #[cold]
    fn gather(&self, exchange: &Exchange, outcome: &Outcome, status: u16) {
        let failed = Failed {
            route: exchange.route.clone(),
            how: outcome.problem.map_or(How::Status(status), How::Problem),
            upstream: outcome.upstream.as_ref().map(|upstream| upstream.name.clone()),
            count: 1,
            example: exchange.id,
        };
        let mut gathered = self.seats.get_or_default().lock();
        let is_full = WAYS <= gathered.len();
        let known = match gathered.iter().position(|known| known.is_like(&failed)) {
            Some(at) => gathered.get_mut(at),
            None if is_full => gathered.last_mut(),
            None => return gathered.push(failed),
        };
        let Some(known) = known else { return };
        if !known.is_like(&failed) {
            // The last place is for all others.
            (known.how, known.upstream) = (How::Other, None);
        }
        known.count = known.count.saturating_add(1);
        known.example = failed.example;
    }
}

impl OnFinish for Failures {
    #[inline]
    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        if let Some(status) = outcome.status.map(|status| status.as_u16()).filter(|status| 500 <= *status) {
            self.gather(exchange, outcome, status);
        }
    }
}

impl Failed {
    /// Names live as long as their snapshot, and are the same text then.
    fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.route, &other.route)
            && self.how == other.how
            && match (&self.upstream, &other.upstream) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

/// Ways to fail that a thread tells apart between two times of taking.
const WAYS: usize = 64;

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};
    use pipeline::{Upstreamed, tester};

    use super::*;

    fn ended(status: u16, problem: Option<&'static str>, upstream: Option<&Arc<str>>) -> Outcome {
        let upstream =
            upstream.map(|name| Upstreamed { name: name.clone(), target: name.clone(), first_byte: None, attempts: 1 });
        Outcome { status: StatusCode::from_u16(status).ok(), problem, upstream, ..Outcome::default() }
    }

    #[test]
    fn failures_are_gathered_by_route_kind_and_upstream_and_nothing_else_is() {
        let (failures, crm) = (Failures::default(), Arc::from("crm"));
        let exchange = tester::exchange(Request::get("/"));
        for (status, problem, upstream) in [
            (200, None, Some(&crm)),
            (404, None, Some(&crm)),
            (503, None, Some(&crm)),
            (503, None, Some(&crm)),
            (503, Some("no-target"), Some(&crm)),
            (500, Some("panic"), None),
        ] {
            failures.on_finish(&exchange, &ended(status, problem, upstream));
        }
        failures.on_finish(&exchange, &Outcome::default());

        let taken = failures.take();

        let seen: Vec<_> = taken.iter().map(|failed| (failed.how, failed.count, failed.upstream.is_some())).collect();
        let expected =
            [(How::Status(503), 2, true), (How::Problem("no-target"), 1, true), (How::Problem("panic"), 1, false)];
        assert_eq!(seen, expected);
        assert_eq!(taken[0].example, exchange.id);
        assert!(failures.take().is_empty());
    }

    #[test]
    fn what_threads_gather_is_taken_together() {
        let (failures, exchange) = (Failures::default(), tester::exchange(Request::get("/")));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| failures.on_finish(&exchange, &ended(502, Some("gone"), None))));
            }
        });
        let taken = failures.take();
        assert_eq!((taken.len(), taken[0].count), (1, 4000));
    }

    #[test]
    fn a_flood_of_ways_to_fail_has_a_bound_and_loses_no_count() {
        let (failures, exchange) = (Failures::default(), tester::exchange(Request::get("/")));
        for number in 0..1000 {
            let name: Arc<str> = format!("upstream-{number}").into();
            failures.on_finish(&exchange, &ended(500, None, Some(&name)));
        }
        let taken = failures.take();
        assert_eq!((taken.len(), taken[WAYS - 1].how), (WAYS, How::Other));
        assert_eq!(taken.iter().map(|failed| failed.count).sum::<u64>(), 1000);
    }
}
