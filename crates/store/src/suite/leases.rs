//! What every [`Leases`] has to do.

#![expect(missing_docs, reason = "the names are the promises")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Clock, Done, Ending, Group, InMemoryLeases, Lease, LeaseId, LeaseListing, LeaseState, Leases, NewLease, Opened,
    Taken, UnixMicros, WhenFull, Which, Why,
};

/// An empty backend, and the way its time passes.
#[async_trait]
pub trait Bench: Send + Sync {
    fn leases(&self) -> &dyn Leases;
    /// Has time pass for the backend: by its clock, or by waiting if it has one of its own.
    async fn pass(&self, time: Duration);
}

/// A clock that stands still until somebody sets it.
#[derive(Clone)]
pub struct SetClock(Arc<AtomicU64>);

impl Default for SetClock {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(1_767_225_600_000_000)))
    }
}

impl SetClock {
    pub fn clock(&self) -> Clock {
        let micros = self.0.clone();
        Arc::new(move || UnixMicros(micros.load(Ordering::SeqCst)))
    }

    pub fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

const TTL: Duration = Duration::from_millis(400);
const LIFE: Duration = Duration::from_secs(1);
const A_WHILE: Duration = Duration::from_millis(300);
/// Enough for leases to be taken one after the other.
const A_MOMENT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_hours(1);

fn id(name: &str) -> LeaseId {
    LeaseId::of(name.as_bytes())
}

/// One for `company`, of which there may be so many, and for `app` of it.
fn one(name: &str, company: u32, app: u32) -> NewLease {
    NewLease {
        id: id(name),
        groups: vec![
            Group { name: "all".to_owned(), most: None },
            Group { name: "acme".to_owned(), most: Some(company) },
            Group { name: "acme/shop".to_owned(), most: Some(app) },
        ],
        ttl: TTL,
        life: LIFE,
        when_full: WhenFull::Refuse,
        about: format!("{{\"name\":\"{name}\"}}"),
    }
}

fn ousting(new: NewLease) -> NewLease {
    NewLease { when_full: WhenFull::Oust { claim: A_WHILE }, ..new }
}

fn opened(name: &str, ending: Ending) -> Opened {
    Opened { id: id(name), ending, about: format!("{{\"opened\":\"{name}\"}}"), body: name.as_bytes().to_vec() }
}

fn granted() -> Taken {
    Taken::Granted { ousted: Vec::new() }
}

fn full(group: &str) -> Taken {
    Taken::Full { group: group.to_owned() }
}

/// Takes one and opens it under its own name.
async fn hold(leases: &dyn Leases, new: &NewLease, ending: Ending) {
    assert_eq!(leases.take(new).await.unwrap(), granted());
    let opened = Opened { id: new.id.clone(), ..opened("x", ending) };
    assert_eq!(leases.open(&new.id, &opened).await.unwrap(), Done::Now);
}

async fn state(leases: &dyn Leases, name: &str) -> Option<LeaseState> {
    leases.find(&id(name)).await.unwrap().map(|lease| lease.state)
}

async fn names(leases: &dyn Leases, group: &str, which: Which) -> Vec<LeaseId> {
    let listing = LeaseListing { group: group.to_owned(), which, after: None, limit: 99 };
    leases.list(&listing).await.unwrap().into_iter().map(|lease| lease.id).collect()
}

pub async fn a_lease_is_found_as_it_was_opened(bench: &dyn Bench) {
    let leases = bench.leases();
    assert_eq!(leases.find(&id("a")).await.unwrap(), None);
    assert_eq!(leases.take(&one("chance", 2, 1)).await.unwrap(), granted());
    let taken = leases.find(&id("chance")).await.unwrap().unwrap();
    assert_eq!((taken.state, &*taken.about), (LeaseState::Opening, "{\"name\":\"chance\"}"));

    bench.pass(A_WHILE).await;
    assert_eq!(leases.open(&id("chance"), &opened("a", Ending::Close)).await.unwrap(), Done::Now);

    assert_eq!(leases.find(&id("chance")).await.unwrap(), None);
    let Lease { id: name, state, ending, about, body, ended, attempts, .. } =
        leases.find(&id("a")).await.unwrap().unwrap();
    assert_eq!((name, state, ending), (id("a"), LeaseState::Open, Ending::Close));
    assert_eq!((&*about, &*body), ("{\"opened\":\"a\"}", b"a".as_slice()));
    assert_eq!((ended, attempts), (None, 0));
    let lease = leases.find(&id("a")).await.unwrap().unwrap();
    assert_eq!((lease.opened, lease.latest), (taken.opened, taken.latest));
    assert!(taken.renewed < lease.renewed && taken.ends < lease.ends, "{lease:?}");
    assert_eq!(lease.latest.0 - lease.opened.0, 1_000_000);
    assert_eq!(lease.ends.0 - lease.renewed.0, 400_000);
    assert_eq!(leases.open(&id("a"), &opened("b", Ending::Close)).await.unwrap(), Done::Gone);
}

pub async fn what_is_taken_twice_counts_once(bench: &dyn Bench) {
    let leases = bench.leases();
    assert_eq!(leases.take(&one("a", 1, 1)).await.unwrap(), granted());
    assert_eq!(leases.take(&one("a", 1, 1)).await.unwrap(), granted());
    assert_eq!(leases.count("acme").await.unwrap(), 1);
}

pub async fn no_group_has_more_than_its_maximum(bench: &dyn Bench) {
    let leases = bench.leases();
    assert_eq!(leases.take(&one("a", 2, 1)).await.unwrap(), granted());
    assert_eq!(leases.take(&one("b", 2, 1)).await.unwrap(), full("acme/shop"));

    let other_app = |name: &str| {
        let mut new = one(name, 2, 1);
        new.groups.truncate(2);
        new
    };
    assert_eq!(leases.take(&other_app("c")).await.unwrap(), granted());
    assert_eq!(leases.take(&other_app("d")).await.unwrap(), full("acme"));
    assert_eq!(leases.take(&one("b", 2, 1)).await.unwrap(), full("acme"));
    let counts = (leases.count("acme").await.unwrap(), leases.count("acme/shop").await.unwrap());
    assert_eq!((counts, leases.count("nobody").await.unwrap()), ((2, 1), 0));
    assert_eq!(leases.find(&id("b")).await.unwrap(), None);
}

pub async fn a_group_without_a_maximum_only_lists(bench: &dyn Bench) {
    let leases = bench.leases();
    for name in ["a", "b", "c"] {
        assert_eq!(leases.take(&one(name, 9, 9)).await.unwrap(), granted());
    }
    assert_eq!(leases.count("all").await.unwrap(), 3);
    assert_eq!(names(leases, "all", Which::Current).await.len(), 3);
    assert_eq!(names(leases, "nobody", Which::Current).await, []);
}

pub async fn askers_at_once_never_get_more_than_the_maximum(bench: &dyn Bench) {
    let leases = bench.leases();
    let names: Vec<_> = (0..64).map(|number| one(&number.to_string(), 7, 64)).collect();
    let taken = futures::future::join_all(names.iter().map(|new| leases.take(new))).await;

    assert_eq!(taken.into_iter().filter(|taken| *taken.as_ref().unwrap() == granted()).count(), 7);
    assert_eq!(leases.count("acme").await.unwrap(), 7);
}

pub async fn a_lease_that_is_let_go_makes_room_at_once(bench: &dyn Bench) {
    let leases = bench.leases();
    leases.take(&one("a", 2, 2)).await.unwrap();
    hold(leases, &one("b", 2, 2), Ending::Close).await;
    assert_eq!(leases.take(&one("c", 2, 2)).await.unwrap(), full("acme"));

    assert_eq!(leases.release(&id("a")).await.unwrap(), Done::Now);
    assert_eq!(leases.release(&id("b")).await.unwrap(), Done::Now);

    assert_eq!(leases.release(&id("b")).await.unwrap(), Done::Gone);
    assert_eq!((state(leases, "a").await, state(leases, "b").await), (None, None));
    assert_eq!(leases.count("acme").await.unwrap(), 0);
    assert_eq!(leases.take(&one("c", 1, 1)).await.unwrap(), granted());
    assert_eq!(names(leases, "all", Which::Current).await, [id("c")]);
}

pub async fn a_lease_that_nobody_renews_ends(bench: &dyn Bench) {
    let leases = bench.leases();
    hold(leases, &one("a", 9, 9), Ending::Close).await;
    hold(leases, &one("b", 9, 9), Ending::Close).await;

    bench.pass(A_WHILE).await;
    assert_eq!(leases.renew(&[id("a"), id("nobody")]).await.unwrap(), [id("nobody")]);
    bench.pass(A_WHILE).await;

    assert_eq!(state(leases, "a").await, Some(LeaseState::Open));
    let ended = leases.find(&id("b")).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.ended.unwrap().1), (LeaseState::Closing, Why::Idle));
    assert_eq!(leases.renew(&[id("a"), id("b")]).await.unwrap(), [id("b")]);
}

