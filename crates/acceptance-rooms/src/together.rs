//! What nodes that share a room on a real Redis decide together: lots, invites, states, shares of networks, an adaptive inlet.

use std::collections::BTreeSet;

use rooms::Promise;
use serde_json::{Value, json};
use testkit::{Gateway, until};
use waiting_room::State;

use crate::cluster::{Cluster, join, json_of, now, place, room, send};

const DOCUMENT: &str = "
store: {postgres: \"POSTGRES\", redis: \"REDIS\", folder: ./data}
encryption: {master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}
rooms: {sale: {event: Sample, SETTINGS}}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  shop: {match: {path: /shop}, upstream: shop, policies: [{waiting-room: {room: sale}}]}
";

async fn two(settings: &str) -> Cluster {
    Cluster::serving(2, &DOCUMENT.replace("SETTINGS", settings)).await
}

async fn invited(node: &Gateway, invite: &str) -> u16 {
    send(node, "/wait/assign_queue_num", &json!({ "event_id": "Sample", "invite": invite })).await.status
}

async fn lottery(node: &Gateway) -> Value {
    json_of(&node.get("/wait/lottery?event_id=Sample").await)
}

#[tokio::test]
async fn lots_are_drawn_once_while_visitors_come_to_the_other_node() {
    let cluster = two("lottery: {}, schedule: {pre_queue: \"2020-01-01T00:00:00Z\"}").await;
    let [one, two] = &*cluster.nodes else { panic!("there are two") };
    let early = futures::future::join_all((0..40).map(|number| join(&cluster.nodes[number % 2]))).await;
    let commitment = lottery(one).await["commitment"].clone();
    room(one).set_state(State::Open, now()).await.unwrap();
    let late = async {
        let mut late = Vec::new();
        while late.len() < 20 || lottery(two).await["drawn"].is_null() {
            late.push(join(two).await);
        }
        late
    };
    let late = late.await;
    let mut places = BTreeSet::new();
    for (number, id) in early.iter().chain(&late).enumerate() {
        until("both nodes tell the same place", async || {
            let told = place(one, id).await;
            told.is_u64() && told == place(two, id).await
        })
        .await;
        let place = place(one, id).await.as_u64().unwrap();
        assert_eq!(place <= 40, number < 40, "who came early is before who came late: {place}");
        places.insert(place);
    }
    assert_eq!(places.len(), early.len() + late.len(), "each has a place of their own");
    for node in [one, two] {
        let drawn = &lottery(node).await["drawn"];
        assert_eq!((&drawn["commitment"], &drawn["visitors"]), (&commitment, &json!(40)));
    }
}

#[tokio::test]
async fn an_invite_is_used_once_at_two_nodes_at_once_and_one_that_was_taken_back_at_none() {
    let cluster = two("lanes: {vip: {share: 10%}}").await;
    let [one, two] = &*cluster.nodes else { panic!("there are two") };
    let promise = Promise { lane: "vip".into(), uses: 1, expires: now() + 600 };
    let made: Vec<_> = (0..6).map(|_| room(one).invite(&promise).unwrap().unwrap()).collect();
    for invite in &made[..5] {
        let tries = (0..8).map(|number| invited(&cluster.nodes[number % 2], invite));
        let mut said = futures::future::join_all(tries).await;
        said.sort_unstable();
        assert_eq!(said, [[200].as_slice(), &[403; 7]].concat());
    }
    assert_eq!(room(one).revoke([&*made[5]], now()).await.unwrap(), Ok(1));
    for node in [two, one] {
        assert_eq!(invited(node, &made[5]).await, 403);
    }
    let counted = room(two).look(|room| room.line().by_lane()).unwrap();
    let vip = counted.iter().find(|lane| &*lane.name == "vip").unwrap();
    assert_eq!(vip.visitors, 5);
}

#[tokio::test]
async fn a_state_that_is_set_at_one_node_holds_at_the_other() {
    let cluster = two("position_expiry: 15m").await;
    let [one, two] = &*cluster.nodes else { panic!("there are two") };
    for (state, word, joins) in [
        (State::Paused, "paused", 200),
        (State::Closed, "closed", 410),
        (State::Idle, "idle", 503),
        (State::Open, "open", 200),
    ] {
        room(one).set_state(state, now()).await.unwrap();
        let asked = json!({ "event_id": "Sample" });
        // Who changes anything knows all that was changed before.
        assert_eq!(send(two, "/wait/assign_queue_num", &asked).await.status, joins, "{word}");
        assert_eq!(json_of(&two.get("/wait/room_state?event_id=Sample").await)["state"], word);
    }
}

#[tokio::test]
async fn a_network_has_its_share_of_all_who_come_to_both_nodes_also_after_one_started_again() {
    let mut cluster = two("caps: {allowance: 4}").await;
    for number in 0..12 {
        join(&cluster.nodes[number % 2]).await;
    }
    cluster.nodes.remove(0).stop().await;
    cluster.add().await;
    join(&cluster.nodes[1]).await;
    for node in &cluster.nodes {
        until("each counts the same", async || {
            let lanes = room(node).look(|room| room.line().by_lane()).unwrap();
            lanes.iter().map(|lane| lane.visitors).collect::<Vec<_>>() == [4, 9]
        })
        .await;
    }
}

#[tokio::test]
async fn an_adaptive_inlet_is_steered_by_one_node_for_visitors_of_both() {
    let cluster = two("inlet: {adaptive: {latency: 5s, least_per_minute: 600, most_per_minute: 6000}}").await;
    let ids = futures::future::join_all((0..60).map(|number| join(&cluster.nodes[number % 2]))).await;
    let moved = |node: &Gateway| {
        let metrics = node.node().registry.render(None).body;
        metrics.contains("vestibule_room_events_total{room=\"sale\",type=\"serving_counter_moved\"}")
    };
    until("somebody is let in", async || room(&cluster.nodes[0]).counters().unwrap().serving >= 30).await;
    let steering: Vec<_> = cluster.nodes.iter().map(moved).collect();
    assert_eq!(steering.iter().filter(|moves| **moves).count(), 1, "one of them steers");
    assert_eq!(place(&cluster.nodes[1], &ids[0]).await, place(&cluster.nodes[0], &ids[0]).await);
}
