//! Sessions over leases in memory, at a time that stands still unless it is told to pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use secrets::SealingKey;
use store::suite::leases::SetClock;
use store::{
    Done, InMemoryLeases, Lease, LeaseId, LeaseListing, LeaseState, Leases, NewLease, Opened, Taken, Unavailable,
};
use tokio::time::Instant;

use crate::closing::tests::closing;
use crate::{About, Answered, Asks, Begun, Maxima, Opening, Outcome, Sessions, Terms, session_id};

/// A backend that answers with a status, and writes down what it was asked.
struct Backend {
    status: Mutex<Option<u16>>,
    asked: Mutex<Vec<String>>,
}

impl Backend {
    fn answering(status: impl Into<Option<u16>>) -> Self {
        Self { status: Mutex::new(status.into()), asked: Mutex::default() }
    }
}

impl Asks for Backend {
    fn ask(&self, upstream: &str, request: Request<Bytes>, _: usize) -> BoxFuture<'static, Answered> {
        self.asked.lock().push(format!("{upstream} {} {}", request.method(), request.uri()));
        let answered = match *self.status.lock() {
            Some(status) => Ok(Response::builder().status(status).body(Bytes::new()).unwrap()),
            None => Err("Connect: refused".to_owned()),
        };
        std::future::ready(answered).boxed()
    }
}

/// Leases that can be out of reach.
struct Reachable {
    leases: InMemoryLeases,
    is_away: AtomicBool,
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $of:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Leases for Reachable {
            $(async fn $name(&self, $($argument: $of),*) -> Result<$answer, Unavailable> {
                if self.is_away.load(Ordering::SeqCst) {
                    return Err(Unavailable::because("away"));
                }
                self.leases.$name($($argument),*).await
            })*
        }
    };
}

pass_on! {
    take(lease: &NewLease) -> Taken;
    open(taken: &LeaseId, opened: &Opened) -> Done;
    renew(used: &[LeaseId]) -> Vec<LeaseId>;
    release(id: &LeaseId) -> Done;
    end(id: &LeaseId) -> Option<Lease>;
    find(id: &LeaseId) -> Option<Lease>;
    list(listing: &LeaseListing) -> Vec<Lease>;
    count(group: &str) -> u32;
    claim(limit: usize, how_long: Duration) -> Vec<Lease>;
    closed(id: &LeaseId, claim: u32, note: &str, keep: Duration) -> Done;
    retry(id: &LeaseId, claim: u32, note: &str, pause: Duration) -> Done;
}

const IDLE: Duration = Duration::from_mins(1);

struct Bench {
    leases: Arc<Reachable>,
    sessions: Sessions,
    clock: SetClock,
    about: About,
}

impl Bench {
    fn new() -> Self {
        let clock = SetClock::default();
        let leases =
            Arc::new(Reachable { leases: InMemoryLeases::new(clock.clock()), is_away: AtomicBool::new(false) });
        let sessions = Sessions::new(leases.clone(), SealingKey::generate().unwrap(), clock.clock());
        let about = About { pool: "crm".to_owned(), company: Some("acme".to_owned()), ..About::default() };
        Self { leases, sessions, clock, about }
    }

    async fn open(&self, id: &str) -> LeaseId {
        let most = Maxima { company: Some(9), ..Maxima::default() };
        let terms = Terms { most, idle: IDLE, limit: Duration::from_hours(1), when_full: Opening::Refused };
        let Begun::Granted { place, .. } = self.sessions.begin(&self.about, &terms).await.unwrap() else {
            panic!("full")
        };
        let id = session_id("crm", Some("acme"), id);
        let opened = self.sessions.opened(&place, &id, &self.about, Some(&closing())).await.unwrap();
        assert_eq!(opened, Done::Now);
        id
    }

    async fn state(&self, id: &LeaseId) -> Option<(LeaseState, u32, String)> {
        let lease = self.leases.leases.find(id).await.unwrap()?;
        Some((lease.state, lease.attempts, lease.note))
    }
}

#[tokio::test]
async fn what_closes_a_session_is_kept_sealed_and_closes_it() {
    let (bench, backend) = (Bench::new(), Backend::answering(204));
    let id = bench.open("s1").await;
    let kept = bench.leases.leases.find(&id).await.unwrap().unwrap();
    let body = String::from_utf8_lossy(&kept.body).into_owned();
    assert!(!body.is_empty() && !body.contains("DELETE") && !kept.about.contains("s1"), "{body}");

    assert_eq!(bench.sessions.close_due(&backend).await.unwrap(), 0);
    bench.clock.pass(IDLE + Duration::from_secs(3));
    assert_eq!(bench.sessions.close_due(&backend).await.unwrap(), 1);

    assert_eq!(*backend.asked.lock(), ["crm DELETE /sessions/s1"]);
    let said = "the backend answered 204".to_owned();
    assert_eq!(bench.state(&id).await, Some((LeaseState::Closed, 1, said)));
    assert_eq!(bench.sessions.close_due(&backend).await.unwrap(), 0);
}

