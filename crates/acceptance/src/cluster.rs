//! Several nodes that share PostgreSQL and Redis, as partners and operators notice them.

use std::time::Duration;

use servers::{Database, Postgres, Redis};
use testkit::{Gateway, Stub, until};

const DOCUMENT: &str = "
store: {postgres: \"POSTGRES\", redis: \"REDIS\", folder: ./data}
encryption: {master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}
upstreams: {orders: {targets: [\"http://BACKEND\"]}}
signing: {backend: {}}
apis:
  orders:
    match: {path: /orders}
    upstream: orders
    policies:
      - api-key: {}
      - quota: {from: product}
      - backend-token: {issuer: \"https://gateway.example\", audience: orders, keys: backend}
  fast:
    match: {path: /fast}
    upstream: orders
    policies:
      - api-key: {}
      - spike-arrest: {rate: 3/h, burst: 3, per: app}
products:
  trial:
    operations: [\"orders: GET /**\"]
    quota: {requests: 50, per: year}
  fast:
    operations: [\"fast: * /**\"]
";

struct Cluster {
    nodes: Vec<Gateway>,
    backend: Stub,
    // Last, so that nodes stop before their servers.
    database: Database,
    redis: Redis,
}

impl Cluster {
    async fn start() -> Self {
        Self::on(Postgres::shared(), 3).await
    }

    async fn on(postgres: Postgres, nodes: usize) -> Self {
        let (backend, database, redis) = (Stub::saying("hello").await, postgres.database(), Redis::start());
        let document = DOCUMENT.replace("POSTGRES", &database.address()).replace("REDIS", &redis.address());
        let mut cluster = Self { nodes: Vec::new(), backend, database, redis };
        for _ in 0..nodes {
            cluster.nodes.push(Gateway::with(&cluster.backend, &document).await);
        }
        cluster
    }

    /// How many requests of so many were answered with each status, asked of the nodes in turn and at once.
    async fn ask(&self, count: usize, path: &str, key: &str) -> (usize, usize) {
        let one = async |node: &Gateway| node.get_with(path, &[("X-Api-Key", key)]).await.status;
        let statuses = futures::future::join_all(self.nodes.iter().cycle().take(count).map(one)).await;
        let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        (count(200), count(429))
    }
}

async fn opens(node: &Gateway, key: &str) -> bool {
    node.get_with("/orders", &[("X-Api-Key", key)]).await.status == 200
}

#[tokio::test]
async fn a_key_opens_every_node_and_none_after_it_was_revoked() {
    let cluster = Cluster::start().await;
    let [one, two, three] = &*cluster.nodes else { panic!("there are three") };
    let key = one.key("acme", "trial").await;
    let keeping = one.node().keeping.as_ref().unwrap();
    assert!(keeping.everywhere.known().await.unwrap().is_empty());

    assert!(opens(one, &key).await && opens(two, &key).await && opens(three, &key).await);
    // The same keys sign on all nodes: a backend reads them from any of them.
    let tokens = cluster.backend.count();
    assert_eq!(tokens, 3);

    let keeping = two.node().keeping.as_ref().unwrap();
    let id = key.split('_').nth(2).unwrap().parse().unwrap();
    keeping.partners.revoke_key(&id).await.unwrap();
    assert!(!opens(two, &key).await);
    until("the key is dead on all nodes", async || !opens(one, &key).await && !opens(three, &key).await).await;
}

#[tokio::test]
async fn all_nodes_together_grant_a_quota_and_a_burst_to_the_unit() {
    let cluster = Cluster::start().await;
    let trial = cluster.nodes[0].key("acme", "trial").await;
    let fast = cluster.nodes[0].key("other", "fast").await;
    for node in &cluster.nodes {
        until("the keys are known", async || {
            node.get_with("/fast", &[("X-Api-Key", &trial)]).await.status == 403
                && node.get_with("/orders", &[("X-Api-Key", &fast)]).await.status == 403
        })
        .await;
    }

    assert_eq!(cluster.ask(90, "/orders", &trial).await, (50, 40));
    assert_eq!(cluster.ask(12, "/fast", &fast).await, (3, 9));

    let last = cluster.nodes[1].get_with("/orders", &[("X-Api-Key", &trial)]).await;
    assert!(last.header("ratelimit").unwrap().contains("r=0"), "{last:?}");
}

#[tokio::test]
async fn what_every_node_answered_is_in_the_totals_once() {
    let cluster = Cluster::start().await;
    let key = cluster.nodes[0].key("acme", "trial").await;
    let keeping = cluster.nodes[0].node().keeping.as_ref().unwrap();
    keeping.everywhere.known().await.unwrap();
    assert_eq!(cluster.ask(60, "/orders", &key).await, (50, 10));

    for node in &cluster.nodes {
        node.usage("acme").await;
    }
    for node in &cluster.nodes {
        assert_eq!(node.usage("acme").await, [(2, 50), (4, 10)]);
    }
}

#[tokio::test]
async fn servers_that_are_away_cost_known_callers_nothing_and_are_caught_up_with() {
    let mut cluster = Cluster::on(Postgres::start(), 2).await;
    let key = cluster.nodes[0].key("acme", "trial").await;
    let keeping = cluster.nodes[0].node().keeping.clone().unwrap();
    keeping.everywhere.known().await.unwrap();
    assert_eq!(cluster.ask(10, "/orders", &key).await, (10, 0));

    cluster.redis.stop();
    cluster.database.server().stop();
    assert_eq!(cluster.ask(20, "/orders", &key).await, (20, 0));
    assert!(keeping.add_up().await.is_err(), "totals wait in the journal");
    cluster.redis.start_again();
    cluster.database.server().start_again();

    // What each node granted by itself is in the common count: 20 are left of 50.
    for node in &cluster.nodes {
        let counts = async || node.node().keeping.as_ref().unwrap().counts().is_some_and(|counts| counts.is_there);
        until("Redis is found again", counts).await;
    }
    assert_eq!(cluster.ask(30, "/orders", &key).await, (20, 10));
    let added = async || {
        let mut done = true;
        for node in &cluster.nodes {
            done &= node.node().keeping.as_ref().unwrap().add_up().await.is_ok();
        }
        done
    };
    until("PostgreSQL takes totals again", added).await;
    assert_eq!(cluster.nodes[0].usage("acme").await, [(2, 50), (4, 10)]);
    let other = cluster.nodes[1].key("other", "trial").await;
    until("changes are followed again", async || opens(&cluster.nodes[0], &other).await).await;
}

#[tokio::test]
async fn an_embedded_store_moves_into_servers_and_nothing_is_forgotten() {
    let (backend, database, redis) = (Stub::saying("hello").await, Postgres::shared().database(), Redis::start());
    let shared = DOCUMENT.replace("POSTGRES", &database.address()).replace("REDIS", &redis.address());
    let written =
        format!("store: {{postgres: \"{}\", redis: \"{}\", folder: ./data}}", database.address(), redis.address());
    let embedded = shared.replace(&written, "store: {embedded: ./data}");
    assert_ne!(embedded, shared);
    let gateway = Gateway::with(&backend, &embedded).await;
    let key = gateway.key("acme", "trial").await;
    for _ in 0..30 {
        assert!(opens(&gateway, &key).await);
    }
    let usage = gateway.usage("acme").await;
    let token = backend.requests().pop().unwrap().header("authorization").unwrap().to_owned();
    let document = |text: &str, folder: &std::path::Path| {
        let file = folder.join("shared.yaml");
        let rest = format!("version: 1\nlisteners: {{}}\n{}", text.replace("BACKEND", &backend.address.to_string()));
        std::fs::write(&file, rest).unwrap();
        control::Configuration::open(&file).unwrap()
    };

    let data = gateway.folder().join("data");
    let configuration = document(&shared, gateway.folder());
    let refused = control::move_in(&configuration.document, &data, store::Mode::Real).await;
    assert!(matches!(refused, Err(control::NotMigrated::InUse(_))), "{refused:?}");
    let folder = gateway.stopped().await;
    // What its last look around holds ends a moment later, on a thread of its own.
    let is_free = async || {
        let rehearsed = control::move_in(&configuration.document, &data, store::Mode::Rehearsal).await;
        !matches!(rehearsed, Err(control::NotMigrated::InUse(_)))
    };
    until("nobody works in the folder", is_free).await;
    let rehearsed = control::move_in(&configuration.document, &data, store::Mode::Rehearsal).await.unwrap();
    let moved = control::move_in(&configuration.document, &data, store::Mode::Real).await.unwrap();
    assert_eq!(moved, rehearsed);
    assert_eq!((moved.counters, moved.filled.entities), (1, 4));

    let parts = shared.replace("BACKEND", &backend.address.to_string());
    let gateway = Gateway::in_folder(folder, &parts).await;
    let other = Gateway::with(&backend, &parts).await;
    assert_eq!(gateway.usage("acme").await, usage);
    assert!(opens(&gateway, &key).await);
    let parts = |token: &str| token.split('.').next().map(str::to_owned);
    let now = backend.requests().pop().unwrap().header("authorization").unwrap().to_owned();
    assert_eq!(parts(&now), parts(&token), "the same key signs");
    let mut granted = 1;
    while opens(&other, &key).await {
        granted += 1;
    }
    assert_eq!(granted, 20);
}

#[tokio::test]
async fn a_cluster_without_something_that_it_needs_is_refused() {
    let with = async |store: &str| Gateway::refusing(&format!("store: {{{store}}}\napis: {{}}\n")).await;
    for (store, expected) in [
        ("", "needs `embedded`, a folder, or for several nodes `postgres`, `redis` and `folder`"),
        (
            "embedded: a, postgres: \"postgres://h/d\", redis: \"redis://h\", folder: b",
            "has both `embedded` and `postgres`",
        ),
        ("embedded: a, redis: \"redis://h\"", "goes with `postgres`"),
        ("postgres: \"postgres://h/d\", folder: b", "needs `redis`, too"),
        ("postgres: \"postgres://h/d\", redis: \"redis://h\"", "needs a `folder`, too"),
        ("postgres: \"postgres://h/d\", redis: \"redis://h\", folder: b", "give all nodes the same `encryption"),
    ] {
        let findings = with(store).await;
        assert!(findings.contains(expected), "{store}: {findings}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let document = DOCUMENT
        .replace("POSTGRES", "postgres://vestibule:hush-hush@127.0.0.1:1/x?connect_timeout=1")
        .replace("REDIS", "redis://127.0.0.1:1")
        .replace("BACKEND", "127.0.0.1:1");
    let refused = tokio::time::timeout(Duration::from_mins(1), Gateway::refusing(&document)).await.unwrap();
    assert!(refused.contains("PostgreSQL"), "{refused}");
    assert!(!refused.contains("hush-hush"), "{refused}");
}
