//! A policy that panics ends its own exchange and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use pipeline::{
    AskOnRequest, AskOnRequestBody, ChainBuilder, Exchange, Failure, Flow, Kept, OnFailure, OnFinish, OnRequest,
    OnRequestBody, OnResponse, OnResponseBody, OnResponseChunk, Outcome, Stage, Step, Verdict,
};
use snapshot::{Lent, Snapshot};
use testkit::{Gateway, Stub};

/// Panics in the phase that the path names.
struct Panics;

fn panics_at(phase: &str, exchange: &Exchange) {
    assert_ne!(exchange.target.path(), phase, "on purpose");
}

impl OnRequest for Panics {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        panics_at("/request", exchange);
        Ok(Flow::Next)
    }
}

impl AskOnRequest for Panics {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        Step::Wait(Box::pin(async move {
            tokio::task::yield_now().await;
            panics_at("/ask", exchange);
            Ok(Flow::Next)
        }))
    }
}

impl OnRequestBody for Panics {
    fn limit(&self) -> usize {
        1024
    }

    fn on_request_body(&self, exchange: &mut Exchange, _: &mut Bytes) -> Verdict {
        panics_at("/request-body", exchange);
        Ok(Flow::Next)
    }
}

impl AskOnRequestBody for Panics {
    fn limit(&self) -> usize {
        1024
    }

    fn ask_on_request_body<'a>(&'a self, exchange: &'a mut Exchange, _: &'a mut Bytes) -> Step<'a> {
        panics_at("/ask-body-at-once", exchange);
        Step::Wait(Box::pin(async move {
            tokio::task::yield_now().await;
            panics_at("/ask-body", exchange);
            Ok(Flow::Next)
        }))
    }
}

impl OnResponse for Panics {
    fn on_response(&self, exchange: &mut Exchange, _: &mut http::response::Parts) {
        panics_at("/response", exchange);
    }
}

impl OnResponseBody for Panics {
    fn limit(&self) -> usize {
        1024
    }

    fn on_response_body(&self, exchange: &mut Exchange, _: &mut Bytes) -> Result<(), Failure> {
        panics_at("/response-body", exchange);
        Ok(())
    }
}

impl OnResponseChunk for Panics {
    fn on_response_chunk(&self, exchange: &mut Exchange, chunk: Bytes) -> Result<Bytes, Failure> {
        panics_at("/chunk", exchange);
        Ok(chunk)
    }
}

impl OnFinish for Panics {
    fn on_finish(&self, exchange: &Exchange, _: &Outcome) {
        panics_at("/finish", exchange);
    }
}

/// Has every route's policies panic, although they would pass what they cannot judge.
fn inject(gateway: &Gateway) {
    let node = gateway.node();
    let configuration = node.configuration();
    let mut snapshot = Snapshot::compile(&configuration.document, 2, "", &Lent::default()).ok().unwrap();
    for route in &mut snapshot.routes {
        let mut chain = ChainBuilder::new("test", Arc::default(), Arc::<Kept>::default());
        chain.enter("panics", Stage::Access, OnFailure::Open, None);
        chain.on_request(Arc::new(Panics));
        chain.ask_on_request(Arc::new(Panics));
        chain.on_request_body(Arc::new(Panics));
        chain.ask_on_request_body(Arc::new(Panics));
        chain.on_response(Arc::new(Panics));
        chain.on_response_body(Arc::new(Panics));
        chain.on_response_chunk(Arc::new(Panics));
        chain.on_finish(Arc::new(Panics));
        route.chain = Arc::new(chain.build());
    }
    snapshot.observers.push(Arc::new(Panics));
    node.live.replace(snapshot);
}

#[tokio::test]
async fn a_panic_in_a_policy_ends_only_its_own_exchange() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::before(&backend).await;
    inject(&gateway);
    let mut beside = gateway.connect().await;
    assert_eq!(beside.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.text(), "hello");

    for path in [
        "/request",
        "/ask",
        "/request-body",
        "/ask-body-at-once",
        "/ask-body",
        "/response",
        "/response-body",
        "/chunk",
        "/finish",
    ] {
        let mut client = gateway.connect().await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
        client.send(head).await;
        let got = String::from_utf8(client.end().await).unwrap();
        match path {
            "/finish" => assert!(got.starts_with("HTTP/1.1 200"), "{path}: {got:?}"),
            // Its head may be gone already; what it did not pass must not come.
            "/chunk" => assert!(!got.contains("hello"), "{path}: {got:?}"),
            _ => assert!(got.starts_with("HTTP/1.1 500") && got.contains("internal-error"), "{path}: {got:?}"),
        }
        assert_eq!(beside.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.text(), "hello", "after {path}");
    }

    let upstream = gateway.node().live.current().upstreams["backend"].clone();
    testkit::eventually("nothing is under way", || upstream.in_flight() == 0).await;
}
