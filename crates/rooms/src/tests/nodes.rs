//! What nodes that have a room together do by what each of them notices, and what one of them does for all.

use std::sync::Arc;
use std::time::Duration;

use room_events::Kind;
use waiting_room::{Adaptive, Lane, LaneKind, Lanes, NotJoined, Periodic, Presence, Rules, Schedule};

use super::settings;
use super::shared::{Flaky, NOW, Node, agree, rush};
use crate::{Activation, Caps, Fairness, Inlet, Joiner, Lots, PassEnding, Promise, SLOW, Settings, Trouble};

impl Node {
    async fn tick(&self, now: u32) {
        let rooms = self.rooms.clone();
        tokio::task::spawn_blocking(move || rooms.tick(now)).await.unwrap();
    }

    fn happened(&self, kind: Kind) -> u64 {
        self.room.happened().read().find(|(known, _)| *known == kind).map_or(0, |(_, count)| count)
    }

    /// Knows what other nodes did before now.
    async fn knows(&self) {
        self.room.here().await;
        self.room.seek(|_| false).await.unwrap();
    }
}

/// Two nodes with the same secrets.
fn two(settings: &Settings) -> [Node; 2] {
    let (log, folder) = (Flaky::new(), Arc::new(tempfile::tempdir().unwrap()));
    [(); 2].map(|()| Node::with(&log, settings.clone(), folder.clone()))
}

fn lanes() -> Arc<Lanes> {
    let lane = |name: &str, weight, kind| Lane { name: name.into(), weight, quota: None, kind };
    Arc::new(Lanes::of(vec![lane("vip", 10, LaneKind::Preferred), lane(SLOW, 5, LaneKind::Slow)]))
}

#[tokio::test]
async fn one_node_at_a_time_steers_the_inlet_by_what_all_of_them_see_and_another_goes_on() {
    let adaptive = Adaptive { target: 200_000, failures: 50, least: 60, most: 600, in_flight: None, settles: 0 };
    let [one, two] = two(&Settings { inlet: Inlet::Adaptive(adaptive), ..settings() });
    rush(std::slice::from_ref(&one), 2000).await;
    // Only the second one sees what is behind the room.
    let answers = || {
        for _ in 0..30 {
            two.room.passes();
            two.room.passed(PassEnding::Answered(Duration::from_millis(20)), &Activation::default(), 0);
        }
    };
    for second in 1..=20 {
        answers();
        one.tick(NOW + second).await;
        two.tick(NOW + second).await;
    }
    one.knows().await;
    assert_eq!(one.room.inflow(), two.room.inflow());
    assert!(one.room.inflow().unwrap() > 4.0, "{:?}", one.room.inflow());
    assert_eq!(two.happened(Kind::ServingCounterMoved), 0, "one of them steers");
    let (moved, before) = (one.happened(Kind::ServingCounterMoved), two.room.counters().unwrap().serving);
    assert!((15..=20).contains(&moved) && before > 20, "{moved} {before}");

    let inflow = two.room.inflow().unwrap();
    drop(one);
    for second in 21..=24 {
        answers();
        two.tick(NOW + second).await;
    }
    assert_eq!(two.room.counters().unwrap().serving, before, "the other one may be there yet");
    for second in 25..=30 {
        answers();
        two.tick(NOW + second).await;
    }
    assert!(two.room.counters().unwrap().serving > before);
    assert!(two.room.inflow().unwrap() > 0.8 * inflow, "it goes on where the other one was");
}

#[tokio::test]
async fn what_is_counted_is_told_each_minute_by_one_node() {
    let [one, two] = two(&Settings { metrics_events: true, ..settings() });
    rush(std::slice::from_ref(&one), 1).await;
    for now in [NOW, NOW + 1, NOW + 59, NOW + 60, NOW + 61] {
        one.tick(now).await;
        two.tick(now).await;
    }
    let told = one.happened(Kind::WaitingRoomMetrics) + two.happened(Kind::WaitingRoomMetrics);
    assert_eq!(told, 2);
}

#[tokio::test]
async fn who_is_seen_at_one_node_is_there_for_all() {
    let presence = Some(Presence { absent_after: 30, grace: 60 });
    let inlet = Inlet::Periodic(Periodic { by: 1, every: 40, from: 0, until: None });
    let [one, two] = two(&Settings { inlet, rules: Rules { presence, ..Rules::default() }, ..settings() });
    rush(std::slice::from_ref(&one), 3).await;
    one.tick(NOW).await;
    two.knows().await;
    two.tick(NOW + 1).await;
    two.room.seen(3, NOW + 35);
    two.tick(NOW + 36).await;
    one.tick(NOW + 41).await;
    assert_eq!(one.room.counters().unwrap().serving, 3, "the second is passed over, and the third has the turn");
}

