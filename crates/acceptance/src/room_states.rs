//! Waiting rooms that open, pause and close, as visitors notice it.

use serde_json::{Value, json};
use testkit::{Gateway, Reply, Stub};
use waiting_room::State;

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms: {sale: {event: Sample, schedule: {SCHEDULE}}}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  shop: {match: {path: /shop}, upstream: shop, policies: [{waiting-room: {room: sale}}]}
";

struct Scene {
    shop: Stub,
    gateway: Gateway,
}

fn document(shop: &Stub, schedule: &str) -> String {
    DOCUMENT.replace("BACKEND", &shop.address.to_string()).replace("SCHEDULE", schedule)
}

async fn scene(schedule: &str) -> Scene {
    let shop = Stub::saying("sold").await;
    let gateway = Gateway::serving(&document(&shop, schedule)).await;
    Scene { shop, gateway }
}

impl Scene {
    /// As an operator.
    async fn set(&self, state: State) {
        let room = self.gateway.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap();
        room.set_state(state, now()).await.unwrap();
    }

    /// As a browser that has this cookie.
    async fn browse(&self, cookie: &str) -> Reply {
        self.gateway.get_with("/shop/tickets", &[("Accept", "text/html"), ("Cookie", cookie)]).await
    }

    /// As a program that has this cookie.
    async fn ask(&self, cookie: &str) -> Reply {
        self.gateway.get_with("/shop/tickets", &[("Cookie", cookie)]).await
    }

