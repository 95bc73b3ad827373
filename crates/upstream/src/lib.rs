//! Backends: which target a request goes to, how it gets there, and what happens when it does not.
//!
//! Every worker has its own idle connections; health and counters are shared. Deliberately not here: what a request or
//! an answer should look like. Heads and bodies pass as they are given.

mod attempt;
mod balance;
mod connect;
mod failed;
mod h1;
mod h2;
mod health;
mod held;
pub mod io;
mod places;
mod recipient;
pub mod socket;
mod target;
pub mod tls;
mod turn;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use alarm::Alarm;
use bytes::Bytes;
use http::{Method, Response, request};
use model::upstream::HostHeader;
use pipeline::Body;
use problem::{Finding, Pointer};
use smallvec::SmallVec;
use tokio::time::Instant;

pub use self::connect::Guard;
pub use self::failed::{Failed, Kind};
pub use self::h1::Interim;
pub use self::health::Breaker;
pub use self::recipient::{Address, Below, Recipient, Reply};
pub use self::target::Target;
pub use self::turn::Turn;
use crate::balance::Picker;
use crate::connect::{Connector, Time};
use crate::health::Budget;
use crate::io::Io;
use crate::places::Places;
use crate::target::Place;

/// A backend: targets that are as good as each other.
pub struct Upstream {
    /// Its name in the configuration.
    pub name: Arc<str>,
    settings: model::upstream::Upstream,
    targets: Vec<Arc<Target>>,
    picker: Picker,
    connector: Connector,
    places: Arc<Places>,
    limits: http1::Limits,
    breaker: Breaker,
    budget: Budget,
    in_flight: Arc<AtomicU32>,
    fixed_host: Option<http::HeaderValue>,
    began: Instant,
    /// Requests sent, and those that failed.
    pub sent: AtomicU64,
    /// Requests that got no answer.
    pub failures: AtomicU64,
}

/// A request on its way out.
pub struct Outgoing<'a> {
    /// Its head, complete but for `Host`.
    pub head: &'a mut request::Parts,
    /// Its body.
    pub body: Body,
    /// The client's address, by which a target may be chosen.
    pub client: IpAddr,
    /// The time limit of whoever waits.
    pub alarm: &'a Alarm,
    /// Who wants to hear of 1xx answers.
    pub interim: Option<Interim>,
}

/// An upstream's answer.
pub struct Answer {
    /// The answer.
    pub response: Response<Body>,
    /// The connection, if the target switched protocols (status 101), and what it said already.
    pub tunnel: Option<(Io, Bytes)>,
    /// The target that gave it.
    pub target: Arc<str>,
    /// How often the request was sent.
    pub attempts: u32,
    /// From sending it to the head of the answer.
    pub first_byte: Duration,
}

impl Upstream {
    /// An upstream by these settings, or everything that is wrong with them.
    pub fn compile(name: &str, settings: &model::upstream::Upstream, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut targets = Vec::new();
        for (index, target) in settings.targets.iter().enumerate() {
            match Place::parse(target.url(), settings.tls.server_name.as_deref()) {
                Ok(place) => targets.push(Arc::new(Target::new(place, target.weight(), &settings.keep_alive))),
                Err(message) => findings.push(Finding::new(&at.at("targets").at(index), message)),
            }
        }
        if targets.iter().all(|target| target.weight == 0) && findings.is_empty() {
            findings.push(Finding::new(&at.at("targets"), "no target has a weight above 0, so none can serve"));
        }
        let tls = targets.iter().any(|target| target.tls.is_some());
        let tls = tls.then(|| tls::connector(&settings.tls, settings.http, &at.at("tls"))).transpose();
        let tls = tls.map_err(|finding| findings.push(finding)).unwrap_or_default();
        let weights: Vec<_> = settings.targets.iter().map(model::upstream::Target::weight).collect();
        let picker = Picker::new(&settings.balance, &weights)
            .map_err(|message| findings.push(Finding::new(&at.at("balance"), message)));
        let fixed_host = match &settings.host {
            HostHeader::Preserve | HostHeader::Target => None,
            HostHeader::Fixed(host) => host
                .parse()
                .map_err(|error| findings.push(Finding::new(&at.at("host"), format!("`{host}` is no host: {error}"))))
                .ok(),
        };
        let picker = match picker {
            Ok(picker) if findings.is_empty() => picker,
            _ => return Err(findings),
        };
        let timeout = settings.timeouts.connect.duration();
        Ok(Self {
            name: name.into(),
            connector: Connector { tls, bind: settings.bind, timeout, guard: None },
            places: Arc::new(Places::new(settings.breaker.connections, settings.breaker.pending)),
            limits: http1::Limits { head_bytes: settings.head_bytes.as_usize(), headers: 200, ..Default::default() },
            breaker: Breaker::new(settings.breaker.failures, settings.breaker.retry_after.duration()),
            budget: Budget::new(settings.retries.budget.percent()),
            in_flight: Arc::default(),
            settings: settings.clone(),
            began: Instant::now(),
            sent: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            targets,
            picker,
            fixed_host,
        })
    }

    /// Connects to those addresses alone that the guard lets pass.
    #[must_use]
    pub fn guarded(mut self, guard: Guard) -> Self {
        self.connector.guard = Some(guard);
        self
    }

