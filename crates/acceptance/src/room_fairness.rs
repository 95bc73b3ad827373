//! Fairness of waiting rooms, as visitors and those who look after them notice it.

use serde_json::{Value, json};
use testkit::{Gateway, Reply, Stub, until};
use waiting_room::State;

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms: {sale: {event: Sample, page: {title: Tickets}, ROOM}}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  shop: {match: {path: /shop}, upstream: shop, policies: [{waiting-room: {room: sale}}]}
";

struct Scene {
    _shop: Stub,
    gateway: Gateway,
}

async fn scene(room: &str) -> Scene {
    let shop = Stub::saying("sold").await;
    let document = DOCUMENT.replace("BACKEND", &shop.address.to_string()).replace("ROOM", room);
    Scene { gateway: Gateway::serving(&document).await, _shop: shop }
}

impl Scene {
    fn room(&self) -> std::sync::Arc<rooms::KeptRoom> {
        self.gateway.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap()
    }

    async fn browse(&self, target: &str, cookie: &str) -> Reply {
        self.gateway.get_with(target, &[("Accept", "text/html"), ("Cookie", cookie)]).await
    }

    async fn join(&self, body: &Value) -> Reply {
        let body = body.to_string();
        let head = format!("POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        self.gateway.connect().await.ask(head + &body).await
    }

    async fn get(&self, target: &str) -> Value {
        json_of(&self.gateway.get(&format!("/wait/{target}")).await)
    }

    async fn place(&self, joined: &Reply) -> Value {
        let id = json_of(joined)["api_request_id"].as_str().unwrap().to_owned();
        self.get(&format!("queue_num?event_id=Sample&request_id={id}")).await["queue_number"].clone()
    }
}

fn now() -> u32 {
    u32::try_from(control::now().0 / 1_000_000).unwrap()
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("no JSON: {reply:?}"))
}

fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// How a page shows somebody's place.
fn place_shown(place: u64) -> String {
    format!("data-v=\"place\">{place}<")
}

#[tokio::test]
async fn who_came_before_opening_has_a_place_by_lot_a_moment_later_and_can_check_it() {
    let scene = scene("schedule: {pre_queue: \"2020-12-01T10:00:00Z\"}, lottery: {}").await;
    let page = scene.browse("/shop/tickets", "").await;
    assert!(page.text().contains("places are drawn"), "{}", page.text());
    let early = scene.join(&json!({ "event_id": "Sample" })).await;
    let told = scene.get("lottery?event_id=Sample").await;
    assert_eq!((&told["registered"], &told["algorithm"]), (&json!(2), &json!("vestibule-lottery-1")));

    scene.room().set_state(State::Open, now()).await.unwrap();
    until("lots are drawn", async || !scene.get("lottery?event_id=Sample").await["drawn"].is_null()).await;

    let drawn = scene.get("lottery?event_id=Sample").await["drawn"].clone();
    assert_eq!((&drawn["visitors"], &drawn["commitment"]), (&json!(2), &told["commitment"]));
    let place = scene.place(&early).await.as_u64().unwrap();
    assert!((1..=2).contains(&place), "{place}");
    let page = scene.browse("/shop/tickets", &cookie(&page)).await;
    assert!(page.text().contains(&place_shown(3 - place)), "{}", page.text());
    let head = scene.gateway.get("/wait/lottery?event_id=Sample").await.text();
    let lines = scene.gateway.get("/wait/lottery_places?event_id=Sample").await.text();
    let published = rooms::lottery::Published::read(&format!("{head}\n{lines}")).unwrap();
    assert_eq!(published.verify(told["commitment"].as_str()).unwrap().visitors, 2);
}