pub async fn a_lease_that_is_renewed_ends_when_it_is_as_old_as_it_may_become(bench: &dyn Bench) {
    let leases = bench.leases();
    hold(leases, &one("a", 9, 9), Ending::Close).await;
    for _ in 0..3 {
        bench.pass(A_WHILE).await;
        assert_eq!(leases.renew(&[id("a")]).await.unwrap(), []);
    }
    bench.pass(A_WHILE).await;

    assert_eq!(leases.renew(&[id("a")]).await.unwrap(), [id("a")]);
    assert_eq!(leases.find(&id("a")).await.unwrap().unwrap().ended.unwrap().1, Why::Life);
}

pub async fn what_takes_too_long_to_open_is_gone(bench: &dyn Bench) {
    let leases = bench.leases();
    leases.take(&one("a", 1, 1)).await.unwrap();
    bench.pass(TTL).await;

    assert_eq!(leases.take(&one("b", 1, 1)).await.unwrap(), granted());
    assert_eq!(leases.open(&id("a"), &opened("a", Ending::Close)).await.unwrap(), Done::Gone);
    assert_eq!(state(leases, "a").await, None);
}

pub async fn what_is_opened_again_takes_the_place_of_what_it_was(bench: &dyn Bench) {
    let leases = bench.leases();
    hold(leases, &one("a", 2, 2), Ending::Close).await;
    leases.take(&one("chance", 2, 2)).await.unwrap();
    assert_eq!(leases.count("acme").await.unwrap(), 2);

    assert_eq!(leases.open(&id("chance"), &opened("a", Ending::Forget)).await.unwrap(), Done::Now);

    assert_eq!(leases.count("acme").await.unwrap(), 1);
    assert_eq!(leases.find(&id("a")).await.unwrap().unwrap().ending, Ending::Forget);
}

