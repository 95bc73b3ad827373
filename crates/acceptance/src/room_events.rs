//! Others who are told what happens in waiting rooms: a webhook, a stream of NATS, a stream of Redis, a file.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use servers::{Nats, Redis};
use testkit::{Gateway, Reply, Request, Stub, eventually, until};

const SECRET: &str = "whsec_bm90IHZlcnkgc2VjcmV0IGF0IGFsbA==";

fn document(to: &str, more: &str) -> String {
    format!(
        "store: {{embedded: ./data}}\n\
         rooms: {{sale: {{event: Sample, metrics_events: true}}, other: {{}}}}\n\
         room_events:\n  told: {{to: {to}, rooms: [sale]{more}}}\n\
         apis:\n  wait: {{match: {{path: /wait}}, policies: [{{waiting-room-api: {{room: sale}}}}]}}\n  \
         other: {{match: {{path: /other}}, policies: [{{waiting-room-api: {{room: other}}}}]}}\n"
    )
}

async fn post(gateway: &Gateway, target: &str, body: &Value) -> Reply {
    let body = body.to_string();
    let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    gateway.connect().await.ask(head + &body).await
}

async fn join(gateway: &Gateway) -> String {
    let reply = post(gateway, "/wait/assign_queue_num", &json!({ "event_id": "Sample" })).await;
    let said: Value = serde_json::from_slice(&reply.body).unwrap();
    said["api_request_id"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

/// Somebody joins, and takes their turn; somebody joins the other room.
async fn visit(gateway: &Gateway) -> String {
    post(gateway, "/other/assign_queue_num", &json!({ "event_id": "other" })).await;
    let id = join(gateway).await;
    let room = gateway.node().keeping.as_ref().unwrap().rooms.named("sale").unwrap();
    let now = u32::try_from(control::now().0 / 1_000_000).unwrap();
    room.move_by(1, now).await.unwrap();
    let token = post(gateway, "/wait/generate_token", &json!({ "event_id": "Sample", "request_id": id })).await;
    assert_eq!(token.status, 200);
    id
}

/// What was told, without what is measured each minute.
fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["type"].as_str().unwrap());
    kinds.filter(|kind| *kind != "waiting_room_metrics").collect()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

const VISIT: [&str; 3] = ["visitor_joined", "serving_counter_moved", "token_generated"];

#[tokio::test]
async fn what_happens_in_a_room_is_in_a_file_also_what_happened_before_a_restart() {
    let gateway = Gateway::serving(&document("{file: {path: told.jsonl}}", "")).await;
    let file = gateway.folder().join("told.jsonl");
    let id = visit(&gateway).await;
    eventually("a visit is told", || kinds(&lines(&file)).len() >= 3).await;
    let told = lines(&file);
    assert_eq!(kinds(&told), VISIT);
    let taken = told.iter().find(|event| event["type"] == "token_generated").unwrap();
    assert_eq!(taken["data"], json!({ "event_id": "Sample", "request_id": id }));
    assert_eq!((&taken["source"], &taken["subject"]), (&json!("custom.waitingroom"), &json!("sale")));
    eventually("it is measured", || lines(&file).iter().any(|event| event["type"] == "waiting_room_metrics")).await;
    let metrics = gateway.node().registry.render(None).body;
    assert!(metrics.contains("vestibule_room_events_total{room=\"sale\",type=\"token_generated\"} 1"), "{metrics}");

    let again = join(&gateway).await;
    let gateway = gateway.restart().await;
    let last = join(&gateway).await;
    eventually("nothing is missing", || kinds(&lines(&file)).len() >= 5).await;
    let told = lines(&file);
    let joined: Vec<_> = told.iter().filter(|event| event["type"] == "visitor_joined").collect();
    let ids: Vec<_> = joined.iter().map(|event| event["data"]["request_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&id, &again, &last]);
}

#[tokio::test]
async fn a_webhook_is_told_signed_and_again_after_it_failed() {
    let failing = std::sync::atomic::AtomicU32::new(1);
    let taking = move |_: &Request| {
        let left = failing.load(std::sync::atomic::Ordering::Relaxed);
        failing.store(left.saturating_sub(1), std::sync::atomic::Ordering::Relaxed);
        let status = if left > 0 { "503 Later" } else { "204 Taken" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    let hook = Stub::replying(taking).await;
    let to = format!("{{webhook: {{url: \"http://{}/rooms\", secret: {SECRET}}}}}", hook.address);
    let gateway = Gateway::serving(&document(&to, ", types: [token_generated, visitor_joined]")).await;
    let id = visit(&gateway).await;

    eventually("both are told", || hook.count() >= 3).await;

    let requests = hook.requests();
    let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids[0], ids[1], "it is told again with the same id");
    let last = &requests[2];
    let body: Value = serde_json::from_slice(&last.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["request_id"]), (&json!("token_generated"), &json!(id)));
    let signed = format!(
        "{}.{}.{}",
        last.header("webhook-id").unwrap(),
        last.header("webhook-timestamp").unwrap(),
        String::from_utf8_lossy(&last.body)
    );
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let signature = STANDARD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()));
    assert_eq!(last.header("webhook-signature"), Some(format!("v1,{signature}").as_str()));
}

#[tokio::test]
async fn streams_of_nats_and_redis_have_each_event_once_and_in_order() {
    let (nats, redis) = (Nats::start(), Redis::start());
    nats.make_stream("{\"headers\":true}", "ROOMS", "\"subjects\":[\"rooms.>\"],\"storage\":\"file\"");
    let to = format!("{{nats: {{servers: [\"{}\"], subject: rooms.sale}}}}", nats.address());
    let streamed = Gateway::serving(&document(&to, "")).await;
    visit(&streamed).await;
    let stored = || {
        let stored = nats.stored("{\"headers\":true}", "ROOMS");
        stored.iter().map(|stored| serde_json::from_str(&stored.payload).unwrap()).collect::<Vec<Value>>()
    };
    until("NATS has a visit", async || kinds(&stored()).len() >= 3).await;
    assert_eq!(kinds(&stored()), VISIT);

    let to = format!("{{redis: {{address: \"{}\", stream: rooms}}}}", redis.address());
    let streamed = Gateway::serving(&document(&to, "")).await;
    visit(&streamed).await;
    let client = redis::Client::open(redis.address()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut entries = async || -> Vec<Value> {
        let entries: Vec<(String, Vec<String>)> =
            redis::cmd("XRANGE").arg("rooms").arg("-").arg("+").query_async(&mut connection).await.unwrap();
        // Each is `type`, its value, `event`, its value.
        entries.iter().map(|(_, fields)| serde_json::from_str(&fields[3]).unwrap()).collect()
    };
    let mut told = Vec::new();
    until("Redis has a visit", async || {
        told = entries().await;
        kinds(&told).len() >= 3
    })
    .await;
    assert_eq!(kinds(&told), VISIT);
}

#[tokio::test]
async fn what_cannot_be_told_is_a_finding() {
    let document = "
store: {embedded: ./data}
rooms: {sale: {}}
room_events:
  A B: {to: log}
  other: {to: log, rooms: [sail]}
  hook: {to: {webhook: {url: \"http://127.0.0.1/\", secret: guessed}}}
  redis: {to: {redis: {address: \"127.0.0.1:6379\", stream: rooms}}}
";
    let findings = Gateway::refusing(document).await;
    for expected in [
        "`A B` cannot be a name here",
        "/room_events/other/rooms/0: there is no room `sail` in `rooms`; what fits here: `sale`",
        "/room_events/hook/to/webhook/secret: is no secret",
        "/room_events/redis/to/redis/address: the address of Redis cannot be read",
    ] {
        assert!(findings.contains(expected), "{expected}: {findings}");
    }
}