#[tokio::test]
async fn a_session_that_cannot_be_closed_is_tried_again_ever_less_often_and_given_up() {
    let (bench, backend) = (Bench::new(), Backend::answering(None));
    let id = bench.open("s1").await;
    bench.sessions.end(&id).await.unwrap();

    let mut tries = Vec::new();
    for second in 0..40 {
        if bench.sessions.close_due(&backend).await.unwrap() > 0 {
            tries.push(second);
        }
        bench.clock.pass(Duration::from_secs(1));
    }
    // Pauses of 5, 10 and 20 seconds, of which up to a fifth is left out.
    assert_eq!(tries.len(), 4, "{tries:?}");
    let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        (4..=5).contains(&pauses[0]) && (8..=10).contains(&pauses[1]) && (16..=20).contains(&pauses[2]),
        "{tries:?}"
    );
    assert_eq!(bench.state(&id).await, Some((LeaseState::Closing, 4, "Connect: refused".to_owned())));

    bench.clock.pass(Duration::from_hours(24));
    bench.sessions.close_due(&backend).await.unwrap();
    let said = "given up after 5 tries: Connect: refused".to_owned();
    assert_eq!(bench.state(&id).await, Some((LeaseState::Closed, 5, said)));
}

#[tokio::test]
async fn a_backend_that_refuses_is_asked_again_and_one_that_knows_of_none_is_done() {
    for (status, state) in [(500, LeaseState::Closing), (401, LeaseState::Closing), (404, LeaseState::Closed)] {
        let (bench, backend) = (Bench::new(), Backend::answering(status));
        let id = bench.open("s1").await;
        bench.sessions.end(&id).await.unwrap();
        bench.sessions.close_due(&backend).await.unwrap();
        assert_eq!(bench.state(&id).await, Some((state, 1, format!("the backend answered {status}"))));
    }
}

#[tokio::test]
async fn a_claim_that_came_too_late_says_so() {
    let (bench, backend) = (Bench::new(), Backend::answering(204));
    let id = bench.open("s1").await;
    bench.sessions.end(&id).await.unwrap();
    let claimed = bench.leases.claim(1, Duration::from_secs(1)).await.unwrap().remove(0);
    bench.clock.pass(Duration::from_secs(1));
    bench.leases.claim(1, Duration::from_secs(1)).await.unwrap();

    assert_eq!(bench.sessions.close(&claimed, &backend).await.unwrap(), Outcome::Elsewhere);
}

#[tokio::test]
async fn use_keeps_a_session_open() {
    let bench = Bench::new();
    let id = bench.open("s1").await;
    for _ in 0..5 {
        bench.clock.pass(IDLE / 2);
        assert!(bench.sessions.is_open(&id, IDLE, Instant::now()).await.unwrap());
        bench.sessions.tell_uses().await.unwrap();
    }
    bench.clock.pass(IDLE + Duration::from_secs(3));
    assert!(!bench.sessions.is_open(&id, IDLE, Instant::now()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_is_not_asked_for_each_time_and_one_that_ended_elsewhere_is_noticed() {
    let bench = Bench::new();
    let id = bench.open("s1").await;
    assert!(!bench.sessions.is_known(&id, Instant::now()), "who opened it may be another node");
    assert!(bench.sessions.is_open(&id, IDLE, Instant::now()).await.unwrap());
    assert!(bench.sessions.is_known(&id, Instant::now()));

    // As another node would.
    bench.leases.end(&id).await.unwrap();
    assert!(bench.sessions.is_known(&id, Instant::now()));
    bench.sessions.tell_uses().await.unwrap();

    assert!(!bench.sessions.is_known(&id, Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn sessions_that_were_open_stay_so_while_the_store_is_away() {
    let bench = Bench::new();
    let (id, unused) = (bench.open("s1").await, bench.open("s2").await);
    assert!(bench.sessions.is_open(&id, IDLE, Instant::now()).await.unwrap());
    bench.leases.is_away.store(true, Ordering::SeqCst);

    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(!bench.sessions.is_known(&id, Instant::now()));
    assert!(bench.sessions.is_open(&id, IDLE, Instant::now()).await.unwrap());
    assert!(bench.sessions.tell_uses().await.is_err());
    assert!(bench.sessions.is_open(&unused, IDLE, Instant::now()).await.is_err(), "nobody here knows of it");

    // What was used meanwhile is told then.
    bench.leases.is_away.store(false, Ordering::SeqCst);
    bench.clock.pass(Duration::from_secs(30));
    bench.sessions.tell_uses().await.unwrap();
    bench.clock.pass(Duration::from_secs(40));
    assert_eq!(bench.state(&id).await.unwrap().0, LeaseState::Open);
    assert_eq!(bench.state(&unused).await.unwrap().0, LeaseState::Closing);
}
