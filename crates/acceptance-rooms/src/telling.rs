//! Others who are told what happens in rooms that several nodes share: by one node at a time.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::{Request, Stub, eventually};

use crate::cluster::{Cluster, access, join, let_in, send};

const DOCUMENT: &str = "
store: {postgres: \"POSTGRES\", redis: \"REDIS\", folder: ./data}
encryption: {master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}
rooms: {sale: {event: Sample}, other: {}}
room_events:
  hook: {to: {webhook: {url: \"http://HOOK/rooms\", secret: whsec_bm90IHZlcnkgc2VjcmV0IGF0IGFsbA==}}, rooms: [sale]}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  other: {match: {path: /other}, policies: [{waiting-room-api: {room: other}}]}
";

/// What a webhook was told: how often each event was, by its id, and what it said.
fn told(hook: &Stub) -> BTreeMap<String, (usize, Value)> {
    let mut told = BTreeMap::new();
    for request in hook.requests() {
        let id = request.header("webhook-id").unwrap().to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        told.entry(id).or_insert((0, body)).0 += 1;
    }
    told
}

fn joined(hook: &Stub) -> Vec<String> {
    let of_join = |body: &Value| body["type"] == "visitor_joined";
    let ids = told(hook).into_values().filter(|(_, body)| of_join(body));
    ids.map(|(_, body)| body["data"]["request_id"].as_str().unwrap().to_owned()).collect()
}

async fn hook() -> Stub {
    Stub::replying(|_: &Request| b"HTTP/1.1 204 Taken\r\nContent-Length: 0\r\n\r\n".to_vec()).await
}

#[tokio::test]
async fn what_happens_at_any_node_is_told_once_and_goes_on_when_the_node_that_tells_it_is_gone() {
    let hook = hook().await;
    let mut cluster = Cluster::serving(2, &DOCUMENT.replace("HOOK", &hook.address.to_string())).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(join(&cluster.nodes[number % 2]).await);
    }
    send(&cluster.nodes[0], "/other/assign_queue_num", &json!({ "event_id": "other" })).await;
    let_in(&cluster.nodes[1], 1).await;
    access(&cluster.nodes[0], &ids[0]).await;
    eventually("all of it is told", || told(&hook).len() == 12).await;
    let kinds = |kind: &str| told(&hook).into_values().filter(|(_, body)| body["type"] == kind).count();
    let counted = ["visitor_joined", "serving_counter_moved", "token_generated"].map(kinds);
    assert_eq!(counted, [10, 1, 1], "and nothing of the other room");
    assert!(told(&hook).values().all(|(times, _)| *times == 1), "by one of them: {:?}", told(&hook));

    let telling = |node: &testkit::Gateway| {
        let metrics = node.node().registry.render(None).body;
        metrics.contains("vestibule_room_event_sink_events_total{sink=\"hook\"} 12")
    };
    // It is counted once the answer was read.
    eventually("one of them told all", || cluster.nodes.iter().any(telling)).await;
    let teller = cluster.nodes.iter().position(telling).unwrap();
    assert!(!telling(&cluster.nodes[1 - teller]));
    cluster.nodes.remove(teller).stop().await;
    ids.push(join(&cluster.nodes[0]).await);
    eventually("the other node goes on", || joined(&hook).len() == 11).await;
    let mut told = joined(&hook);
    told.sort();
    ids.sort();
    assert_eq!(told, ids);
}

#[tokio::test]
async fn while_a_webhook_takes_nothing_it_is_counted_what_waits_and_then_all_of_it_comes() {
    let taking = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let takes = taking.clone();
    let hook = Stub::replying(move |_: &Request| {
        let status = if takes.load(std::sync::atomic::Ordering::Relaxed) { "204 Taken" } else { "503 Later" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    })
    .await;
    let cluster = Cluster::serving(1, &DOCUMENT.replace("HOOK", &hook.address.to_string())).await;
    let node = &cluster.nodes[0];
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(join(node).await);
    }
    let metrics = || node.node().registry.render(None).body;
    eventually("it is counted what waits", || {
        let metrics = metrics();
        let counted =
            metrics.lines().find_map(|line| line.strip_prefix("vestibule_room_event_sink_lag_records{sink=\"hook\"} "));
        counted.is_some_and(|count| count != "0")
    })
    .await;
    taking.store(true, std::sync::atomic::Ordering::Relaxed);
    eventually("all of it is told", || joined(&hook).len() == 5).await;
    let mut told = joined(&hook);
    told.sort();
    ids.sort();
    assert_eq!(told, ids);
    eventually("nothing waits", || metrics().contains("vestibule_room_event_sink_lag_records{sink=\"hook\"} 0")).await;
}
