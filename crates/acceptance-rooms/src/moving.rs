//! Rooms of an embedded store that become those of several nodes, with everybody who waits in them.

use std::sync::Arc;

use control::Configuration;
use servers::{Postgres, Redis};
use store::Mode;
use testkit::{Gateway, until};
use waiting_room::{State, Tuned};

use crate::cluster::{access, join, let_in, now, place, room};

const PARTS: &str = "
encryption: {master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}
rooms: {sale: {event: Sample, position_expiry: 15m, token: {issuer: \"http://wait.example\"}}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  shop: {match: {path: /shop}, policies: [{waiting-room-token: {room: sale, sessions: checked}}, {respond: {text: sold}}]}
";

#[tokio::test]
async fn places_tokens_settings_and_what_can_be_undone_are_moved_once_and_only_where_nothing_is() {
    let (database, redis) = (Postgres::shared().database(), Redis::start());
    let alone = Gateway::serving(&format!("store: {{embedded: ./data}}{PARTS}")).await;
    let old = join(&alone).await;
    let_in(&alone, 1).await;
    let token = access(&alone, &old).await;
    room(&alone).set_state(State::Paused, now()).await.unwrap();
    room(&alone).reset(now()).await.unwrap();
    room(&alone).tune(Some(Tuned::Manual), now()).await.unwrap();
    let new = [join(&alone).await, join(&alone).await];
    let folder = alone.stopped().await;

    let shared = format!(
        "store: {{postgres: \"{}\", redis: \"{}\", folder: ./new}}{PARTS}",
        database.address(),
        redis.address()
    );
    let file = folder.path().join("cluster.yaml");
    std::fs::write(&file, format!("version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\n{shared}")).unwrap();
    let configuration = Configuration::open(&file).unwrap();
    let move_in = async |mode| control::move_in(&configuration.document, &folder.path().join("data"), mode).await;
    assert_eq!(move_in(Mode::Rehearsal).await.unwrap().rooms, 1);
    assert_eq!(move_in(Mode::Real).await.unwrap().rooms, 1);

    let node = Gateway::serving(&shared).await;
    until("rooms are there", async || place(&node, &new[0]).await == 1).await;
    assert_eq!(place(&node, &new[1]).await, 2);
    assert_eq!(room(&node).timetable().unwrap().state, State::Paused);
    assert!(room(&node).inlet().unwrap().1, "what an operator set holds");
    room(&node).set_state(State::Open, now()).await.unwrap();
    assert!(room(&node).restore(now()).await.unwrap(), "the reset can be undone");
    assert_eq!(place(&node, &old).await, 1);
    assert_eq!(place(&node, &new[0]).await, 2);
    let shown = node.get_with("/shop", &[("Authorization", &token)]).await;
    assert_eq!(shown.text(), "sold", "the token was signed by a key of before");

    let log = Arc::new(store_redis::RedisLog::open(store_redis::Settings::of(&redis.address())).unwrap());
    let refused = turns::begin_with(&*log, b"").await.unwrap_err().to_string();
    assert_eq!(refused, "Redis has waiting rooms already, which would be lost");
}
