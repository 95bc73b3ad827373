//! Usage records on their way to a stream of NATS, a real server.

use std::collections::BTreeSet;

use serde_json::Value;
use servers::{Nats, Stored};
use testkit::{Authority, Gateway, Stub, eventually, until};

use crate::usage_events::{call, gateway};

const ANYONE: &str = "{\"headers\":true}";
const STREAM: &str = "\"subjects\":[\"billing.>\"],\"storage\":\"file\",\"discard\":\"new\"";

fn settings(nats: &Nats, more: &str) -> String {
    format!(
        "usage: {{events: {{stream: {{nats: {{servers: [\"127.0.0.1:1\", \"{}\"], subject: billing.usage{more}}}}}}}}}\n",
        nats.address()
    )
}

/// The ids of what is in the stream, each as often as it is there.
fn ids(stored: &[Stored]) -> Vec<String> {
    let id =
        |stored: &Stored| serde_json::from_str::<Value>(&stored.payload).unwrap()["id"].as_str().unwrap().to_owned();
    stored.iter().map(id).collect()
}

async fn arrive(nats: &Nats, login: &str, count: usize) -> Vec<Stored> {
    until("the events are in the stream", async || nats.stored(login, "USAGE").len() >= count).await;
    nats.stored(login, "USAGE")
}

/// A metric of the sink.
fn metric(gateway: &Gateway, name: &str) -> Option<String> {
    let metrics = gateway.node().registry.render(None).body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name}{{sink=\"stream\"}} ")))?;
    Some(line.to_owned())
}

fn waiting(gateway: &Gateway) -> Option<String> {
    metric(gateway, "vestibule_event_sink_lag_records")
}

fn is_some(gateway: &Gateway, name: &str) -> bool {
    metric(gateway, name).is_some_and(|value| value != "0")
}

#[tokio::test]
async fn each_call_is_a_message_with_the_id_of_its_exchange() {
    let (backend, nats) = (Stub::saying("hello").await, Nats::start());
    nats.make_stream(ANYONE, "USAGE", STREAM);
    let (gateway, key) = gateway(&backend, &settings(&nats, ", stream: USAGE")).await;

    assert_eq!(gateway.get("/orders/7").await.status, 401);
    call(&gateway, &key, 3).await;
    let stored = arrive(&nats, ANYONE, 3).await;

    let ids = ids(&stored);
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (3, 3));
    for (stored, id) in stored.iter().zip(&ids) {
        assert!(stored.headers.contains(&format!("Nats-Msg-Id: {id}\r\n")), "{}", stored.headers);
        assert!(stored.headers.contains("Content-Type: application/cloudevents+json\r\n"), "{}", stored.headers);
        assert!(stored.headers.contains("Nats-Subject: billing.usage\r\n"), "{}", stored.headers);
    }
    let event: Value = serde_json::from_str(&stored[0].payload).unwrap();
    assert_eq!((&event["specversion"], &event["subject"]), (&"1.0".into(), &"acme".into()));
    eventually("all are confirmed", || metric(&gateway, "vestibule_event_sink_events_total").as_deref() == Some("3"))
        .await;
    assert_eq!(waiting(&gateway).as_deref(), Some("0"));
}

#[tokio::test]
async fn what_a_stream_did_not_acknowledge_waits_and_is_measured() {
    let (backend, mut nats) = (Stub::saying("hello").await, Nats::start());
    let (gateway, key) = gateway(&backend, &settings(&nats, "")).await;

    // A server without a stream that takes the subject.
    call(&gateway, &key, 4).await;
    eventually("four wait", || waiting(&gateway).as_deref() == Some("4")).await;
    assert!(is_some(&gateway, "vestibule_event_sink_lag_seconds"));
    assert!(is_some(&gateway, "vestibule_event_sink_failures_total"));
    nats.make_stream(ANYONE, "USAGE", STREAM);
    assert_eq!(arrive(&nats, ANYONE, 4).await.len(), 4);

    // No server at all, and a gateway that ends meanwhile.
    nats.stop();
    call(&gateway, &key, 3).await;
    let gateway = gateway.restart().await;
    nats.start_again();
    let ids = ids(&arrive(&nats, ANYONE, 7).await);
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (7, 7));
    drop(gateway);
}

#[tokio::test]
async fn a_full_stream_loses_nothing_and_doubles_nothing() {
    let (backend, nats) = (Stub::saying("hello").await, Nats::start());
    nats.make_stream(ANYONE, "USAGE", &format!("{STREAM},\"max_msgs\":2"));
    let (gateway, key) = gateway(&backend, &settings(&nats, "")).await;

    call(&gateway, &key, 5).await;
    eventually("the stream refuses some", || is_some(&gateway, "vestibule_event_sink_failures_total")).await;
    assert_eq!(nats.stored(ANYONE, "USAGE").len(), 2);
    nats.change_stream(ANYONE, "USAGE", STREAM);

    let ids = ids(&arrive(&nats, ANYONE, 5).await);
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (5, 5));
}

#[tokio::test]
async fn a_gateway_logs_in_as_servers_want_it_to() {
    // The key of an example in the documentation of NATS.
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let public = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let reader = "{\"headers\":true,\"user\":\"reader\",\"pass\":\"r\"}";
    let users = format!("{{user: reader, password: r}}, {{user: writer, password: \"w\"}}, {{nkey: {public}}}");
    let backend = Stub::saying("hello").await;
    for login in ["user: {name: writer, password: w}".to_owned(), format!("nkey: {seed}")] {
        let nats = Nats::with(&format!("authorization {{users: [{users}]}}"));
        nats.make_stream(reader, "USAGE", STREAM);
        let (gateway, key) = gateway(&backend, &settings(&nats, &format!(", login: {{{login}}}"))).await;
        call(&gateway, &key, 1).await;
        assert_eq!(arrive(&nats, reader, 1).await.len(), 1, "{login}");
    }
    let nats = Nats::with("authorization {token: \"a token\"}");
    let reader = "{\"headers\":true,\"auth_token\":\"a token\"}";
    nats.make_stream(reader, "USAGE", STREAM);
    let (gateway, key) = gateway(&backend, &settings(&nats, ", login: {token: a token}")).await;
    call(&gateway, &key, 1).await;
    assert_eq!(arrive(&nats, reader, 1).await.len(), 1);
}

#[tokio::test]
async fn tls_is_used_where_it_is_configured_and_nowhere_given_up() {
    let (backend, folder, authority) =
        (Stub::saying("hello").await, tempfile::tempdir().unwrap(), Authority::default());
    let (cert, key) = authority.sign(&["nats.example"]).write(folder.path(), "nats");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let mut nats = Nats::start();
    nats.make_stream(ANYONE, "USAGE", STREAM);
    let tls = format!(", tls: {{ca: {}, server_name: nats.example}}", ca.display());
    let (gateway, partner) = gateway(&backend, &settings(&nats, &tls)).await;

    // A server that does not offer it, such as somebody in between would be.
    call(&gateway, &partner, 2).await;
    eventually("two wait", || waiting(&gateway).as_deref() == Some("2")).await;
    nats.start_again_with(&format!("tls {{cert_file: \"{}\", key_file: \"{}\"}}", cert.display(), key.display()));
    eventually("nothing waits", || waiting(&gateway).as_deref() == Some("0")).await;

    nats.start_again_with("");
    assert_eq!(arrive(&nats, ANYONE, 2).await.len(), 2);
}