#[tokio::test]
async fn an_invite_in_an_address_is_a_place_further_ahead_once() {
    let scene = scene("lanes: {vip: {share: 10%}}").await;
    for _ in 0..30 {
        scene.join(&json!({ "event_id": "Sample" })).await;
    }
    let promise = rooms::Promise { lane: "vip".into(), uses: 1, expires: now() + 60 };
    let target = format!("/shop/tickets?a=b&room-invite={}", scene.room().invite(&promise).unwrap().unwrap());

    scene.room().set_state(State::Idle, 1).await.unwrap();
    let early = scene.browse(&target, "").await;
    assert_eq!((early.status, early.header("location")), (503, None), "the page at this address joins by it later");
    scene.room().set_state(State::Open, 2).await.unwrap();
    let led_on = scene.browse(&target, "").await;

    assert_eq!((led_on.status, led_on.header("location")), (303, Some("/shop/tickets?a=b")), "{led_on:?}");
    let page = scene.browse("/shop/tickets?a=b", &cookie(&led_on)).await;
    let ahead: Vec<_> = (1..=10).filter(|place| page.text().contains(&place_shown(*place))).collect();
    assert_eq!(ahead.len(), 1, "{}", page.text());
    let again = scene.browse(&target, &cookie(&led_on)).await;
    assert_eq!((again.status, again.header("set-cookie")), (303, None), "who came by it opens its address again");
    let other = scene.browse(&target, "").await;
    assert_eq!((other.status, other.problem().as_str()), (403, "waiting-room-invite-refused"));
    assert_eq!(scene.room().counters().unwrap().queue, 31);
}

#[tokio::test]
async fn an_invite_costs_nobody_a_place_that_is_as_good_nor_a_use() {
    let scene = scene("lanes: {vip: {share: 10%}}").await;
    let page = scene.browse("/shop/tickets", "").await;
    let others = async |count: usize| {
        for _ in 0..count {
            scene.join(&json!({ "event_id": "Sample" })).await;
        }
    };
    others(30).await;
    let promise = rooms::Promise { lane: "vip".into(), uses: 50, expires: now() + 60 };
    let target = format!("/shop/tickets?room-invite={}", scene.room().invite(&promise).unwrap().unwrap());
    let queue = || scene.room().counters().unwrap().queue;
    let first = cookie(&page);

    let invited = cookie(&scene.browse(&target, "").await);
    let late = cookie(&scene.browse("/shop/tickets", "").await);
    assert_eq!(queue(), 33);
    for cookie in [&invited, &invited, &first] {
        let again = scene.browse(&target, cookie).await;
        assert_eq!((again.status, again.header("location")), (303, Some("/shop/tickets")));
        assert_eq!((again.header("set-cookie"), queue()), (None, 33), "the next number of the lane is behind theirs");
    }
    scene.room().move_by(1, now()).await.unwrap();
    assert_eq!(scene.browse("/shop/tickets", &first).await.text(), "sold");
    // Their number is behind those that the lane has now, and they are in.
    scene.room().move_by(-1, now()).await.unwrap();
    for _ in 0..2 {
        let inside = scene.browse(&target, &first).await;
        assert_eq!((inside.status, inside.header("set-cookie"), queue()), (303, None, 33));
    }
    assert_eq!(scene.browse("/shop/tickets", &first).await.text(), "sold");
    let better = scene.browse(&target, &late).await;
    assert_eq!((better.status, better.header("set-cookie").is_some(), queue()), (303, true, 34));
}

#[tokio::test]
async fn who_shows_a_proof_whose_place_is_over_is_asked_for_another_one() {
    let scene = scene("proof_of_work: {difficulty: 1}").await;
    let page = scene.browse("/shop/tickets", "").await.text();
    let challenge = page.split("data-challenge=\"").nth(1).unwrap().split('"').next().unwrap();
    let proof = format!("vestibule-proof-sale={}", room_tickets::solved(challenge, 1).unwrap());
    scene.room().move_by(1, now()).await.unwrap();
    let entered = scene.browse("/shop/tickets", &proof).await;
    assert_eq!(entered.text(), "sold");
    let cookie = cookie(&entered);
    let id = cookie.split(['=', '.']).nth(1).and_then(|ticket| scene.room().read_ticket(ticket)).unwrap();
    assert!(scene.room().end(id, waiting_room::Ending::Completed, now()).await.unwrap());

    for cookies in [format!("{cookie}; {proof}"), proof.clone()] {
        let again = scene.browse("/shop/tickets", &cookies).await;
        assert_eq!((again.status, again.header("content-type")), (503, Some("text/html; charset=utf-8")));
        assert!(again.text().contains("data-challenge"), "{}", again.text());
    }
}

