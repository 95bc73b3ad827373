//! Spans on their way to a collector.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use testkit::{Gateway, Request, Stub, eventually};

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// The spans of all requests that a collector got.
fn spans(requests: &[Request]) -> Vec<Value> {
    let documents = requests.iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
    let of = |document: Value| document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    documents.flat_map(of).collect()
}

fn tracing(collector: &Stub, path: &str) -> String {
    format!("tracing: {{otlp: \"http://{}{path}\", service: edge}}\n", collector.address)
}

#[tokio::test]
async fn a_collector_gets_the_spans_of_each_exchange_before_the_gateway_ends() {
    let (backend, collector) = (Stub::saying("hello").await, Stub::answering(TAKEN).await);
    let gateway = Gateway::with(&backend, &tracing(&collector, "")).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    assert_eq!(gateway.get_with("/orders/7", &[("traceparent", parent)]).await.status, 200);
    gateway.stop().await;

    let requests = collector.requests();
    assert_eq!(requests[0].line(), "POST /v1/traces HTTP/1.1");
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    let resource: Value = serde_json::from_slice(&requests[0].body).unwrap();
    let service = &resource["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!((&service["key"], &service["value"]["stringValue"]), (&"service.name".into(), &"edge".into()));
    let spans = spans(&requests);
    assert!(spans.iter().all(|span| span["traceId"] == "0af7651916cd43dd8448eb211c80319c"), "{spans:?}");
    let server = spans.iter().find(|span| span["parentSpanId"] == "b7ad6b7169203331").unwrap();
    let client = spans.iter().find(|span| span["parentSpanId"] == server["spanId"]).unwrap();
    let told = backend.request().header("traceparent").unwrap().to_owned();
    assert_eq!(told, format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", client["spanId"].as_str().unwrap()));
}

#[tokio::test]
async fn spans_go_below_the_path_of_a_collector_and_are_tried_again_if_it_is_busy() {
    let backend = Stub::saying("hello").await;
    let is_busy = AtomicBool::new(true);
    let collector = Stub::replying(move |_| {
        let answer = if is_busy.swap(false, Ordering::Relaxed) { BUSY } else { TAKEN };
        answer.into()
    })
    .await;
    let gateway = Gateway::with(&backend, &tracing(&collector, "/otlp/")).await;

    assert_eq!(gateway.get("/").await.status, 200);
    eventually("the collector is asked again", || collector.count() == 2).await;

    let requests = collector.requests();
    assert_eq!(requests[1].line(), "POST /otlp/v1/traces HTTP/1.1");
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn a_collector_that_cannot_be_is_a_finding() {
    for (url, wrong) in [
        ("127.0.0.1:4318", "has no scheme or no host"),
        ("http://127.0.0.1:4318/?x=y", "has a query"),
        ("ftp://127.0.0.1", "does not begin with `http://` or `https://`"),
    ] {
        let found = Gateway::refusing(&format!("apis: {{}}\ntracing: {{otlp: \"{url}\"}}\n")).await;
        assert!(found.contains("/tracing/otlp") && found.contains(wrong), "{found}");
    }
}