pub async fn what_is_forgotten_in_the_end_makes_room_and_what_is_to_be_closed_does_not(bench: &dyn Bench) {
    let leases = bench.leases();
    hold(leases, &one("a", 2, 2), Ending::Forget).await;
    hold(leases, &one("b", 2, 2), Ending::Close).await;
    bench.pass(TTL).await;

    assert_eq!((state(leases, "a").await, state(leases, "b").await), (None, Some(LeaseState::Closing)));
    assert_eq!(leases.take(&one("c", 2, 2)).await.unwrap(), granted());
    assert_eq!(leases.take(&one("d", 2, 2)).await.unwrap(), full("acme"));
    assert_eq!(leases.count("acme").await.unwrap(), 2);

    let claimed = leases.claim(9, A_WHILE).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(leases.closed(&id("b"), claimed[0].attempts, "204", LONG).await.unwrap(), Done::Now);
    assert_eq!(leases.take(&one("d", 2, 2)).await.unwrap(), granted());
}

pub async fn the_oldest_gives_its_place_away(bench: &dyn Bench) {
    let leases = bench.leases();
    for (name, ending) in [("a", Ending::Close), ("b", Ending::Forget)] {
        hold(leases, &one(name, 2, 2), ending).await;
        bench.pass(A_MOMENT).await;
    }
    // Use does not make it younger.
    leases.renew(&[id("a")]).await.unwrap();

    let Taken::Granted { ousted } = leases.take(&ousting(one("c", 2, 2))).await.unwrap() else { panic!("full") };
    let first: Vec<_> = ousted.iter().map(|lease| (&lease.id, lease.state, lease.attempts, &*lease.body)).collect();
    assert_eq!(first, [(&id("a"), LeaseState::Closing, 1, b"x".as_slice())]);
    assert_eq!(ousted[0].ended.unwrap().1, Why::Ousted);
    assert_eq!(leases.count("acme").await.unwrap(), 2);
    // Whoever took its place closes it.
    assert_eq!(leases.claim(9, A_WHILE).await.unwrap(), []);
    assert_eq!(leases.closed(&id("a"), 1, "204", LONG).await.unwrap(), Done::Now);
    assert_eq!(leases.count("acme").await.unwrap(), 2);

    let Taken::Granted { ousted } = leases.take(&ousting(one("d", 2, 2))).await.unwrap() else { panic!("full") };
    assert_eq!(ousted.iter().map(|lease| &lease.id).collect::<Vec<_>>(), [&id("b")]);
    assert_eq!(state(leases, "b").await, None);
    assert_eq!(leases.count("acme").await.unwrap(), 2);
}

