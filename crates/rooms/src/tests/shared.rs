//! What holds where several nodes have rooms together, whatever becomes of a node or of what they share.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use secrets::{Masters, Vault};
use store::{Base, Behind, InMemoryLog, Place, SharedLog, Then, Turn, Unavailable, UnixMicros, Wrote};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use waiting_room::{Ending, JoinKey, PassOn, RequestId};

use super::{expiring, settings};
use crate::{Admission, Arrival, KeptRoom, NotKept, Rooms, Settings, Taken, Trouble, Wish};

/// A log that fails now and then, and may forget.
pub(super) struct Flaky {
    log: Mutex<Arc<InMemoryLog>>,
    begun: Instant,
    /// One of so many questions gets no answer. Zero: none.
    fails: AtomicU64,
    asked: AtomicU64,
    /// Nothing can be written.
    takes_nothing: AtomicBool,
}

impl Flaky {
    pub(super) fn new() -> Arc<Self> {
        let begun = Instant::now();
        let log = Mutex::new(Arc::new(empty(begun)));
        let takes_nothing = AtomicBool::new(false);
        Arc::new(Self { log, begun, fails: AtomicU64::new(0), asked: AtomicU64::new(0), takes_nothing })
    }

    /// Whether a question gets no answer, and whether it is heard then.
    fn fails(&self) -> (bool, bool) {
        let (fails, asked) = (self.fails.load(Ordering::Relaxed), self.asked.fetch_add(1, Ordering::Relaxed));
        (fails > 0 && asked % fails == 0, asked / fails.max(1) % 2 == 0)
    }

    async fn ask<T>(
        &self,
        answer: impl AsyncFnOnce(Arc<InMemoryLog>) -> Result<T, Unavailable>,
    ) -> Result<T, Unavailable> {
        // Nothing takes no time.
        tokio::time::sleep(Duration::from_micros(300)).await;
        let ((fails, is_heard), log) = (self.fails(), self.log.lock().clone());
        if fails && !is_heard {
            return Err(Unavailable::because("it is away"));
        }
        let answered = answer(log).await;
        if fails { Err(Unavailable::because("the answer got lost")) } else { answered }
    }

    /// Has the server forget what it acknowledged last.
    async fn forget(&self, batches: usize) {
        let (old, new) = (self.log.lock().clone(), Arc::new(empty(self.begun)));
        let (mut at, mut all) = (Place::default(), Vec::new());
        while let Behind::Known { batches, .. } = old.read(at).await.unwrap() {
            let Some((last, _)) = batches.last() else { break };
            at = *last;
            all.extend(batches);
        }
        all.truncate(all.len() - batches);
        let mut at = Place::default();
        new.take("again", at).await.unwrap();
        for (place, batch) in all {
            assert_eq!(new.write("again", (at, place), &batch, Then::Keep).await.unwrap(), Wrote::Kept);
            at = place;
        }
        new.pass("again").await.unwrap();
        *self.log.lock() = new;
    }
}

fn empty(begun: Instant) -> InMemoryLog {
    InMemoryLog::new(Arc::new(move || UnixMicros(u64::try_from(begun.elapsed().as_micros()).unwrap())))
}

#[async_trait]
impl SharedLog for Flaky {
    async fn read(&self, known: Place) -> Result<Behind, Unavailable> {
        self.ask(async move |log| log.read(known).await).await
    }

    async fn take(&self, who: &str, known: Place) -> Result<Turn, Unavailable> {
        self.ask(async move |log| log.take(who, known).await).await
    }

    async fn write(&self, who: &str, between: (Place, Place), batch: &[u8], then: Then) -> Result<Wrote, Unavailable> {
        if self.takes_nothing.load(Ordering::Relaxed) {
            return Err(Unavailable::because("it takes nothing"));
        }
        self.ask(async move |log| log.write(who, between, batch, then).await).await
    }

    async fn pass(&self, who: &str) -> Result<(), Unavailable> {
        self.ask(async move |log| log.pass(who).await).await
    }

    async fn base(&self) -> Result<Base, Unavailable> {
        self.ask(async move |log| log.base().await).await
    }