#[tokio::test]
async fn lots_are_drawn_once_while_visitors_come_to_another_node() {
    let schedule = Schedule { pre_queue: Some(1), opens: Some(NOW + 200), closes: None };
    let fairness = Fairness { lottery: Some(Lots::default()), ..Fairness::default() };
    let nodes = two(&Settings { rules: Rules { schedule, ..Rules::default() }, fairness, ..settings() });
    let mut told = rush(&nodes, 50).await;
    let commitment = nodes[0].room.told_of_lottery().await.unwrap().unwrap().commitment.unwrap();
    let draw = async |node: &Node| {
        node.tick(NOW + 200).await;
        node.rooms.draw_lots(NOW + 200).await;
    };
    let late = async {
        // Whoever is told no comes again.
        let mut late = Vec::new();
        while late.len() < 20 {
            late.extend(nodes[1].room.join(None, NOW + 200).await.ok());
        }
        late
    };
    let ((), (), late) = futures::future::join3(draw(&nodes[0]), draw(&nodes[1]), late).await;
    told.extend(late);
    agree(&nodes, &told).await;
    for node in &nodes {
        let lottery = node.room.told_of_lottery().await.unwrap().unwrap();
        assert_eq!(lottery.drawn.map(|drawn| (drawn.commitment, drawn.visitors)), Some((commitment.clone(), 100)));
    }
    let drawn: u64 = nodes.iter().map(|node| node.happened(Kind::LotsDrawn)).sum();
    assert_eq!(drawn, 1);
}

#[tokio::test]
async fn an_invite_is_used_once_wherever_it_is_shown_and_not_at_all_after_it_was_taken_back() {
    let nodes = two(&Settings { fairness: Fairness { lanes: lanes(), ..Fairness::default() }, ..settings() });
    for node in &nodes {
        node.knows().await;
    }
    let promise = Promise { lane: "vip".into(), uses: 1, expires: NOW + 100 };
    let [once, never] = [(); 2].map(|()| nodes[0].room.invite(&promise).unwrap().unwrap());
    assert_eq!(nodes[0].room.revoke([&*never, "nonsense"], NOW).await.unwrap(), Err("nonsense"));
    assert_eq!(nodes[0].room.revoke([&*never, &*never], NOW).await.unwrap(), Ok(1));
    let come = async |node: &Node, invite: &str| {
        let joiner = Joiner { invite: Some(invite), ..Joiner::default() };
        node.room.join_with(joiner, NOW).await.map_err(|trouble| match trouble {
            Trouble::NotJoined(why) => why,
            other => panic!("{other}"),
        })
    };
    assert_eq!(come(&nodes[1], &never).await, Err(NotJoined::InviteRevoked));
    let came = futures::future::join_all((0..20).map(|number| come(&nodes[number % 2], &once))).await;
    assert_eq!(came.iter().filter(|came| came.is_ok()).count(), 1);
    assert!(came.iter().all(|came| matches!(came, Ok(_) | Err(NotJoined::InviteUsed))), "{came:?}");
}

#[tokio::test]
async fn a_network_has_its_share_of_all_who_come_to_all_nodes() {
    let caps = Caps { near: 1, wide: 100, announced: None, allowance: 5 };
    let fairness = Fairness { lanes: lanes(), caps: Some(caps), ..Fairness::default() };
    let nodes = two(&Settings { fairness, ..settings() });
    for number in 0..20_u8 {
        let joiner = Joiner { client: Some([192, 0, 2, number].into()), ..Joiner::default() };
        nodes[usize::from(number % 2)].room.here().await;
        nodes[usize::from(number % 2)].room.join_with(joiner, NOW).await.unwrap();
    }
    for node in &nodes {
        node.knows().await;
        let lanes = node.room.look(|room| room.line().by_lane()).unwrap();
        let visitors: Vec<_> = lanes.iter().map(|lane| (&*lane.name, lane.visitors, lane.waiting)).collect();
        assert_eq!(visitors, [("", 5, 5), (SLOW, 15, 15)]);
    }
}