pub async fn what_gave_its_place_away_counts_again_if_the_place_is_not_used(bench: &dyn Bench) {
    let leases = bench.leases();
    hold(leases, &one("a", 1, 1), Ending::Close).await;
    leases.take(&ousting(one("b", 1, 1))).await.unwrap();
    assert_eq!(leases.count("acme").await.unwrap(), 1);

    leases.release(&id("b")).await.unwrap();
    assert_eq!(leases.count("acme").await.unwrap(), 1);
    assert_eq!(leases.take(&ousting(one("c", 1, 1))).await.unwrap(), full("acme"));

    bench.pass(A_WHILE).await;
    let claimed = leases.claim(9, A_WHILE).await.unwrap();
    assert_eq!(leases.closed(&id("a"), claimed[0].attempts, "", LONG).await.unwrap(), Done::Now);
    assert_eq!(leases.take(&ousting(one("c", 1, 1))).await.unwrap(), granted());
}

pub async fn nobody_gives_a_place_away_that_is_not_open(bench: &dyn Bench) {
    let leases = bench.leases();
    leases.take(&one("a", 1, 1)).await.unwrap();
    assert_eq!(leases.take(&ousting(one("b", 1, 1))).await.unwrap(), full("acme"));
    assert_eq!(leases.end(&id("a")).await.unwrap(), None);
    assert_eq!(state(leases, "a").await, Some(LeaseState::Opening));

    // What is given away in one group comes back if another group is full all the same.
    let mut other = one("c", 9, 9);
    other.groups[1] = Group { name: "other".to_owned(), most: Some(1) };
    other.groups[2] = Group { name: "other/shop".to_owned(), most: Some(1) };
    hold(leases, &other, Ending::Close).await;
    let mut both = ousting(one("d", 1, 1));
    both.groups.insert(0, Group { name: "other".to_owned(), most: Some(1) });
    assert_eq!(leases.take(&both).await.unwrap(), full("acme"));
    assert_eq!(state(leases, "c").await, Some(LeaseState::Open));
}

pub async fn what_is_to_be_closed_is_claimed_once_and_again_after_a_while(bench: &dyn Bench) {
    let leases = bench.leases();
    for name in ["a", "b", "c"] {
        hold(leases, &one(name, 9, 9), Ending::Close).await;
    }
    assert_eq!(leases.claim(9, A_WHILE).await.unwrap(), []);
    bench.pass(TTL).await;

    let first = leases.claim(2, A_WHILE).await.unwrap();
    let rest = leases.claim(9, A_WHILE).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert_eq!(leases.claim(9, A_WHILE).await.unwrap(), []);
    let mut all: Vec<_> = first.iter().chain(&rest).map(|lease| lease.id.clone()).collect();
    all.sort_unstable();
    assert_eq!(all, [id("a"), id("b"), id("c")]);
    assert!(first.iter().all(|lease| lease.attempts == 1 && *lease.body == *b"x"));

    bench.pass(A_WHILE).await;
    let again = leases.claim(9, A_WHILE).await.unwrap();
    assert_eq!(again.iter().map(|lease| lease.attempts).collect::<Vec<_>>(), [2, 2, 2]);
}

