#![expect(clippy::disallowed_methods, reason = "a test may start tasks")]

use std::sync::atomic::AtomicUsize;

use tokio::time::{advance, sleep};

use super::*;

const TERMS: Terms = Terms {
    fresh: Duration::from_secs(100),
    refresh_after: Duration::from_secs(80),
    stale: Duration::from_secs(1000),
    absent: Duration::from_secs(10),
    patience: Duration::from_secs(1),
    cold_patience: Duration::from_secs(4),
    pause: Duration::from_secs(5),
    most: 10_000,
};

type Simple = Result<Option<&'static str>, Trouble>;

/// A source that does as it is told, and counts how often it is asked.
struct Source {
    lookups: Arc<Lookups<&'static str>>,
    asked: Arc<AtomicUsize>,
}

impl Source {
    fn new(terms: Terms) -> Self {
        Self { lookups: Arc::new(Lookups::new(terms)), asked: Arc::default() }
    }

    /// Looks `key` up, where the source would say this after so many seconds.
    async fn find(&self, key: &str, seconds: u64, said: Simple) -> Known<&'static str> {
        let ask = || -> BoxFuture<'static, _> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                sleep(Duration::from_secs(seconds)).await;
                said.map(|answer| answer.map(Lasting::from))
            })
        };
        match self.lookups.find(key.to_owned(), ask, |work| drop(tokio::spawn(work))) {
            Step::Now(known) => known,
            Step::Wait(wait) => wait.await,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn found(value: &'static str) -> Known<&'static str> {
    Known::Found(Arc::new(value))
}

fn down() -> Simple {
    Err(Trouble("down".to_owned()))
}

async fn pass(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
}

/// Lets what was started beside come to its end.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_want_the_same_ask_once() {
    let source = Source::new(TERMS);
    let all = futures::future::join_all((0..50).map(|_| source.find("a", 1, Ok(Some("x"))))).await;
    assert!(all.iter().all(|known| *known == found("x")));
    assert_eq!(source.asked(), 1);
    assert_eq!(source.find("b", 1, Ok(Some("y"))).await, found("y"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_refreshed_before_it_is_old_and_nobody_waits_for_that() {
    let source = Source::new(TERMS);
    source.find("a", 0, Ok(Some("old"))).await;
    pass(79).await;
    assert_eq!(source.find("a", 0, Ok(Some("new"))).await, found("old"));
    assert_eq!(source.asked(), 1);
    pass(1).await;

    let began = Instant::now();
    assert_eq!(source.find("a", 2, Ok(Some("new"))).await, found("old"));
    assert_eq!(Instant::now(), began);
    sleep(Duration::from_secs(3)).await;

    assert_eq!(source.find("a", 0, down()).await, found("new"));
    assert_eq!(source.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_known_answer_is_served_while_the_source_is_down_slow_or_talks_nonsense() {
    for (seconds, said) in [(0, down()), (30, Ok(Some("late"))), (30, down())] {
        let source = Source::new(TERMS);
        source.find("a", 0, Ok(Some("x"))).await;
        pass(120).await;
        for _ in 0..50 {
            let began = Instant::now();
            let known = source.find("a", seconds, said.clone()).await;
            assert!(known == found("x") || known == found("late"));
            assert!(began.elapsed() <= TERMS.patience);
            pass(15).await;
            settle().await;
        }
        assert!(source.asked() > 5, "it is asked again and again: {}", source.asked());
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_a_slow_source_is_asked_waits_no_second_time() {
    let source = Source::new(TERMS);
    source.find("a", 0, Ok(Some("x"))).await;
    pass(120).await;
    source.find("a", 30, Ok(Some("y"))).await;
    let began = Instant::now();
    assert_eq!(source.find("a", 30, Ok(Some("y"))).await, found("x"));
    assert_eq!((Instant::now(), source.asked()), (began, 2));
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_serves_to_its_limit_and_no_longer() {
    let source = Source::new(TERMS);
    source.find("a", 0, Ok(Some("x"))).await;
    pass(1099).await;
    assert_eq!(source.find("a", 0, down()).await, found("x"));
    pass(1).await;
    assert_eq!(source.find("a", 0, down()).await, Known::Unavailable);
    let reading = source.lookups.reading();
    assert_eq!((reading.served_stale, reading.unavailable, reading.is_well), (1, 1, false));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_known_waits_for_the_source_and_learns_that_it_is_down() {
    let source = Source::new(TERMS);
    assert_eq!(source.find("a", 3, Ok(Some("x"))).await, found("x"));
    assert_eq!(source.find("b", 0, down()).await, Known::Unavailable);
    assert_eq!(source.find("b", 0, Ok(Some("y"))).await, Known::Unavailable, "it is left alone for a while");
    pass(5).await;
    assert_eq!(source.find("b", 0, Ok(Some("y"))).await, found("y"));
    let began = Instant::now();
    assert_eq!(source.find("c", 30, Ok(Some("z"))).await, Known::Unavailable);
    assert_eq!(began.elapsed(), TERMS.cold_patience);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(source.find("c", 0, down()).await, found("z"), "what came late is remembered");
}

#[tokio::test(start_paused = true)]
async fn that_there_is_nothing_is_remembered_briefly_and_takes_the_place_of_what_there_was() {
    let source = Source::new(TERMS);
    assert_eq!(source.find("a", 0, Ok(None)).await, Known::Absent);
    assert_eq!(source.find("a", 0, Ok(Some("x"))).await, Known::Absent);
    pass(10).await;
    assert_eq!(source.find("a", 0, Ok(Some("x"))).await, found("x"));
    pass(85).await;
    assert_eq!(source.find("a", 0, Ok(None)).await, found("x"));
    settle().await;
    assert_eq!(source.find("a", 0, down()).await, Known::Absent);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_dropped_unanswered_keeps_nobody_waiting() {
    let source = Source::new(TERMS);
    let mut works = Vec::new();
    let step = source.lookups.find("a".to_owned(), || Box::pin(futures::future::pending()), |work| works.push(work));
    let Step::Wait(wait) = step else { panic!("nothing is known") };
    let began = Instant::now();
    drop(works);
    assert_eq!(wait.await, Known::Unavailable);
    assert_eq!(Instant::now(), began);
    let dropped = source.lookups.find("a".to_owned(), || Box::pin(futures::future::pending()), drop);
    assert!(matches!(dropped, Step::Now(Known::Unavailable)));
    assert_eq!(source.find("a", 0, Ok(Some("x"))).await, found("x"));
}

#[tokio::test(start_paused = true)]
async fn no_more_is_remembered_than_there_is_room_for() {
    let source = Source::new(Terms { most: 160, ..TERMS });
    for number in 0..1000 {
        assert_eq!(source.find(&number.to_string(), 0, Ok(Some("x"))).await, found("x"));
        advance(Duration::from_millis(1)).await;
    }
    let entries = source.lookups.reading().entries;
    assert!((60..=160).contains(&entries), "{entries}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_forgotten_on_which_something_depends() {
    let mut source = Source::new(TERMS);
    let ties = Ties { is_in_use: |answer| *answer == "used", ..Ties::default() };
    source.lookups = Arc::new(Lookups::tied(Terms { most: 160, ..TERMS }, ties));
    for number in 0..50 {
        source.find(&format!("used {number}"), 0, Ok(Some("used"))).await;
    }
    for number in 0..1000 {
        advance(Duration::from_millis(1)).await;
        source.find(&number.to_string(), 0, Ok(Some("x"))).await;
    }
    pass(1200).await;
    assert_eq!(source.lookups.due_in_use().len(), 50);
}

/// A memory with one answer, so many seconds old.
struct Recalls(&'static str, u64, Mutex<Vec<String>>);

impl Memory<&'static str> for Arc<Recalls> {
    fn recall(&self, _: &str) -> BoxFuture<'static, Option<(&'static str, Duration)>> {
        let recalled = (self.0, Duration::from_secs(self.1));
        Box::pin(async move { Some(recalled) })
    }

    fn keep(&self, key: &str, value: &&'static str) {
        self.2.lock().push(format!("{key} is {value}"));
    }

    fn forget(&self, key: &str) {
        self.2.lock().push(format!("{key} is no more"));
    }
}

/// What is found where that is recalled, how long it took, and what was remembered.
async fn recalling(age: u64, seconds: u64, said: Simple) -> (Known<&'static str>, Duration, Vec<String>) {
    let memory = Arc::new(Recalls("old", age, Mutex::default()));
    let lookups = Arc::new(Lookups::new(TERMS).with_memory(Box::new(memory.clone())));
    let ask = || -> BoxFuture<'static, _> {
        Box::pin(async move {
            sleep(Duration::from_secs(seconds)).await;
            said.map(|answer| answer.map(Lasting::from))
        })
    };
    let began = Instant::now();
    let Step::Wait(wait) = lookups.find("a".to_owned(), ask, |work| drop(tokio::spawn(work))) else {
        panic!("nothing is known")
    };
    let known = wait.await;
    let took = began.elapsed();
    sleep(Duration::from_mins(1)).await;
    let noted = memory.2.lock().clone();
    (known, took, noted)
}

#[tokio::test(start_paused = true)]
async fn what_is_recalled_serves_as_if_it_had_been_known_since_it_was_said() {
    let none = Duration::ZERO;
    // As good as new: nobody is asked.
    assert_eq!(recalling(50, 1, Ok(Some("new"))).await, (found("old"), none, vec![]));
    // The source is asked, and while it is in trouble what is old serves after no more than little patience.
    assert_eq!(recalling(500, 0, Ok(Some("new"))).await, (found("new"), none, vec!["a is new".to_owned()]));
    assert_eq!(recalling(500, 0, Ok(None)).await, (Known::Absent, none, vec!["a is no more".to_owned()]));
    assert_eq!(recalling(500, 0, down()).await, (found("old"), none, vec![]));
    let late = vec!["a is new".to_owned()];
    assert_eq!(recalling(500, 30, Ok(Some("new"))).await, (found("old"), TERMS.patience, late.clone()));
    // What is too old is nothing.
    assert_eq!(recalling(1100, 30, Ok(Some("new"))).await, (Known::Unavailable, TERMS.cold_patience, late));
}

#[tokio::test(start_paused = true)]
async fn what_is_recalled_takes_the_place_of_what_is_older_only() {
    for (age, expected) in [(50, "old"), (200, "x")] {
        let mut source = Source::new(TERMS);
        let memory = Arc::new(Recalls("old", age, Mutex::default()));
        source.lookups = Arc::new(Lookups::new(TERMS).with_memory(Box::new(memory)));
        source.lookups.shard("a").unwrap().entry("a".to_owned()).or_default().learn(
            Some("x".into()),
            Instant::now(),
            &Ties::default(),
        );
        pass(120).await;
        assert_eq!(source.find("a", 0, down()).await, found(expected), "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_last_for_another_time_than_others() {
    let source = Source::new(Terms { stale: Duration::ZERO, ..TERMS });
    let short = || -> BoxFuture<'static, Said<&'static str>> {
        Box::pin(async { Ok(Some(Lasting { value: "short", fresh: Some(Duration::from_secs(10)) })) })
    };
    let Step::Wait(wait) = source.lookups.find("a".to_owned(), short, |work| drop(tokio::spawn(work))) else {
        panic!("nothing is known")
    };
    assert_eq!(wait.await, found("short"));
    pass(7).await;
    assert_eq!((source.find("a", 0, Ok(Some("x"))).await, source.asked()), (found("short"), 0));
    pass(1).await;
    assert_eq!((source.find("a", 3, Ok(Some("x"))).await, source.asked()), (found("short"), 1));
    settle().await;
    pass(2).await;
    assert_eq!(source.find("a", 0, down()).await, found("x"), "it waits, because nothing is served stale");
}