    async fn join(&self) -> Reply {
        let body = "{\"event_id\":\"Sample\"}";
        let head = format!("POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        self.gateway.connect().await.ask(head + body).await
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

#[tokio::test]
async fn before_it_opens_a_room_says_when_and_gives_no_places() {
    let scene = scene("opens: \"2099-12-01T10:00:00Z\"").await;

    let page = scene.browse("").await;
    assert_eq!((page.status, page.header("set-cookie")), (503, None));
    assert!(page.text().contains("<time datetime=\"2099-12-01T10:00:00Z\">2099-12-01 10:00 UTC</time>"));
    let problem = scene.ask("").await;
    assert_eq!((problem.status, problem.problem().as_str()), (503, "waiting-room-not-open"));
    assert_eq!(json_of(&problem)["opens_at"], "2099-12-01T10:00:00Z");
    let joined = scene.join().await;
    assert_eq!((joined.status, joined.header("retry-after")), (503, Some("3600")), "{joined:?}");
    let state = json_of(&scene.gateway.get("/wait/room_state?event_id=Sample").await);
    assert_eq!((&state["state"], &state["opens"]), (&json!("idle"), &json!(4_099_802_400_u32)));

    scene.gateway.reload(&document(&scene.shop, "opens: \"2020-12-01T10:00:00Z\"")).unwrap();
    assert_eq!(scene.join().await.status, 200, "it opens with whoever asks first");
    scene.gateway.reload(&document(&scene.shop, "closes: \"2020-12-01T10:00:00Z\"")).unwrap();
    assert_eq!(scene.join().await.status, 410);
    let page = scene.browse("").await;
    assert_eq!((page.status, page.header("retry-after")), (403, None));
    // It may be opened again.
    assert!(page.text().contains("It is closed") && page.text().contains("content=\"120\""), "{}", page.text());
}

#[tokio::test]
async fn who_comes_early_has_a_place_and_who_is_in_stays_in_whatever_happens() {
    let scene = scene("pre_queue: \"2020-12-01T10:00:00Z\"").await;
    let page = scene.browse("").await;
    assert!(page.text().contains("You are here before it opens"), "{}", page.text());
    let (inside, outside) = (cookie(&page), cookie(&scene.browse("").await));
    let problem = scene.ask(&inside).await;
    assert_eq!((problem.status, problem.problem().as_str()), (503, "waiting-room-pre-queue"));

    let room = scene.gateway.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap();
    room.move_by(1, now()).await.unwrap();
    assert_eq!(scene.browse(&inside).await.status, 503, "nobody is let in before it opens");
    scene.set(State::Open).await;
    assert_eq!(scene.browse(&inside).await.text(), "sold");

    for (state, status, code) in [
        (State::Open, 503, "waiting-room-wait"),
        (State::Paused, 503, "waiting-room-paused"),
        (State::Closed, 403, "waiting-room-closed"),
    ] {
        scene.set(state).await;
        assert_eq!(scene.browse(&inside).await.status, 200, "{state:?}");
        let told = scene.ask(&outside).await;
        assert_eq!((told.status, told.problem().as_str()), (status, code));
    }
    scene.set(State::PassingEverybody).await;
    for cookie in ["", &outside] {
        assert_eq!(scene.ask(cookie).await.text(), "sold");
    }
}

#[tokio::test]
async fn who_opened_a_page_while_everybody_passed_is_in_when_others_wait_again() {
    let scene = scene("pre_queue: \"2020-12-01T10:00:00Z\", opens: \"2020-12-01T11:00:00Z\"").await;
    let waiting = cookie(&scene.browse("").await);
    scene.set(State::PassingEverybody).await;
    let given = [cookie(&scene.browse("").await), format!("{waiting}; {}", cookie(&scene.browse(&waiting).await))];
    let part = scene.ask("").await;
    assert_eq!((part.text().as_str(), part.header("set-cookie")), ("sold", None));
    assert_eq!(scene.browse(&given[0]).await.header("set-cookie"), None, "what is fresh is not given again");

    for state in [State::Open, State::Paused, State::Closed] {
        scene.set(state).await;
        for cookies in &given {
            assert_eq!(scene.browse(cookies).await.text(), "sold", "{state:?} {cookies}");
            assert_eq!(scene.ask(cookies).await.text(), "sold", "{state:?} {cookies}");
        }
        assert_ne!(scene.ask(&waiting).await.status, 200, "{state:?}");
    }
}

#[tokio::test]
async fn a_browser_keeps_a_place_until_long_after_the_room_has_opened() {
    let scene = scene("pre_queue: \"2020-12-01T10:00:00Z\", opens: \"2099-12-01T10:00:00Z\"").await;
    let page = scene.browse("").await;
    let given = page.header("set-cookie").unwrap();
    let kept = given.split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    // The visit lasts for an hour after that.
    assert!(kept.parse::<u32>().unwrap() > 4_099_802_400 - now() + 3600, "{given}");
}

#[tokio::test]
async fn a_room_that_is_paused_is_so_after_a_restart_until_somebody_opens_it() {
    let scene = scene("pre_queue: \"2020-12-01T10:00:00Z\", opens: \"2020-12-01T11:00:00Z\"").await;
    let waiting = cookie(&scene.browse("").await);
    scene.set(State::Paused).await;

    let scene = Scene { gateway: scene.gateway.restart().await, ..scene };
    let page = scene.browse(&waiting).await;
    assert!(page.text().contains("data-v=\"place\">1<"), "{}", page.text());
    scene.set(State::Open).await;
    assert!(scene.browse(&waiting).await.text().contains("data-v=\"ahead\">0<"));
}

#[tokio::test]
async fn a_schedule_that_cannot_be_kept_is_a_finding() {
    for (schedule, expected) in [
        ("", "/rooms/sale/schedule: says nothing"),
        (
            "opens: \"2026-12-01T10:00:00Z\", pre_queue: \"2026-12-01T10:00:00Z\"",
            "/schedule/opens: is not after `pre_queue`",
        ),
        (
            "opens: \"2026-12-01T10:00:00Z\", closes: \"2026-12-01T09:00:00Z\"",
            "/schedule/closes: is not after what it closes",
        ),
    ] {
        let findings =
            Gateway::refusing(&format!("store: {{embedded: ./data}}\nrooms: {{sale: {{schedule: {{{schedule}}}}}}}"))
                .await;
        assert!(findings.contains(expected), "{expected}: {findings}");
    }
}
