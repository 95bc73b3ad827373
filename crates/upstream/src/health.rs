//! How well an upstream and its targets are: what requests tell, what checks tell, and what follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use alarm::Alarm;
use http::{HeaderValue, Method, Request, header};
use model::upstream::Health;
use pipeline::Body;

use crate::connect::{Connector, Time};
use crate::places::Places;
use crate::target::{Lease, Target};
use crate::{Upstream, h1};

/// A retry costs as much as a hundred requests bring at a budget of one per cent.
const RETRY: i64 = 100;
/// Retries that can be saved up.
const SAVINGS: i64 = 100 * RETRY;
/// Retries of a second that are not asked whether they were saved up, so that a quiet upstream may retry, too.
const LEAST: u64 = 10;

/// A circuit breaker: closed while all is well, open after too many failures in a row.
pub struct Breaker {
    threshold: u32,
    retry_after: u64,
    failures: AtomicU32,
    /// When the next request may try, in milliseconds of the upstream's clock; 0 while the circuit is closed.
    open_until: AtomicU64,
}

impl Breaker {
    pub(crate) fn new(threshold: u32, retry_after: Duration) -> Self {
        let retry_after = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        Self { threshold, retry_after, failures: AtomicU32::new(0), open_until: AtomicU64::new(0) }
    }

    /// Whether the circuit is open.
    pub fn is_open(&self) -> bool {
        self.open_until.load(Ordering::Relaxed) != 0
    }

    /// Whether a request may be sent: always while the circuit is closed, one each `retry_after` while it is open.
    pub(crate) fn lets_pass(&self, now: impl Fn() -> u64) -> bool {
        let until = self.open_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = now();
        let next = now.saturating_add(self.retry_after);
        now >= until && self.open_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// How long it is until the next request may try, if the circuit is open.
    pub(crate) fn next_try(&self, now: u64) -> Option<Duration> {
        let until = self.open_until.load(Ordering::Relaxed);
        (until != 0).then(|| Duration::from_millis(until.saturating_sub(now)))
    }

    fn note_success(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.open_until.load(Ordering::Relaxed) != 0 {
            self.open_until.store(0, Ordering::Relaxed);
        }
    }

    /// Opens the circuit after too many failures in a row, if `is_failing` everywhere: what one target of several does wrong
    /// may well come as many failures at once, and is a reason to leave out that one.
    fn note_failure(&self, now: u64, is_failing: impl FnOnce() -> bool) -> Circuit {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.threshold == 0 || failures < self.threshold || self.is_open() || !is_failing() {
            return Circuit::AsBefore;
        }
        self.open_until.store(now.saturating_add(self.retry_after), Ordering::Relaxed);
        Circuit::Opened
    }
}

/// What became of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Opened,
    AsBefore,
}

/// Retries that may still be made: each request earns a share of one, and a few a second need not be earned.
pub(crate) struct Budget {
    share: i64,
    saved: AtomicI64,
    /// The second in which a retry was last made that was not earned, and how many there were in it.
    unearned: AtomicU64,
}

impl Budget {
    pub(crate) fn new(percent: u8) -> Self {
        Self { share: percent.into(), saved: AtomicI64::new(0), unearned: AtomicU64::new(0) }
    }

    pub(crate) fn earn(&self) {
        // The common case is a full purse, which is only read.
        if self.saved.load(Ordering::Relaxed) < SAVINGS {
            self.saved.fetch_add(self.share, Ordering::Relaxed);
        }
    }

    /// Whether a retry may be made, in milliseconds of the upstream's clock.
    pub(crate) fn spend(&self, now: u64) -> bool {
        let earned = |saved: i64| (saved >= RETRY).then_some(saved - RETRY);
        let unearned = |before: u64| {
            let second = now / 1000;
            let made = if before / 100 == second { before % 100 } else { 0 };
            (made < LEAST).then_some(second * 100 + made + 1)
        };
        self.share > 0
            && (self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earned).is_ok()
                || self.unearned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, unearned).is_ok())
    }
}