    async fn piece(&self, place: Place, number: u32) -> Result<Option<Vec<u8>>, Unavailable> {
        self.ask(async move |log| log.piece(place, number).await).await
    }

    async fn lay_piece(&self, place: Place, number: u32, piece: &[u8]) -> Result<(), Unavailable> {
        self.ask(async move |log| log.lay_piece(place, number, piece).await).await
    }

    async fn rebase(&self, base: Base) -> Result<(), Unavailable> {
        self.ask(async move |log| log.rebase(base).await).await
    }
}

/// A node, which dies when it is dropped.
pub(super) struct Node {
    pub(super) rooms: Arc<Rooms>,
    pub(super) room: Arc<KeptRoom>,
    life: JoinHandle<()>,
    _folder: Arc<TempDir>,
}

impl Node {
    pub(super) fn start(log: &Arc<Flaky>, settings: Settings) -> Self {
        Self::with(log, settings, Arc::new(tempfile::tempdir().unwrap()))
    }

    /// One whose secrets are in a folder.
    pub(super) fn with(log: &Arc<Flaky>, settings: Settings, folder: Arc<TempDir>) -> Self {
        let masters = Masters::File(folder.path().join("master.key"));
        let vault = Arc::new(Vault::open(&folder.path().join("secrets"), masters).unwrap());
        let rooms = Arc::new(Rooms::share(log.clone(), vault).unwrap());
        rooms.set([("sale".to_owned(), settings)]);
        let (room, living) = (rooms.named("sale").unwrap(), rooms.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends with the node")]
        let life = tokio::spawn(async move { living.take_turns().await });
        Self { rooms, room, life, _folder: folder }
    }

    /// Joins as whoever is told no comes again: an id, at the end.
    async fn join(&self, key: Option<JoinKey>) -> RequestId {
        loop {
            self.room.here().await;
            match self.room.join(key, NOW).await {
                Ok(id) => return id,
                Err(Trouble::NotKept(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(other) => panic!("{other}"),
            }
        }
    }

    pub(super) async fn place(&self, id: RequestId) -> u32 {
        self.room.here().await;
        self.room.seek(|room| room.find(id).is_some()).await.unwrap();
        self.room.look(|room| room.find(id)).unwrap().unwrap_or_else(|| panic!("{id} has no place")).0
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.life.abort();
    }
}

/// Places that were told are one each, known to all nodes, and all that there are but for those whose answer was cut.
pub(super) async fn agree(nodes: &[Node], told: &[RequestId]) -> u32 {
    let mut places = BTreeSet::new();
    for id in told {
        let place = nodes[0].place(*id).await;
        for node in nodes {
            assert_eq!(node.place(*id).await, place);
        }
        assert!(places.insert(place), "place {place} was given twice");
    }
    let queue = nodes[0].room.counters().unwrap().queue;
    nodes[0]
        .room
        .look(|room| assert!(room.line().places.iter().all(|place| place.id != RequestId::default())))
        .unwrap();
    assert!(*places.last().unwrap() <= queue);
    queue
}

pub(super) async fn rush(nodes: &[Node], each: usize) -> Vec<RequestId> {
    let visitors = nodes.iter().flat_map(|node| (0..each).map(move |_| node.join(None)));
    futures::future::join_all(visitors).await
}

#[tokio::test(start_paused = true)]
async fn nodes_give_places_together_unique_and_without_a_gap() {
    let log = Flaky::new();
    let nodes = [Node::start(&log, settings()), Node::start(&log, settings()), Node::start(&log, settings())];
    let mut told = Vec::new();
    for _ in 0..5 {
        told.extend(rush(&nodes, 50).await);
    }
    assert_eq!(agree(&nodes, &told).await, 750);
    // One that comes later knows all of them.
    let late = [Node::start(&log, settings())];
    assert_eq!(agree(&late, &told).await, 750);
}

#[tokio::test(start_paused = true)]
async fn a_join_that_is_repeated_at_another_node_is_the_same_place() {
    let log = Flaky::new();
    let nodes = [Node::start(&log, settings()), Node::start(&log, settings())];
    let key = Some(JoinKey([7; 16]));
    let (one, other) = tokio::join!(nodes[0].join(key), nodes[1].join(key));
    assert_eq!(one, other);
    assert_eq!(nodes[0].join(key).await, one);
    assert_eq!(agree(&nodes, &[one]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_taken_once_and_everything_done_at_one_node_holds_at_all() {
    let log = Flaky::new();
    let nodes = [Node::start(&log, settings()), Node::start(&log, settings())];
    let (id, other) = (nodes[0].join(None).await, nodes[0].join(None).await);
    nodes[1].room.here().await;
    assert_eq!(nodes[1].room.move_by(2, NOW).await.unwrap(), 2);
    nodes[0].room.seek(|_| false).await.unwrap();
    let take = async |node: &Node, now| node.room.take_turn(id, now, Wish::default()).await.unwrap().unwrap();
    let (one, two) = tokio::join!(take(&nodes[0], NOW + 1), take(&nodes[1], NOW + 2));
    assert_eq!((one.position, one.token, one.issuer), (two.position, two.token, two.issuer));

    assert!(nodes[1].room.end(id, Ending::Completed, NOW + 2).await.unwrap());
    assert!(!nodes[0].room.end(id, Ending::Abandoned, NOW + 2).await.unwrap(), "it has ended");
    nodes[0].room.reset(NOW + 3).await.unwrap();
    assert!(nodes[1].room.restore(NOW + 4).await.unwrap());
    assert_eq!(nodes[0].place(other).await, 2);
    assert_eq!(nodes[0].room.move_by(0, NOW).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_a_turn_or_let_in_by_it_before_it_cannot_be_undone() {
    let log = Flaky::new();
    let node = Node::start(&log, settings());
    let id = node.join(None).await;
    node.room.move_by(1, NOW).await.unwrap();
    log.takes_nothing.store(true, Ordering::Relaxed);
    for later in [1, 2] {
        let taken = node.room.take_turn(id, NOW + later, Wish::default()).await;
        assert!(matches!(taken, Err(Trouble::NotKept(_))), "{taken:?}");
        assert_eq!(node.room.admitted_already(Some(id), NOW).unwrap(), None);
        let let_in = node.room.admit(Some(id), NOW + later, Arrival::Page).await;
        assert!(matches!(let_in, Err(Trouble::NotKept(_))), "{let_in:?}");
    }

    log.takes_nothing.store(false, Ordering::Relaxed);

    let granted = node.room.take_turn(id, NOW + 3, Wish::default()).await.unwrap().unwrap();
    assert_eq!((granted.when, granted.token.issued), (Taken::Before, NOW + 1));
    assert_eq!(node.room.admitted_already(Some(id), NOW + 3).unwrap(), Some(Admission::In(id)));
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_undone_at_all_nodes_or_at_none_whatever_their_clocks_say() {
    let log = Flaky::new();
    let nodes = [Node::start(&log, settings()), Node::start(&log, settings())];
    let first = nodes[0].join(None).await;
    nodes[0].room.reset(NOW).await.unwrap();
    nodes[1].room.here().await;
    nodes[1].room.seek(|_| false).await.unwrap();
    // The clock of this one is ahead.
    nodes[1].rooms.tick(NOW + 3601);

    assert!(nodes[0].room.restore(NOW + 3599).await.unwrap());

    assert_eq!(agree(&nodes, &[first]).await, 1);
}

#[tokio::test]
async fn what_is_due_is_done_by_one_node() {
    let log = Flaky::new();
    let nodes = [Node::start(&log, expiring(PassOn::ToTheNext)), Node::start(&log, expiring(PassOn::ToTheNext))];
    rush(&nodes, 3).await;
    nodes[0].room.move_by(2, NOW).await.unwrap();
    for _ in 0..3 {
        for node in &nodes {
            let rooms = node.rooms.clone();
            tokio::task::spawn_blocking(move || rooms.tick(NOW + 901)).await.unwrap();
        }
    }
    for node in &nodes {
        node.room.seek(|_| false).await.unwrap();
        let counters = node.room.counters().unwrap();
        assert_eq!((counters.serving, counters.expired), (4, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_in_its_turn_holds_nobody_up_and_takes_no_place_with_it() {
    let log = Flaky::new();
    let mut nodes = vec![Node::start(&log, settings()), Node::start(&log, settings()), Node::start(&log, settings())];
    let mut told = rush(&nodes, 20).await;
    for life in 0..20 {
        let dying = nodes.remove(0);
        let told_by_it = Arc::new(Mutex::new(Vec::new()));
        let visitors = {
            let told = told_by_it.clone();
            let room = dying.room.clone();
            #[expect(clippy::disallowed_methods, reason = "it is awaited")]
            tokio::spawn(async move {
                loop {
                    match room.join(None, NOW).await {
                        Ok(id) => told.lock().push(id),
                        Err(_) => return,
                    }
                }
            })
        };
        told.extend(rush(&nodes, 10).await);
        // At another moment each time.
        tokio::time::sleep(Duration::from_micros(300 * life)).await;
        drop(dying);
        let begun = Instant::now();
        told.extend(rush(&nodes, 10).await);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        visitors.await.unwrap();
        told.extend(told_by_it.lock().iter());
        nodes.push(Node::start(&log, settings()));
    }
    agree(&nodes, &told).await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_get_lost_lose_no_place_and_give_none_twice() {
    for fails in 2..12 {
        let log = Flaky::new();
        let nodes = [Node::start(&log, settings()), Node::start(&log, settings())];
        log.fails.store(fails, Ordering::Relaxed);
        let mut told = Vec::new();
        for _ in 0..4 {
            told.extend(rush(&nodes, 10).await);
        }
        log.fails.store(0, Ordering::Relaxed);
        let queue = agree(&nodes, &told).await;
        assert!(queue >= 80, "{queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_server_that_is_away_and_all_goes_on_once_it_is_back() {
    let log = Flaky::new();
    let node = Node::start(&log, settings());
    let first = node.join(None).await;
    log.fails.store(1, Ordering::Relaxed);
    while node.room.join(None, NOW).await.is_ok() {}
    let begun = Instant::now();
    let joined = node.room.join(None, NOW).await;
    assert!(matches!(joined, Err(Trouble::NotKept(NotKept::Away))), "{joined:?}");
    node.room.seek(|_| false).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    log.fails.store(0, Ordering::Relaxed);
    let second = node.join(None).await;
    agree(&[node], &[first, second]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_server_forgets_it_is_told_again() {
    let log = Flaky::new();
    let nodes = [Node::start(&log, settings()), Node::start(&log, settings())];
    let mut told = Vec::new();
    for forgotten in [1, 3, 0, 5] {
        for _ in 0..6 {
            told.extend(rush(&nodes, 3).await);
        }
        for node in &nodes {
            node.room.seek(|_| false).await.unwrap();
        }
        log.forget(forgotten).await;
        told.extend(rush(&nodes, 3).await);
    }
    assert_eq!(agree(&nodes, &told).await, u32::try_from(told.len()).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_long_log_is_made_short_and_a_start_reads_the_picture() {
    let log = Flaky::new();
    let nodes = [Node::start(&log, settings())];
    nodes[0].room.here().await;
    let mut told = HashMap::new();
    // The picture is due after 16 MiB; a key makes a record longer, and so does the name of an issuer.
    nodes[0].room.move_by(i64::from(u32::MAX), NOW).await.unwrap();
    let issuer: Arc<str> = "x".repeat(60_000).into();
    for number in 0..300 {
        let id = nodes[0].join(None).await;
        let wish = Wish { issuer: Some(format!("{issuer}{number}").into()), validity: None };
        nodes[0].room.take_turn(id, NOW, wish).await.unwrap().unwrap();
        told.insert(id, number + 1);
    }
    let is_short = async || log.base().await.unwrap().pieces > 0;
    for _ in 0..1000 {
        if is_short().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_short().await);
    told.insert(nodes[0].join(None).await, 301);

    let late = Node::start(&log, settings());
    for (id, place) in told {
        assert_eq!((late.place(id).await, nodes[0].place(id).await), (place, place));
    }
}

pub(super) const NOW: u32 = 1_800_000_000;
