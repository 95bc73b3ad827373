//! Lots, lanes, invites, caps and proofs of work, as clients notice them.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use waiting_room::{Lane, LaneKind, Lanes, RequestId, Rules, Schedule};

use super::{Reply, Scene, Sent, settings};
use crate::lottery::{Published, read_lots};
use crate::{Caps, Fairness, Lots, Promise, SLOW, Settings, Side, Without, Work};

const OPENS: u32 = 1_800_000_200;

fn with(fairness: Fairness) -> Settings {
    Settings { fairness, ..settings() }
}

/// A room whose visitors gather now, and that opens in 200 seconds.
fn gathering(lots: Lots) -> Settings {
    let schedule = Schedule { pre_queue: Some(1), opens: Some(OPENS), closes: None };
    let fairness = Fairness { lottery: Some(lots), ..Fairness::default() };
    Settings { rules: Rules { schedule, ..Rules::default() }, ..with(fairness) }
}

fn lanes() -> Arc<Lanes> {
    let lane = |name: &str, weight, kind| Lane { name: name.into(), weight, quota: None, kind };
    Arc::new(Lanes::of(vec![lane("vip", 10, LaneKind::Preferred), lane(SLOW, 5, LaneKind::Slow)]))
}

impl Scene {
    async fn join_with(&self, name: &str, text: &str) -> Reply {
        self.public("/assign_queue_num", json!({ "event_id": "Sample", name: text })).await
    }

    async fn place(&self, id: &str) -> Option<u64> {
        self.queue_num(id).await.body["queue_number"].as_u64()
    }

    async fn lottery(&self) -> Value {
        self.get("/lottery?event_id=Sample").await.body
    }

    async fn draw(&self) {
        self.tick();
        self.rooms.draw_lots(self.now.get()).await;
    }

    async fn published(&self) -> Published {
        let told = Published::read_told(&self.lottery().await.to_string()).unwrap();
        let lines = self.get("/lottery_places?event_id=Sample").await.text;
        Published { told, lots: read_lots(std::str::from_utf8(&lines).unwrap()).unwrap() }
    }
}

impl Reply {
    fn code(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("access-control-allow-origin"), "*");
        self.body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap()
    }
}

#[tokio::test]
async fn who_comes_early_draws_a_lot_that_everybody_can_check() {
    let scene = Scene::with(gathering(Lots::default()));
    scene.get("/lottery_places?event_id=Sample").await.says(404, "No lots have been drawn yet");
    let ids = scene.joined(20).await;
    let before = scene.lottery().await;
    assert_eq!((&before["registered"], &before["drawn"]), (&json!(20), &Value::Null));
    scene.queue_num(&ids[0]).await.says(202, "Request ID not found");
    scene.token(&ids[0]).await.says(202, "Request ID not being served yet");
    assert_eq!(scene.waiting().await, 20);

    scene.wait(200);
    scene.draw().await;

    let mut places = Vec::new();
    for id in &ids {
        places.push(scene.place(id).await.unwrap());
    }
    assert_ne!(places, (1..=20).collect::<Vec<_>>(), "one time in two billion billions");
    let published = scene.published().await;
    let told = published.verify(before["commitment"].as_str()).unwrap();
    assert_eq!((told.visitors, told.seed.len()), (20, 64));
    for (id, place) in ids.iter().zip(&places) {
        let tag = waiting_room::Tag::of(id.parse::<RequestId>().unwrap());
        let lot = published.lots.iter().find(|lot| lot.tag == tag).unwrap();
        assert_eq!(u64::from(lot.position), *place);
    }
    assert!(published.verify(Some("00")).is_err(), "another commitment than the one that was told");
    let kept = Published::read(&published.text()).unwrap();
    assert_eq!((kept.lots == published.lots, kept.told == published.told), (true, true));
    let last = scene.join().await;
    assert_eq!(scene.place(&last).await, Some(21));
}