pub async fn only_the_latest_claim_says_what_became_of_it(bench: &dyn Bench) {
    let leases = bench.leases();
    hold(leases, &one("a", 9, 9), Ending::Close).await;
    bench.pass(TTL).await;
    assert_eq!(leases.claim(9, A_WHILE).await.unwrap()[0].attempts, 1);
    assert_eq!(leases.retry(&id("a"), 1, "refused", A_WHILE).await.unwrap(), Done::Now);
    assert_eq!(leases.claim(9, A_WHILE).await.unwrap(), []);
    bench.pass(A_WHILE).await;
    let second = leases.claim(9, A_WHILE).await.unwrap();
    assert_eq!((second[0].attempts, &*second[0].note), (2, "refused"));

    assert_eq!(leases.closed(&id("a"), 1, "late", LONG).await.unwrap(), Done::Gone);
    assert_eq!(leases.retry(&id("a"), 1, "late", LONG).await.unwrap(), Done::Gone);
    assert_eq!(leases.closed(&id("a"), 2, "204", LONG).await.unwrap(), Done::Now);
    assert_eq!(leases.closed(&id("a"), 2, "204", LONG).await.unwrap(), Done::Gone);
}

pub async fn what_was_closed_is_kept_for_a_while(bench: &dyn Bench) {
    let leases = bench.leases();
    hold(leases, &one("a", 1, 1), Ending::Close).await;
    bench.pass(TTL).await;
    leases.claim(9, A_WHILE).await.unwrap();
    leases.closed(&id("a"), 1, "204", A_WHILE).await.unwrap();

    let kept = leases.find(&id("a")).await.unwrap().unwrap();
    assert_eq!((kept.state, &*kept.note, kept.ended.unwrap().1), (LeaseState::Closed, "204", Why::Idle));
    assert!(kept.body.is_empty(), "what was needed to close it is of no use any more");
    assert_eq!(names(leases, "acme", Which::Closed).await, [id("a")]);
    assert_eq!(names(leases, "acme", Which::Current).await, []);
    assert_eq!(leases.count("acme").await.unwrap(), 0);
    assert_eq!(leases.end(&id("a")).await.unwrap(), None);
    assert_eq!(leases.release(&id("a")).await.unwrap(), Done::Gone);

    bench.pass(A_WHILE).await;
    assert_eq!(leases.claim(9, A_WHILE).await.unwrap(), []);
    assert_eq!(leases.find(&id("a")).await.unwrap(), None);
    assert_eq!(names(leases, "acme", Which::Closed).await, []);
}

pub async fn what_somebody_ends_is_due_at_once(bench: &dyn Bench) {
    let leases = bench.leases();
    hold(leases, &one("a", 9, 9), Ending::Close).await;
    hold(leases, &one("b", 9, 9), Ending::Forget).await;

    let ended = leases.end(&id("a")).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.ended.unwrap().1), (LeaseState::Closing, Why::Asked));
    assert!(leases.end(&id("b")).await.unwrap().is_some());
    assert_eq!((state(leases, "b").await, leases.end(&id("b")).await.unwrap()), (None, None));

    assert_eq!(leases.claim(9, LONG).await.unwrap().len(), 1);
    leases.retry(&id("a"), 1, "refused", LONG).await.unwrap();
    assert_eq!(leases.claim(9, LONG).await.unwrap(), []);
    assert!(leases.end(&id("a")).await.unwrap().is_some());
    assert_eq!(leases.claim(9, LONG).await.unwrap().len(), 1);
}

