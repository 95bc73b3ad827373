//! Several nodes that count in one server.

use tokio::time::Instant;

use futures::future::join_all;
use limits::{Calendar, Counters, Passage, Period};
use servers::Redis;

use super::*;

const NOW: u64 = 1_800_000_000_000_000;
const SOON: Duration = Duration::from_secs(20);

async fn node(server: &Redis) -> RedisCounts {
    let settings = Settings {
        prefix: server.prefix().to_owned(),
        // A test on a busy machine waits rather than to take the server for away.
        patience: Duration::from_secs(10),
        ..Settings::of(&server.address())
    };
    let node = RedisCounts::open(settings).unwrap();
    assert!(node.is_there_within(SOON).await);
    node
}

async fn nodes(server: &Redis) -> Vec<RedisCounts> {
    vec![node(server).await, node(server).await, node(server).await]
}

fn window() -> Window {
    Calendar::new(Period::Day, "UTC").unwrap().window(NOW)
}

fn draw(cost: u32, limit: u64) -> Draw {
    Draw { counter: "quota:acme".to_owned(), window: window(), cost, limit, known: 0 }
}

#[tokio::test]
async fn all_nodes_together_never_exceed_a_quota_and_use_it_up() {
    let server = Redis::shared();
    let nodes = nodes(&server).await;

    let each = |node| async move {
        let mut granted = 0;
        for cost in [1, 2, 3].into_iter().cycle().take(30) {
            let drawn = Shared::draw(node, draw(cost, 1000)).await.unwrap();
            assert!(drawn.consumed <= 1000);
            granted += if drawn.is_granted { cost } else { 0 };
        }
        granted
    };
    let granted = join_all(nodes.iter().flat_map(|node| (0..21).map(move |_| each(node)))).await;
    assert_eq!(granted.iter().sum::<u32>(), 1000);
}

#[tokio::test]
async fn all_nodes_together_pass_no_more_than_the_burst_and_the_rate() {
    let server = Redis::shared();
    let nodes = nodes(&server).await;
    let rule = Gcra::new(200, Duration::from_secs(1), 20).unwrap();

    let began = Instant::now();
    let each = |node| async move {
        let mut passed = 0_u32;
        for _ in 0..40 {
            let decision = Shared::step(node, "app".to_owned(), 1, rule).await.unwrap();
            assert!(decision.remaining < 20);
            passed += u32::from(decision.is_granted());
        }
        passed
    };
    let passed = join_all(nodes.iter().flat_map(|node| (0..21).map(move |_| each(node)))).await;
    // The server's clock ran no longer than this one.
    let most = 20.0 + 200.0 * began.elapsed().as_secs_f64();
    let passed: u32 = passed.iter().sum();
    assert!(20 <= passed && f64::from(passed) <= most, "{passed} passed, {most} may");
}

#[tokio::test]
async fn a_rate_tells_when_to_come_again_and_takes_back() {
    let server = Redis::shared();
    let node = node(&server).await;
    let rule = Gcra::new(1, Duration::from_hours(1), 2).unwrap();
    let step = || node.step("app".to_owned(), 1, rule);

    assert_eq!(step().await.unwrap().remaining, 1);
    assert_eq!(step().await.unwrap().remaining, 0);
    let refused = step().await.unwrap();
    let Passage::Refused { retry_after: Some(wait) } = refused.passage else { panic!("it passed") };
    assert!(wait <= Duration::from_hours(1) && Duration::from_mins(58) < wait, "{wait:?}");
    assert_eq!(node.step("app".to_owned(), 3, rule).await.unwrap().passage, Passage::Refused { retry_after: None });

    node.step_back("app", 1, rule, Duration::ZERO);
    let granted = async {
        while !step().await.unwrap().is_granted() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, granted).await.expect("one is given back");
}

#[tokio::test]
async fn what_is_given_back_can_be_drawn_again() {
    let server = Redis::shared();
    let node = node(&server).await;
    assert!(Shared::draw(&node, draw(5, 5)).await.unwrap().is_granted);
    assert!(!Shared::draw(&node, draw(1, 5)).await.unwrap().is_granted);

    node.return_to("quota:acme", window(), 2);
    let granted = async {
        while !Shared::draw(&node, draw(2, 5)).await.unwrap().is_granted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, granted).await.expect("two are given back");
    assert!(!Shared::draw(&node, draw(1, 5)).await.unwrap().is_granted);
}