#[tokio::test]
async fn a_browser_computes_before_it_has_a_place_or_joins_by_the_slow_lane() {
    let scene = scene("proof_of_work: {difficulty: 1}").await;
    let page = scene.browse("/shop/tickets?a=b", "").await;
    assert_eq!((page.status, page.header("set-cookie")), (503, None));
    let policy = page.header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains("script-src 'sha256-") && policy.contains("worker-src blob:"), "{policy}");
    let text = page.text();
    assert!(text.contains("href=\"?a=b&amp;room-join=slow-lane\""), "{text}");
    let (_, rest) = text.split_once("data-challenge=\"").unwrap();
    let challenge = rest.split('"').next().unwrap();

    let mut placed = None;
    for number in 0..64 {
        let reply = scene.browse("/shop/tickets", &format!("vestibule-proof-sale={challenge}.{number}")).await;
        if reply.header("set-cookie").is_some() {
            placed = Some(reply);
            break;
        }
        assert!(reply.text().contains("data-challenge"), "what solves nothing is asked again: {}", reply.text());
    }
    assert!(placed.unwrap().text().contains(&place_shown(1)));

    let without = scene.browse("/shop/tickets?a=b&room-join=slow-lane", "").await;
    assert_eq!((without.status, without.header("location")), (303, Some("/shop/tickets?a=b")));
    let page = scene.browse("/shop/tickets?a=b", &cookie(&without)).await;
    assert!(page.text().contains("You are in line"), "{}", page.text());
    let again = scene.browse("/shop/tickets?room-join=slow-lane", &cookie(&without)).await;
    assert_eq!((again.status, again.header("set-cookie")), (303, None), "who has a place gets no other");
    assert_eq!(scene.room().counters().unwrap().queue, 2);
}

#[tokio::test]
async fn a_network_that_has_its_share_goes_on_by_the_slow_lane() {
    let scene = scene("caps: {network: 1%, wide_network: 1%, allowance: 2, slow_lane: 5%}").await;
    let mut places = Vec::new();
    for _ in 0..4 {
        let joined = scene.join(&json!({ "event_id": "Sample" })).await;
        places.push(scene.place(&joined).await.as_u64().unwrap());
    }
    assert_eq!(places[1], 2);
    assert_eq!(places[3], places[2] + 20, "one number of twenty: {places:?}");
}

#[tokio::test]
async fn what_cannot_be_fair_is_a_finding() {
    for (room, expected) in [
        ("lanes: {a b: {share: 1%}}", "/lanes/a b: is no name of a lane"),
        ("lanes: {slow: {share: 1%}}", "/lanes/slow: is the lane of `caps` and `proof_of_work`"),
        ("lanes: {vip: {share: 0%}}", "/lanes/vip/share: is nothing"),
        ("lanes: {a: {share: 50%}, b: {share: 45%}}, caps: {}", "/lanes: leave no turns for everybody"),
        ("caps: {network: 0%}", "/caps/network: is nothing"),
        ("caps: {network: 5%, wide_network: 4%}", "/caps/wide_network: is less than `network`"),
        ("proof_of_work: {difficulty: 0}", "difficulty"),
        ("proof_of_work: {valid: 1s}", "/proof_of_work/valid: is not between ten seconds and an hour"),
    ] {
        let findings = Gateway::refusing(&format!("store: {{embedded: ./data}}\nrooms: {{sale: {{{room}}}}}")).await;
        assert!(findings.contains(expected), "{expected}: {findings}");
    }
}
