//! Visits of a waiting room that end by what the shop behind it answers.

use std::sync::Arc;

use rooms::KeptRoom;
use serde_json::Value;
use testkit::{Gateway, Reply, Stub};

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms: {sale: {event: Sample}}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  shop:
    match: {path: /shop}
    upstream: shop
    policies:
      - waiting-room: {room: sale}
      - waiting-room-visit:
          room: sale
          completed: [{when: \"request.path == '/shop/thanks'\"}]
          abandoned: [{when: \"request.path == '/shop/leave'\"}, {answered: {status: [404]}}]
";

struct Scene {
    gateway: Gateway,
    _shop: Stub,
}

impl Scene {
    async fn new() -> Self {
        Self::of(DOCUMENT).await
    }

    async fn of(document: &str) -> Self {
        let shop = Stub::saying("sold").await;
        let gateway = Gateway::serving(&document.replace("BACKEND", &shop.address.to_string())).await;
        Self { gateway, _shop: shop }
    }

    fn room(&self) -> Arc<KeptRoom> {
        self.gateway.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap()
    }

    async fn let_in(&self, by: i64) {
        self.room().move_by(by, u32::try_from(control::now().0 / 1_000_000).unwrap()).await.unwrap();
    }

    /// Somebody who shows this, and asks for a page.
    async fn asks(&self, path: &str, shown: (&str, &str)) -> Reply {
        self.gateway.get_with(path, &[("Accept", "text/html"), shown]).await
    }

    /// Somebody who comes for the first time; what their browser shows then.
    async fn comes(&self) -> String {
        let joined = self.asks("/shop", ("Cookie", "")).await;
        joined.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    /// How many visits came to a good end, and to another.
    fn ended(&self) -> (u32, u32) {
        let counters = self.room().counters().unwrap();
        (counters.completed, counters.abandoned)
    }
}

#[tokio::test]
async fn a_visit_ends_by_what_is_answered_and_who_comes_again_joins_anew() {
    let scene = Scene::new().await;
    let cookie = scene.comes().await;
    let shown = ("Cookie", cookie.as_str());
    assert_eq!(scene.asks("/shop/thanks", shown).await.status, 503, "who waits has no visit to end");
    scene.let_in(1).await;

    assert_eq!(scene.asks("/shop", shown).await.status, 200);
    assert_eq!(scene.ended(), (0, 0));
    assert_eq!(scene.asks("/shop/thanks", shown).await.status, 200, "the page that ends it is shown");
    assert_eq!(scene.ended(), (1, 0));
    assert_eq!((scene.asks("/shop", shown).await.status, scene.room().counters().unwrap().queue), (503, 2));
}

#[tokio::test]
async fn whoever_is_next_comes_in_as_soon_as_an_answer_ends_a_visit() {
    let room = "{event: Sample, position_expiry: 15m, inlet: {max-size: {size: 1}}}";
    let scene = Scene::of(&DOCUMENT.replace("{event: Sample}", room)).await;
    let cookies = [scene.comes().await, scene.comes().await];
    let [first, second] = cookies.each_ref().map(|cookie| ("Cookie", cookie.as_str()));
    testkit::until("the first is in", async || scene.asks("/shop", first).await.status == 200).await;
    assert_eq!(scene.asks("/shop", second).await.status, 503);
    assert_eq!(scene.asks("/shop/thanks", first).await.status, 200);
    assert_eq!(scene.asks("/shop", second).await.status, 200);
}

#[tokio::test]
async fn who_came_by_a_token_goes_by_it() {
    let scene = Scene::new().await;
    scene.let_in(1).await;
    let send = async |path: &str, body: &str| {
        let head = format!("POST /wait/{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let reply = scene.gateway.connect().await.ask(head + body).await;
        serde_json::from_slice::<Value>(&reply.body).unwrap()
    };
    let joined = send("assign_queue_num", "{\"event_id\":\"Sample\"}").await;
    let id = joined["api_request_id"].as_str().unwrap();
    let tokens = send("generate_token", &format!("{{\"event_id\":\"Sample\",\"request_id\":\"{id}\"}}")).await;
    let shown = ("Authorization", tokens["access_token"].as_str().unwrap());

    assert_eq!((scene.asks("/shop/leave", shown).await.status, scene.ended()), (200, (0, 1)));
    assert_eq!(scene.asks("/shop", shown).await.status, 503, "the token of a visit that has ended opens nothing");
}

#[tokio::test]
async fn a_policy_that_ends_no_visit_is_a_mistake() {
    let rules = DOCUMENT.find("          completed").unwrap();
    let findings = Gateway::refusing(&DOCUMENT.get(..rules).unwrap().replace("BACKEND", "127.0.0.1:9")).await;
    let expected =
        "/apis/shop/policies/1/waiting-room-visit: ends no visit: write a rule into `completed` or `abandoned`";
    assert!(findings.contains(expected), "{findings}");
}