#[tokio::test]
async fn the_seed_and_the_draw_are_the_same_after_a_restart_at_any_moment() {
    let scene = Scene::with(gathering(Lots::default()));
    let early = scene.joined(10).await;
    let commitment = scene.lottery().await["commitment"].clone();

    let scene = scene.restarted();
    assert_eq!(scene.lottery().await["commitment"], commitment);
    scene.rooms.take_pictures().unwrap();
    let scene = scene.restarted();
    assert_eq!(scene.lottery().await["commitment"], commitment, "from a picture, too");
    let late = scene.joined(10).await;
    scene.wait(200);
    scene.tick();
    // It ends after the opening and before the draw.
    let scene = scene.restarted();
    let behind = scene.join().await;
    scene.draw().await;
    assert_eq!(scene.place(&behind).await, Some(21), "who came after the opening draws no lot");
    let published = scene.published().await;
    published.verify(commitment.as_str()).unwrap();
    let mut places = Vec::new();
    for id in early.iter().chain(&late) {
        places.push(scene.place(id).await);
    }

    let scene = scene.restarted();
    scene.draw().await;
    scene.rooms.take_pictures().unwrap();
    let scene = scene.restarted();
    for (id, place) in early.iter().chain(&late).zip(places) {
        assert_eq!(scene.place(id).await, place);
    }
    assert_eq!(scene.published().await.text(), published.text());
}

#[tokio::test]
async fn a_question_that_began_before_the_opening_and_ends_after_the_draw_changes_nothing_of_either() {
    let scene = Scene::with(gathering(Lots::default()));
    scene.joined(10).await;
    scene.wait(200);
    scene.draw().await;
    let (published, now) = (scene.published().await.text(), scene.now.replace(OPENS - 1));
    let late = scene.join().await;
    scene.now.set(now);
    scene.draw().await;
    assert_eq!(scene.place(&late).await, Some(11));
    assert_eq!(scene.published().await.text(), published);
    let opened = scene.room.happened().read().find(|(kind, _)| *kind == room_events::Kind::RoomOpened);
    assert_eq!(opened.map(|(_, count)| count), Some(1));
}

#[tokio::test]
async fn a_draw_waits_for_a_public_value_if_it_is_to() {
    let scene = Scene::with(gathering(Lots { waits_for: Some("the next round".into()) }));
    let ids = scene.joined(5).await;
    assert!(!scene.room.draw("early", scene.now.get()).await.unwrap(), "nothing is drawn before it opens");
    scene.wait(200);
    scene.draw().await;
    assert_eq!(scene.place(&ids[0]).await, None);
    assert_eq!(scene.lottery().await["waits_for"], "the next round");

    assert!(scene.room.draw("8430af", scene.now.get()).await.unwrap());

    assert!(scene.place(&ids[0]).await.is_some());
    let published = scene.published().await;
    assert_eq!(published.verify(None).unwrap().public_value, "8430af");
    assert!(!scene.room.draw("again", scene.now.get()).await.unwrap(), "there is one draw");
}

#[tokio::test]
async fn an_invite_opens_its_lane_as_often_as_it_says_and_then_changes_nothing() {
    let scene = Scene::with(with(Fairness { lanes: lanes(), ..Fairness::default() }));
    scene.joined(100).await;
    let promise = Promise { lane: "vip".into(), uses: 1, expires: scene.now.get() + 60 };
    let invite = scene.room.invite(&promise).unwrap().unwrap();
    let guest = scene.join_with("invite", &invite).await.text_of("api_request_id");
    assert!(scene.place(&guest).await.unwrap() <= 10, "a tenth of turns is for who is invited");

    let counted = scene.room.counters().unwrap();
    for _ in 0..2 {
        let again = scene.join_with("invite", &invite).await;
        assert_eq!((again.status, again.code()), (403, "waiting-room-invite-refused"));
    }
    let scene = scene.restarted();
    assert_eq!(scene.join_with("invite", &invite).await.status, 403, "after a restart, too");
    let other = scene.room.invite(&promise).unwrap().unwrap();
    scene.wait(61);
    assert_eq!(scene.join_with("invite", &other).await.code(), "waiting-room-invite-refused");
    assert_eq!(scene.join_with("invite", "nonsense").await.code(), "waiting-room-invite-refused");
    assert_eq!(scene.room.counters().unwrap(), counted, "what is refused changes nothing");
    for lane in [SLOW, "gold"] {
        assert_eq!(scene.room.invite(&Promise { lane: lane.into(), ..promise.clone() }).unwrap(), None);
    }
}

