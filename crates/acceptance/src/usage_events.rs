//! Usage records on their way to services that bill.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use testkit::{Gateway, Request, Stub, eventually};

const PARTNERS: &str = "
store: {embedded: ./data}
apis: {orders: {match: {path: /orders}, upstream: backend, policies: [{api-key: {}}]}}
products: {trial: {operations: [\"orders: GET /**\"]}}
";

const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// A gateway with a partner, and the partner's key.
pub(crate) async fn gateway(backend: &Stub, usage: &str) -> (Gateway, String) {
    let gateway = Gateway::with(backend, &format!("{PARTNERS}{usage}")).await;
    let key = gateway.key("acme", "trial").await;
    (gateway, key)
}

/// So many calls of the partner.
pub(crate) async fn call(gateway: &Gateway, key: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(gateway.get_with("/orders/7", &[("X-Api-Key", key)]).await.status, 200);
    }
}

/// The ids of all events that a service got, as often as it got them.
fn ids(requests: &[Request]) -> Vec<String> {
    let batches = requests.iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
    let of = |batch: Value| match batch {
        Value::Array(events) => events,
        batch => batch["events"].as_array().unwrap().clone(),
    };
    let id = |event: &Value| event.get("id").or(event.get("transaction_id")).unwrap().as_str().unwrap().to_owned();
    batches.flat_map(of).map(|event| id(&event)).collect()
}

#[tokio::test]
async fn each_call_of_a_company_is_an_event_and_others_are_not() {
    let (backend, service) = (Stub::saying("hello").await, Stub::answering(TAKEN).await);
    let usage = format!(
        "usage: {{events: {{meter: {{http: {{url: \"http://{}/api/v1/events\", authorization: Bearer secret}}}}}}}}\n",
        service.address
    );
    let (gateway, key) = gateway(&backend, &usage).await;

    assert_eq!(gateway.get("/orders/7").await.status, 401);
    call(&gateway, &key, 3).await;
    eventually("the events arrive", || ids(&service.requests()).len() >= 3).await;

    let request = &service.requests()[0];
    assert_eq!(request.line(), "POST /api/v1/events HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/cloudevents-batch+json"));
    assert_eq!(request.header("authorization"), Some("Bearer secret"));
    let event = &serde_json::from_slice::<Value>(&request.body).unwrap()[0];
    assert_eq!((&event["specversion"], &event["subject"]), (&"1.0".into(), &"acme".into()));
    assert_eq!((&event["data"]["status"], &event["data"]["bytes_out"]), (&200.into(), &5.into()));
    let ids = ids(&service.requests());
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (3, 3));
}

#[tokio::test]
async fn what_a_service_did_not_confirm_is_sent_again_also_after_a_restart() {
    let backend = Stub::saying("hello").await;
    let is_busy = std::sync::Arc::new(AtomicBool::new(true));
    let busy = is_busy.clone();
    let service = Stub::replying(move |_| {
        let answer = if busy.load(Ordering::SeqCst) { BUSY } else { TAKEN };
        answer.into()
    })
    .await;
    let usage = format!("usage: {{events: {{meter: {{http: {{url: \"http://{}/\"}}}}}}}}\n", service.address);
    let (gateway, key) = gateway(&backend, &usage).await;

    call(&gateway, &key, 4).await;
    eventually("the service is asked", || service.count() > 0).await;
    let gateway = gateway.restart().await;
    let refused = service.count();
    is_busy.store(false, Ordering::SeqCst);
    eventually("all have arrived", || {
        let taken: BTreeSet<_> = ids(&service.requests()[refused..]).into_iter().collect();
        taken.len() == 4
    })
    .await;

    // What was confirmed is not sent again.
    let taken = service.count();
    let gateway = gateway.restart().await;
    call(&gateway, &key, 1).await;
    eventually("the fifth arrives", || service.count() > taken).await;
    assert_eq!(ids(&service.requests()[taken..]).len(), 1);
}

#[tokio::test]
async fn whoever_is_told_while_a_gateway_stops_is_not_told_again() {
    let backend = Stub::saying("hello").await;
    let (answer, may_answer) = tokio::sync::watch::channel(false);
    let service = Stub::talking(move |mut talk| {
        let mut may_answer = may_answer.clone();
        async move {
            while talk.request().await.is_some() {
                may_answer.wait_for(|&may| may).await.unwrap();
                talk.wire.send(TAKEN).await;
            }
        }
    })
    .await;
    let usage = format!("usage: {{events: {{meter: {{http: {{url: \"http://{}/\"}}}}}}}}\n", service.address);
    let (gateway, key) = gateway(&backend, &usage).await;
    call(&gateway, &key, 4).await;
    eventually("the service is asked", || service.count() > 0).await;

    let mut stopped = Box::pin(gateway.restart());
    let early = tokio::time::timeout(Duration::from_millis(100), &mut stopped).await;
    assert!(early.is_err(), "it waits for the answer");
    answer.send_replace(true);
    let gateway = stopped.await;
    call(&gateway, &key, 1).await;

    eventually("the fifth arrives", || ids(&service.requests()).len() >= 5).await;
    let ids = ids(&service.requests());
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (5, 5));
}

#[tokio::test]
async fn each_sink_has_its_own_place_and_its_own_form() {
    let backend = Stub::saying("hello").await;
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let away = Stub::replying(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        BUSY.into()
    })
    .await;
    let lago = Stub::answering(TAKEN).await;
    let usage = format!(
        "usage:\n  events:\n    away: {{http: {{url: \"http://{}/\"}}}}\n    lago: {{http: {{url: \"http://{}/\", form: lago}}}}\n    \
         archive: {{file: {{path: events.ndjson}}}}\n",
        away.address, lago.address
    );
    let (gateway, key) = gateway(&backend, &usage).await;
    let file = gateway.folder().join("events.ndjson");
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();

    call(&gateway, &key, 2).await;

    eventually("the file has both", || lines().lines().count() == 2).await;
    eventually("the service has both", || ids(&lago.requests()).len() == 2).await;
    eventually("the other is asked", || asked.load(Ordering::SeqCst) > 0).await;
    let event: Value = serde_json::from_str(lines().lines().next().unwrap()).unwrap();
    assert_eq!(event["type"], "vestibule.call");
    let batch: Value = serde_json::from_slice(&lago.requests()[0].body).unwrap();
    assert_eq!(batch["events"][0]["external_subscription_id"], "acme");
    assert_eq!(gateway.usage("acme").await, [(2, 2)]);
}

#[tokio::test]
async fn a_sink_that_cannot_be_is_a_finding() {
    let document = "
usage: {keep: 1d, keep_bytes: 8GiB, events: {Bad: {http: {url: nowhere}}, other: {http: {url: \"ftp://a/\"}}}}
apis: {orders: {match: {path: /orders}, policies: [{respond: {status: 204}}]}}
";
    let told = Gateway::refusing(document).await;
    for expected in [
        "/usage/keep: needs `store`",
        "/usage/events: needs `store`",
        "/usage/keep_bytes: is more than 6GiB",
        "/usage/events/Bad: `Bad` cannot be a name here",
        "/usage/events/Bad/http/url: ",
        "/usage/events/other/http/url: ",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}
