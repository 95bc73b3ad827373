//! What rules remember where several nodes share a database.

use servers::{Database, Postgres, Redis};
use testkit::{Gateway, Stub, until};

/// Asked for `/ip`, `/session` or `/global`, rules count in that collection for some seconds; more than three are refused.
const DOCUMENT: &str = r#"
store: {postgres: "POSTGRES", redis: "REDIS", folder: ./data}
encryption: {master_keys: ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]}
upstreams: {backend: {targets: ["http://BACKEND"]}}
apis:
  all:
    match: {path: /}
    upstream: backend
    policies:
      - waf:
          directives: |
            SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REQUEST_HEADERS.x-client},setsid:%{REQUEST_HEADERS.x-client},initcol:global=all"
            SecRule REQUEST_FILENAME "@streq /ip" "id:2,phase:1,pass,nolog,setvar:ip.seen=+1,expirevar:ip.seen=SECONDS"
            SecRule REQUEST_FILENAME "@streq /session" "id:3,phase:1,pass,nolog,setvar:session.seen=+1,expirevar:session.seen=SECONDS"
            SecRule REQUEST_FILENAME "@streq /global" "id:4,phase:1,pass,nolog,setvar:global.seen=+1,expirevar:global.seen=SECONDS"
            SecRule IP:seen|SESSION:seen|GLOBAL:seen "@gt 3" "id:5,phase:1,deny,status:429"
"#;

struct Nodes {
    gateways: Vec<Gateway>,
    backend: Stub,
    document: String,
    // Last, so that nodes stop before them.
    database: Database,
    _redis: Redis,
}

impl Nodes {
    /// Two nodes whose rules remember for so long.
    async fn remembering(seconds: u32, postgres: Postgres) -> Self {
        let (backend, database, redis) = (Stub::saying("hello").await, postgres.database(), Redis::start());
        let document = DOCUMENT
            .replace("POSTGRES", &database.address())
            .replace("REDIS", &redis.address())
            .replace("SECONDS", &seconds.to_string());
        let mut nodes = Self { gateways: Vec::new(), backend, document, database, _redis: redis };
        nodes.add().await;
        nodes.add().await;
        nodes
    }

    async fn add(&mut self) {
        self.gateways.push(Gateway::with(&self.backend, &self.document).await);
    }
}

async fn status(node: &Gateway, path: &str, client: &str) -> u16 {
    node.get_with(path, &[("x-client", client)]).await.status
}

/// What one node counts blocks at the other, until it expires.
async fn blocks_everywhere_and_expires(path: &str, strangers: u16) {
    let nodes = Nodes::remembering(5, Postgres::shared()).await;
    let [one, two] = nodes.gateways.as_slice() else { panic!("there are two") };
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(status(one, path, "a").await);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);

    until("the other node refuses it", async || status(two, "/", "a").await == 429).await;

    assert_eq!(status(two, "/", "b").await, strangers);
    until("it is over", async || status(two, "/", "a").await == 200).await;
    assert_eq!(status(one, "/", "a").await, 200);
}

#[tokio::test]
async fn what_one_node_counts_of_an_address_blocks_it_at_the_other_until_it_expires() {
    blocks_everywhere_and_expires("/ip", 200).await;
}

#[tokio::test]
async fn what_one_node_counts_of_a_session_blocks_it_at_the_other_until_it_expires() {
    blocks_everywhere_and_expires("/session", 200).await;
}

#[tokio::test]
async fn what_one_node_counts_of_all_clients_blocks_all_at_the_other_until_it_expires() {
    blocks_everywhere_and_expires("/global", 429).await;
}

#[tokio::test]
async fn what_several_nodes_count_is_counted_by_all_and_known_to_a_node_that_comes() {
    let mut nodes = Nodes::remembering(600, Postgres::shared()).await;
    for node in nodes.gateways.iter().cycle().take(4) {
        assert_eq!(status(node, "/ip", "a").await, 200);
    }

    for node in &nodes.gateways {
        until("both have counted two each", async || status(node, "/", "a").await == 429).await;
    }
    nodes.add().await;

    let new = nodes.gateways.last().unwrap();
    until("the new node knows", async || status(new, "/", "a").await == 429).await;
    assert_eq!(status(new, "/", "b").await, 200);
}

#[tokio::test]
async fn a_database_that_is_away_is_no_error_for_clients_and_is_caught_up_with() {
    let mut nodes = Nodes::remembering(600, Postgres::start()).await;
    nodes.database.server().stop();

    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(status(&nodes.gateways[0], "/ip", "a").await);
    }
    // Each node counts by itself meanwhile.
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(status(&nodes.gateways[1], "/", "a").await, 200);
    nodes.database.server().start_again();

    until("the other node was told", async || status(&nodes.gateways[1], "/", "a").await == 429).await;
}