#[tokio::test]
async fn networks_that_send_most_have_their_share_of_the_first_turns_and_nobody_is_refused() {
    let caps = Caps { near: 1, wide: 2, announced: None, allowance: 5 };
    let scene = Scene::with(with(Fairness { lanes: lanes(), caps: Some(caps), ..Fairness::default() }));
    let (mut bots, mut people) = (Vec::new(), Vec::new());
    for number in 0_u32..3_000 {
        let is_bot = number % 10 != 0;
        let client = if is_bot {
            format!("198.5{}.{}.{}", number % 3, number % 7, number % 251)
        } else {
            format!("{}.{}.{}.1", 20 + number % 200, number / 200, number % 13)
        };
        scene.client.set(Some(client.parse().unwrap()));
        (if is_bot { &mut bots } else { &mut people }).push(scene.join().await);
    }
    scene.increment(300).await;
    let serving: u64 = scene.serving().await.parse().unwrap();
    let mut served = [0, 0];
    for (counted, ids) in served.iter_mut().zip([&bots, &people]) {
        for id in ids {
            *counted += u64::from(scene.place(id).await.unwrap() <= serving);
        }
    }
    let [bots, people] = served;
    assert_eq!(bots + people, 300);
    // Three networks of 2 %, and the slow lane of 5 %, which also has its number before the first of a hundred is over.
    assert!(bots <= 300 * 11 / 100 + 3, "{bots} of 300 turns");
}

#[tokio::test]
async fn a_room_that_asks_for_work_has_those_who_do_it_come_first_and_each_proof_once() {
    let work = Work { difficulty: 6, valid: 60, without: Without::SlowLane };
    let scene = Scene::with(with(Fairness { lanes: lanes(), work: Some(work), ..Fairness::default() }));
    let without = scene.joined(3).await;
    assert!(scene.place(&without[2]).await.unwrap() > 40, "the slow lane has a number of twenty");
    let asked = scene.get("/challenge?event_id=Sample").await;
    assert_eq!((asked.header("cache-control"), &asked.body["difficulty"]), ("no-store", &json!(6)));
    let proof = room_tickets::solved(asked.body["challenge"].as_str().unwrap(), 6).unwrap();

    let id = scene.join_with("proof", &proof).await.text_of("api_request_id");
    assert_eq!(scene.place(&id).await, Some(1));
    assert_eq!(scene.join_with("proof", &proof).await.text_of("api_request_id"), id, "a proof is one place");
    let scene = scene.restarted();
    assert_eq!(scene.join_with("proof", &proof).await.text_of("api_request_id"), id, "after a restart, too");
    let keyed = async |key: &str, proof: &str| {
        let (body, kind) =
            (json!({ "event_id": "Sample", "proof": proof }).to_string(), ("content-type", "application/json"));
        let sent: Sent<'_> = (&[kind, ("idempotency-key", key)], &body);
        scene.ask_with(Side::Public, Method::POST, "/assign_queue_num", sent).await
    };
    let mut proofs = Vec::new();
    for _ in 0..2 {
        let asked = scene.get("/challenge?event_id=Sample").await;
        proofs.push(room_tickets::solved(asked.body["challenge"].as_str().unwrap(), 6).unwrap());
    }
    let once = keyed("the key of one join", &proofs[0]).await.text_of("api_request_id");
    for (key, of) in [("the key of one join", &proofs[1]), ("the key of one join", &proofs[0])] {
        assert_eq!(keyed(key, of).await.text_of("api_request_id"), once, "a key is one place");
    }
    assert_eq!(keyed("the key of another", &proof).await.text_of("api_request_id"), id, "a proof is one place");
    for used in [keyed("the key of another", &proofs[0]).await, scene.join_with("proof", &proofs[0]).await] {
        assert_eq!((used.status, used.code()), (403, "waiting-room-proof-refused"));
    }
    let counted = scene.room.counters().unwrap();
    let unproven = scene.join_with("proof", "x.1").await;
    assert_eq!((unproven.status, unproven.code()), (403, "waiting-room-proof-refused"));
    assert_eq!(scene.room.counters().unwrap(), counted);

    let work = Work { without: Without::Refused, ..work };
    let scene = Scene::with(with(Fairness { work: Some(work), ..Fairness::default() }));
    assert_eq!(scene.try_join().await.code(), "waiting-room-proof-refused");
    assert_eq!(scene.get("/proof.js").await.header("content-type"), "text/javascript; charset=utf-8");
}
