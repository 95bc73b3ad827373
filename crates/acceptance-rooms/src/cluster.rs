//! A waiting room of several nodes, as visitors and operators notice it who come to any of them.

use std::sync::Arc;

use rooms::KeptRoom;
use serde_json::{Value, json};
use servers::{Database, Postgres, Redis};
use testkit::{Gateway, Reply, Stub, until};

const DOCUMENT: &str = "
store: {postgres: \"POSTGRES\", redis: \"REDIS\", folder: ./data}
encryption: {master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}
rooms:
  sale: {event: Sample, token: {issuer: \"http://wait.example\"}, position_expiry: 15m}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  shop: {match: {path: /shop}, upstream: shop, policies: [{waiting-room-token: {room: sale, sessions: checked}}]}
  page: {match: {path: /page}, upstream: shop, policies: [{waiting-room: {room: sale}}]}
";

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Gateway>,
    shop: Stub,
    document: String,
    pub(crate) redis: Redis,
    // Last, so that nodes stop before their servers.
    _database: Database,
}

impl Cluster {
    pub(crate) async fn start(nodes: usize) -> Self {
        Self::serving(nodes, DOCUMENT).await
    }

    /// Nodes that serve a document, in which `POSTGRES`, `REDIS` and `BACKEND` stand for what they need.
    pub(crate) async fn serving(nodes: usize, document: &str) -> Self {
        let (shop, database, redis) = (Stub::saying("sold").await, Postgres::shared().database(), Redis::start());
        let document = document.replace("POSTGRES", &database.address()).replace("REDIS", &redis.address());
        let mut cluster = Self { nodes: Vec::new(), shop, document, redis, _database: database };
        for _ in 0..nodes {
            cluster.add().await;
        }
        cluster
    }

    pub(crate) async fn add(&mut self) {
        self.nodes.push(Gateway::with(&self.shop, &self.document).await);
    }
}

pub(crate) async fn send(node: &Gateway, path: &str, body: &Value) -> Reply {
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    node.connect().await.ask(head + &body).await
}

pub(crate) fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("no JSON: {reply:?}"))
}

pub(crate) async fn join(node: &Gateway) -> String {
    let reply = send(node, "/wait/assign_queue_num", &json!({ "event_id": "Sample" })).await;
    json_of(&reply)["api_request_id"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

pub(crate) async fn place(node: &Gateway, id: &str) -> Value {
    json_of(&node.get(&format!("/wait/queue_num?event_id=Sample&request_id={id}")).await)["queue_number"].clone()
}

pub(crate) async fn access(node: &Gateway, id: &str) -> String {
    let ask = async || send(node, "/wait/generate_token", &json!({ "event_id": "Sample", "request_id": id })).await;
    // A node is some milliseconds behind.
    until("the turn has come", async || ask().await.status == 200).await;
    let reply = ask().await;
    json_of(&reply)["access_token"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

pub(crate) async fn let_in(node: &Gateway, by: i64) {
    room(node).move_by(by, now()).await.unwrap();
}

/// The room of a node.
pub(crate) fn room(node: &Gateway) -> Arc<KeptRoom> {
    node.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap()
}

#[expect(clippy::disallowed_methods, reason = "rooms go by the time that it is")]
pub(crate) fn now() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u32::try_from(now.as_secs()).unwrap()
}

#[tokio::test]
async fn whichever_node_a_visitor_comes_to_the_place_is_the_same_and_so_is_the_token() {
    let cluster = Cluster::start(2).await;
    let [one, two] = &*cluster.nodes else { panic!("there are two") };
    let joins = (0..40).map(|number| join(&cluster.nodes[number % 2]));
    let ids = futures::future::join_all(joins).await;
    let mut places = Vec::new();
    for id in &ids {
        let told = place(one, id).await.as_u64().unwrap();
        assert_eq!(place(two, id).await, told);
        places.push(told);
    }
    places.sort_unstable();
    assert_eq!(places, (1..=40).collect::<Vec<_>>());

    // Asked for at the other node at once.
    let late = join(one).await;
    assert_eq!(place(two, &late).await, 41);
    let_in(two, 41).await;
    let token = access(one, &late).await;
    assert_eq!(access(two, &late).await, token);
    for node in [two, one] {
        assert_eq!(node.get_with("/shop/checkout", &[("Authorization", &token)]).await.text(), "sold");
    }
    let served =
        async |node: &Gateway| json_of(&node.get("/wait/serving_num?event_id=Sample").await)["serving_counter"] == "41";
    until("both know the serving number", async || served(one).await && served(two).await).await;
}

#[tokio::test]
async fn a_browser_keeps_its_place_at_any_node() {
    let cluster = Cluster::start(2).await;
    let html = ("Accept", "text/html");
    let first = cluster.nodes[0].get_with("/page", &[html]).await;
    assert_eq!(first.status, 503);
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let again = cluster.nodes[1].get_with("/page", &[html, ("Cookie", &cookie)]).await;
    assert_eq!((again.status, again.header("set-cookie")), (503, None), "it is the same place");
    let_in(&cluster.nodes[0], 1).await;
    until("the turn has come at the other node", async || {
        cluster.nodes[1].get_with("/page", &[html, ("Cookie", &cookie)]).await.text() == "sold"
    })
    .await;
}

#[tokio::test]
async fn keys_that_one_node_exchanges_are_known_to_the_others_at_once() {
    let cluster = Cluster::start(2).await;
    let [one, two] = &*cluster.nodes else { panic!("there are two") };
    let (old, new) = (join(one).await, join(one).await);
    let_in(one, 2).await;
    let before = access(one, &old).await;
    assert_eq!(two.get_with("/shop/checkout", &[("Authorization", &before)]).await.status, 200);

    let room = one.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap();
    let rotated = room.rotate_key(now().into(), 0).await.unwrap();
    assert_eq!(rotated.public_keys.len(), 2);
    let after = access(one, &new).await;
    assert_ne!(before.split('.').next(), after.split('.').next(), "another key signs");
    for token in [&before, &after] {
        for node in [one, two] {
            let opens = async || node.get_with("/shop/checkout", &[("Authorization", token)]).await.status == 200;
            until("the token opens", opens).await;
        }
    }
}

#[tokio::test]
async fn a_node_comes_and_goes_and_a_server_that_is_away_comes_back_and_no_place_is_lost() {
    let mut cluster = Cluster::start(2).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(join(&cluster.nodes[0]).await);
    }
    cluster.nodes.remove(0).stop().await;
    ids.push(join(&cluster.nodes[0]).await);
    cluster.add().await;
    ids.push(join(&cluster.nodes[1]).await);

    cluster.redis.stop();
    let polled = cluster.nodes[1].get("/wait/serving_num?event_id=Sample").await;
    assert_eq!(polled.status, 200, "what is known is told");
    cluster.redis.start_again();
    until("visitors join again", async || {
        send(&cluster.nodes[1], "/wait/assign_queue_num", &json!({ "event_id": "Sample" })).await.status == 200
    })
    .await;
    for (index, id) in ids.iter().enumerate() {
        for node in &cluster.nodes {
            assert_eq!(place(node, id).await, index + 1);
        }
    }
}

#[tokio::test]
async fn a_redis_that_writes_nothing_down_is_refused() {
    let (database, redis) = (Postgres::shared().database(), Redis::start());
    redis.set("appendonly", "no");
    let document = DOCUMENT.replace("POSTGRES", &database.address()).replace("REDIS", &redis.address());
    let findings = Gateway::refusing(&document.replace("BACKEND", "127.0.0.1:1")).await;
    assert!(findings.contains("/store/redis: writes nothing down"), "{findings}");
}