    /// Sends a request to one of the targets, and again to another where that is safe.
    pub async fn send(&self, mut request: Outgoing<'_>) -> Result<Answer, Failed> {
        let refused = |kind| Failed { kind, target: None, attempts: 0, again: None, cause: None };
        if self.in_flight.load(Ordering::Relaxed) >= self.settings.breaker.requests {
            return Err(refused(Kind::Full));
        }
        if !self.breaker.lets_pass(|| self.now()) {
            return Err(Failed { again: self.breaker.next_try(self.now()), ..refused(Kind::CircuitOpen) });
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        let until = self.settings.timeouts.total.map(|total| Instant::now() + total.duration());
        let time = Time { alarm: request.alarm, until };
        self.budget.earn();
        let mut tried = SmallVec::<[usize; 4]>::new();
        loop {
            let Some(index) = self.pick(&request, &tried) else { return Err(refused(Kind::NoTarget)) };
            let Some(target) = self.targets.get(index) else { return Err(refused(Kind::NoTarget)) };
            tried.push(index);
            let attempts = u32::try_from(tried.len()).unwrap_or(u32::MAX);
            let replay = if is_idempotent(&request.head.method) { request.body.again() } else { None };
            let began = Instant::now();
            let failed = match self.attempt(target, &mut request, time).await {
                Ok((response, tunnel)) => {
                    if let Some(body) = self.settled(target, &response, replay, attempts) {
                        request.body = body;
                        continue;
                    }
                    let first_byte = began.elapsed();
                    return Ok(Answer { response, tunnel, target: target.name.clone(), attempts, first_byte });
                }
                Err(failed) => failed,
            };
            if failed.kind.is_the_targets() {
                self.note_failure(target);
            }
            let may_again = attempts <= self.settings.retries.attempts && !time.is_over();
            let body = failed.body.or(replay).filter(|_| may_again);
            let Some(body) = body.filter(|_| self.may_try_again(failed.kind, &tried)) else {
                self.failures.fetch_add(1, Ordering::Relaxed);
                let target = Some(target.name.clone());
                return Err(Failed { kind: failed.kind, target, attempts, again: None, cause: Some(failed.cause) });
            };
            request.body = body;
        }
    }

    /// Its targets.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Open connections, idle ones included.
    pub fn connections(&self) -> u32 {
        self.places.open()
    }

    /// Requests that wait for a connection.
    pub fn pending(&self) -> usize {
        self.places.waiting()
    }

    /// Its circuit breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Milliseconds since the upstream was made, and one more: 0 means never.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX) + 1
    }

    /// The target to ask; of those that were left out and may be well again, each is tried by one request at a time.
    fn pick(&self, request: &Outgoing<'_>, tried: &[usize]) -> Option<usize> {
        let period = self.settings.ejection.period.duration();
        for _ in &self.targets {
            let index = self.choose(request, tried)?;
            if self.targets.get(index)?.admits(|| self.now(), period) {
                return Some(index);
            }
        }
        self.choose(request, tried)
    }

    /// The target in turn; one that was tried already only if there is no other, one out of service only if all are.
    fn choose(&self, request: &Outgoing<'_>, tried: &[usize]) -> Option<usize> {
        let about = (&request.head.headers, request.client);
        let is_new = |target: &Target| {
            !tried
                .iter()
                .any(|index| self.targets.get(*index).is_some_and(|other| std::ptr::eq(&raw const **other, target)))
        };
        let in_service = |target: &Target| target.is_in_service(|| self.now());
        self.picker
            .pick(&self.targets, about, |target| in_service(target) && is_new(target))
            .or_else(|| self.picker.pick(&self.targets, about, in_service))
            .or_else(|| {
                self.picker.pick(&self.targets, about, |target| target.state.is_healthy.load(Ordering::Relaxed))
            })
    }

    /// Whether a failed attempt is worth another one; it takes from the budget what that costs.
    fn may_try_again(&self, kind: Kind, tried: &[usize]) -> bool {
        let has_another = || {
            let is_new = |(index, target): (usize, &Arc<Target>)| {
                !tried.contains(&index) && target.weight > 0 && target.is_in_service(|| self.now())
            };
            self.targets.iter().enumerate().any(is_new)
        };
        match kind {
            // It took no time and no work. Another target costs as little, and this one would refuse again.
            Kind::Connect => has_another(),
            // This one would take as long again.
            Kind::Name | Kind::ConnectLate | Kind::Tls => has_another() && self.budget.spend(self.now()),
            Kind::Closed => self.budget.spend(self.now()),
            Kind::CircuitOpen
            | Kind::NoTarget
            | Kind::Full
            | Kind::Exhausted
            | Kind::Late
            | Kind::ClientLate
            | Kind::Invalid
            | Kind::ClientBody => false,
        }
    }

    /// Takes note of an answer; returns the body to send again if another target is worth asking.
    fn settled(&self, target: &Target, response: &Response<Body>, replay: Option<Body>, attempts: u32) -> Option<Body> {
        let status = response.status().as_u16();
        if matches!(status, 502..=504) {
            self.note_failure(target);
        } else {
            self.note_success(target);
        }
        let retries = &self.settings.retries;
        let body = replay.filter(|_| retries.statuses.contains(&status) && attempts <= retries.attempts)?;
        self.budget.spend(self.now()).then_some(body)
    }
}

/// Whether a request may be sent twice (RFC 9110, section 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}