pub async fn lists_come_in_pages_in_the_order_of_taking(bench: &dyn Bench) {
    let leases = bench.leases();
    let order = ["c", "a", "d", "b", "e"];
    for name in order {
        leases.take(&one(name, 9, 9)).await.unwrap();
        bench.pass(A_MOMENT).await;
    }
    // Those of one time come by their id; a clock that does not stand still gives each a time of its own.
    let mut listing = LeaseListing { group: "acme".to_owned(), which: Which::Current, after: None, limit: 2 };
    let mut seen = Vec::new();
    loop {
        let page = leases.list(&listing).await.unwrap();
        let Some(last) = page.last() else { break };
        listing.after = Some((last.opened, last.id.clone()));
        seen.extend(page.into_iter().map(|lease| lease.id));
    }
    assert_eq!(seen, order.map(id));
}

/// What `any_history_goes_as_it_does_in_memory` asks both.
async fn told(leases: &dyn Leases, what: usize, name: &str, other: &str, most: u32) -> String {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60 + 30);
    let brief = |lease: &Lease| {
        let why = lease.ended.map(|(_, why)| why);
        format!("{} {} {why:?} {} {:?}", lease.id, lease.state, lease.attempts, lease.note)
    };
    let many = |found: &[Lease]| {
        let mut found: Vec<_> = found.iter().map(brief).collect();
        found.sort();
        found.join(", ")
    };
    let attempts = leases.find(&id(name)).await.unwrap().map_or(0, |lease| lease.attempts);
    match what {
        0..=2 => {
            let new = NewLease { ttl: minutes(10), life: minutes(40), ..one(name, most + 1, most) };
            let oust = NewLease { when_full: WhenFull::Oust { claim: minutes(3) }, ..new.clone() };
            match leases.take(if what == 0 { &oust } else { &new }).await.unwrap() {
                Taken::Granted { ousted } => format!("granted {}", many(&ousted)),
                Taken::Full { group } => format!("full {group}"),
            }
        }
        3 | 4 => {
            let ending = if most == 1 { Ending::Forget } else { Ending::Close };
            format!("{:?}", leases.open(&id(name), &opened(other, ending)).await.unwrap())
        }
        5 => format!("{:?}", leases.renew(&[id(name), id(other)]).await.unwrap()),
        6 => format!("{:?}", leases.release(&id(name)).await.unwrap()),
        7 => many(leases.end(&id(name)).await.unwrap().as_slice()),
        8 => many(&leases.claim(9, minutes(3)).await.unwrap()),
        9 => format!("{:?}", leases.closed(&id(name), attempts, "done", minutes(8)).await.unwrap()),
        _ => format!("{:?}", leases.retry(&id(name), attempts, "later", minutes(2)).await.unwrap()),
    }
}

pub async fn any_history_goes_as_it_does_in_memory(bench: &dyn Bench) {
    let clock = SetClock::default();
    let model = InMemoryLeases::new(clock.clock());
    // A history by chance, which is the same each time.
    let mut chance = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |most: u64| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        usize::try_from(chance % most).unwrap()
    };
    let names = ["a", "b", "c", "d", "e", "f"];
    for step in 0..600 {
        // All at one time would come in another order.
        let time = Duration::from_mins(1 + 7 * u64::from(below(20) == 0));
        bench.pass(time).await;
        clock.pass(time);
        let (what, name, other) = (below(11), names[below(6)], names[below(6)]);
        let most = u32::try_from(1 + below(3)).unwrap();

        let expected = told(&model, what, name, other, most).await;
        assert_eq!(told(bench.leases(), what, name, other, most).await, expected, "step {step}: {what} {name} {other}");
        for group in ["acme", "acme/shop"] {
            let expected = model.count(group).await.unwrap();
            assert_eq!(bench.leases().count(group).await.unwrap(), expected, "step {step}: {what} {name} {other}");
        }
        for which in [Which::Current, Which::Closed] {
            let expected = self::names(&model, "all", which).await;
            assert_eq!(self::names(bench.leases(), "all", which).await, expected, "step {step}: {what} {name} {other}");
        }
    }
}