#[tokio::test]
async fn what_one_node_gives_back_is_not_counted_again_by_what_another_knows() {
    let server = Redis::shared();
    let (one, other) = (node(&server).await, node(&server).await);
    let sum = async |known| Shared::draw(&other, Draw { known, ..draw(0, 9) }).await.unwrap().consumed;
    let next = async |known| Shared::draw(&other, Draw { known, ..draw(1, 9) }).await.unwrap().consumed;
    assert_eq!(Shared::draw(&one, draw(1, 9)).await.unwrap().consumed, 1);
    assert_eq!(next(0).await, 2);

    one.return_to("quota:acme", window(), 1);
    let given_back = async {
        while sum(0).await == 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, given_back).await.expect("one is given back");

    // It heard of two before.
    assert_eq!((sum(2).await, next(2).await), (1, 2));
}

#[tokio::test]
async fn a_server_that_forgot_counts_on_from_what_nodes_know() {
    let server = Redis::shared();
    let node = node(&server).await;
    let known = Draw { known: 90, ..draw(5, 100) };
    assert_eq!(Shared::draw(&node, known.clone()).await.unwrap(), Drawn { is_granted: true, consumed: 95 });
    assert_eq!(Shared::draw(&node, known.clone()).await.unwrap(), Drawn { is_granted: true, consumed: 100 });
    assert_eq!(Shared::draw(&node, known).await.unwrap(), Drawn { is_granted: false, consumed: 100 });
}

#[tokio::test]
async fn what_was_granted_while_the_server_was_away_is_counted_when_it_is_back() {
    let mut server = Redis::start();
    let nodes = nodes(&server).await;
    for node in &nodes {
        assert!(Shared::draw(node, draw(10, 100)).await.unwrap().is_granted);
    }
    server.stop();
    for node in &nodes {
        assert_eq!(Shared::draw(node, draw(1, 100)).await, Err(Away));
        assert!(!node.reading().is_there);
        node.owe("quota:acme", window(), 2, 32);
        node.owe("quota:acme", window(), 1, 33);
    }

    server.start_again();
    for node in &nodes {
        assert!(node.is_there_within(SOON).await);
        // Paid before it was there.
        assert_eq!(node.reading().debts, 0);
    }
    let drawn = Shared::draw(&nodes[0], draw(1, 100)).await.unwrap();
    assert_eq!(drawn, Drawn { is_granted: true, consumed: 40 });
}

#[tokio::test]
async fn a_server_that_does_not_answer_holds_one_request_up_and_no_more() {
    let server = Redis::start();
    let settings = Settings { patience: Duration::from_millis(100), ..Settings::of(&server.address()) };
    let node = RedisCounts::open(settings).unwrap();
    assert!(node.is_there_within(SOON).await);

    server.hold(true);
    assert_eq!(Shared::draw(&node, draw(1, 100)).await, Err(Away));
    let unanswered = node.reading().unanswered;
    for _ in 0..1000 {
        assert_eq!(Shared::draw(&node, draw(1, 100)).await, Err(Away));
    }
    // They were not even asked.
    assert_eq!(node.reading().unanswered, unanswered);

    server.hold(false);
    assert!(node.is_there_within(SOON).await);
    assert!(Shared::draw(&node, draw(1, 100)).await.unwrap().is_granted);
}

#[test]
fn what_nodes_heard_they_count_on_by_themselves() {
    let counters = Counters::new("quota", Calendar::new(Period::Day, "UTC").unwrap(), 10, None);
    let draw = counters.ask("acme", 1, 100, NOW);
    assert_eq!((draw.counter.as_str(), draw.window, draw.known), ("quota:acme", window(), 0));

    let decision = counters.heed("acme", &draw, Drawn { is_granted: true, consumed: 98 }, NOW);
    assert_eq!((decision.passage, decision.remaining), (Passage::Granted, 2));
    assert_eq!(counters.ask("acme", 1, 100, NOW).known, 98);
    let granted = (0..5).filter(|_| counters.take("acme", 1, 100, NOW).is_granted()).count();
    assert_eq!(granted, 2);
    let decision = counters.heed("acme", &draw, Drawn { is_granted: false, consumed: 100 }, NOW);
    assert!(matches!(decision.passage, Passage::Refused { retry_after: Some(_) }));
}