impl Upstream {
    pub(crate) fn note_success(&self, target: &Target) {
        self.breaker.note_success();
        let state = &target.state;
        for counter in [&state.failures, &state.ejections] {
            if counter.load(Ordering::Relaxed) != 0 {
                counter.store(0, Ordering::Relaxed);
            }
        }
        if state.ejected_until.load(Ordering::Relaxed) != 0 {
            state.is_on_trial.store(false, Ordering::Relaxed);
            state.ejected_until.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_failure(&self, target: &Target) {
        let now = self.now();
        let failures = target.state.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.breaker.note_failure(now, || self.targets().iter().all(|target| target.is_failing())) == Circuit::Opened
        {
            tracing::warn!(upstream = &*self.name, "a circuit is open: nothing but failures from any target");
        }
        let ejection = &self.settings.ejection;
        if ejection.failures == 0 {
            return;
        }
        // A target that was ejected before has to prove itself: the request that tries it decides alone.
        let was_on_trial = target.state.is_on_trial.swap(false, Ordering::Relaxed);
        if !was_on_trial && (failures < ejection.failures || !self.may_eject(target, now)) {
            return;
        }
        let times = target.state.ejections.fetch_add(1, Ordering::Relaxed).min(9);
        let period = ejection.period.duration().saturating_mul(1 << times);
        let until = now.saturating_add(u64::try_from(period.as_millis()).unwrap_or(u64::MAX));
        target.state.ejected_until.store(until, Ordering::Relaxed);
        tracing::warn!(
            upstream = &*self.name,
            target = &*target.name,
            ?period,
            "a target failed too often and is left out"
        );
    }

    fn may_eject(&self, target: &Target, now: u64) -> bool {
        let is_out = |other: &Target| other.state.ejected_until.load(Ordering::Relaxed) > now;
        let all = self.targets().len();
        let out = self.targets().iter().filter(|other| is_out(other)).count();
        let most = all * usize::from(self.settings.ejection.max.percent()) / 100;
        // One may always go, whatever the share says, as long as another one is left.
        all > 1 && !is_out(target) && out < most.max(1)
    }

    /// Looks names up again, checks health, and closes old connections of this thread; runs until it is dropped.
    pub async fn maintain(self: Arc<Self>) {
        let names = async {
            loop {
                tokio::time::sleep(self.settings.dns_refresh.duration()).await;
                for target in self.targets() {
                    if let Err(error) = target.address.refresh().await {
                        tracing::warn!(target = &*target.name, %error, "a target's name could not be looked up again");
                    }
                }
            }
        };
        let checks = futures::future::join_all(self.targets().iter().map(|target| self.check(target)));
        futures::future::join(names, checks).await;
    }

    /// Closes connections of this thread that are of no use any more.
    pub fn tidy(&self) {
        self.targets().iter().for_each(|target| target.tidy());
    }

    async fn check(&self, target: &Arc<Target>) {
        let Some(health) = &self.settings.health else { return };
        let (mut good, mut bad) = (0_u32, 0_u32);
        loop {
            let is_well = self.ask(target, health).await;
            (good, bad) = if is_well { (good.saturating_add(1), 0) } else { (0, bad.saturating_add(1)) };
            let was_healthy = target.state.is_healthy.load(Ordering::Relaxed);
            if !was_healthy && good >= health.healthy_after {
                tracing::info!(upstream = &*self.name, target = &*target.name, "a target is well again");
                target.state.is_healthy.store(true, Ordering::Relaxed);
                self.note_success(target);
            } else if was_healthy && bad >= health.unhealthy_after {
                tracing::warn!(upstream = &*self.name, target = &*target.name, "a target fails its health checks");
                target.state.is_healthy.store(false, Ordering::Relaxed);
            }
            tokio::time::sleep(health.every.duration()).await;
        }
    }

    async fn ask(&self, target: &Arc<Target>, health: &Health) -> bool {
        let host = self.fixed_host.as_ref().unwrap_or(&target.authority);
        let asked = tokio::time::timeout(health.timeout.duration(), self.ask_once(target, health, host)).await;
        asked.unwrap_or(false)
    }

    async fn ask_once(&self, target: &Arc<Target>, health: &Health, host: &HeaderValue) -> bool {
        let request = Request::builder()
            .method(Method::GET)
            .uri(&health.path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, "vestibule-health-check")
            .header(header::CONNECTION, "close");
        let Ok(request) = request.body(()) else { return false };
        let (head, ()) = request.into_parts();
        let alarm = Alarm::new();
        let time = Time { alarm: &alarm, until: None };
        let timeout = health.timeout.duration();
        let Connector { tls, bind, guard, .. } = &self.connector;
        let connector = Connector { tls: tls.clone(), bind: *bind, guard: guard.clone(), timeout };
        // It does not count as one of the upstream's connections, whose limit must not keep a target from being asked.
        let Some(counted) = Arc::new(Places::new(1, 0)).take() else { return false };
        let status = match self.settings.http {
            model::upstream::HttpVersion::Http1 => {
                let Ok(io) = connector.connect(target, time).await else { return false };
                let (first_byte, idle) = (timeout, timeout);
                let terms = h1::Terms { time, first_byte, idle, limits: &self.limits, interim: None };
                let lease = Lease::new(target.clone(), Arc::default());
                let answered = h1::exchange(h1::Connection::new(io, counted), &head, Body::Empty, lease, terms).await;
                answered.ok().map(|answered| answered.response.status())
            }
            model::upstream::HttpVersion::Http2 => {
                let Ok(mut sender) = connector.connect_http2(target, time, counted).await else { return false };
                let request = crate::h2::request(&head, target, Body::Empty);
                sender.send_request(request).await.ok().map(|response| response.status())
            }
        };
        status.is_some_and(|status| status.is_success() || status.is_redirection())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_requests_and_ten_a_second_in_any_case() {
        let budget = Budget::new(20);
        let spent = |now: u64| std::iter::repeat_with(|| budget.spend(now)).take_while(|may| *may).count();

        assert_eq!(spent(1), 10);
        (0..100).for_each(|_| budget.earn());
        assert_eq!(spent(500), 20, "a fifth of a hundred");
        assert_eq!(spent(1001), 10, "the next second");
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!(spent(1001), 100, "no more can be saved up");
    }

    #[test]
    fn a_budget_of_nothing_allows_no_retry() {
        let budget = Budget::new(0);
        budget.earn();
        assert!(!budget.spend(1));
    }

    #[test]
    fn an_open_circuit_lets_one_request_try_at_a_time() {
        let breaker = Breaker::new(2, Duration::from_millis(250));
        assert_eq!(breaker.note_failure(1000, || true), Circuit::AsBefore);
        assert_eq!(breaker.note_failure(1000, || false), Circuit::AsBefore, "another target is well");
        assert_eq!(breaker.note_failure(1000, || true), Circuit::Opened);

        assert!(!breaker.lets_pass(|| 1249));
        assert_eq!(breaker.next_try(1200), Some(Duration::from_millis(50)));
        assert!(breaker.lets_pass(|| 1250));
        assert!(!breaker.lets_pass(|| 1251), "somebody tries already");
        assert!(breaker.lets_pass(|| 1500));
        breaker.note_success();
        assert!(breaker.lets_pass(|| 1501) && breaker.lets_pass(|| 1501));
        assert_eq!(breaker.next_try(1501), None);
    }
}
