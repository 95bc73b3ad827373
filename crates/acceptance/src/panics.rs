//! A policy that panics ends its own exchange and nothing else.

use std::sync::Arc;

use pipeline::{
    ChainBuilder, Exchange, Flow, Kept, OnFailure, OnFinish, OnRequest, OnResponse, Outcome, Stage, Verdict,
};
use snapshot::{Lent, Snapshot};
use testkit::{Gateway, Stub};

struct Panics;

impl OnRequest for Panics {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        assert_ne!(exchange.head.uri.path(), "/request", "on purpose");
        Ok(Flow::Next)
    }
}

impl OnResponse for Panics {
    fn on_response(&self, exchange: &mut Exchange, _: &mut http::response::Parts) {
        assert_ne!(exchange.head.uri.path(), "/response", "on purpose");
    }
}

impl OnFinish for Panics {
    fn on_finish(&self, exchange: &Exchange, _: &Outcome) {
        assert_ne!(exchange.head.uri.path(), "/finish", "on purpose");
    }
}

/// Has every route's policies panic.
fn inject(gateway: &Gateway) {
    let node = gateway.node();
    let configuration = node.configuration();
    let mut snapshot = Snapshot::compile(&configuration.document, 2, "", &Lent::default()).ok().unwrap();
    for route in &mut snapshot.routes {
        let mut chain = ChainBuilder::new("test", Arc::default(), Arc::<Kept>::default());
        chain.enter("panics", Stage::Access, OnFailure::Open, None);
        chain.on_request(Arc::new(Panics));
        chain.on_response(Arc::new(Panics));
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

    for path in ["/request", "/response", "/finish"] {
        let mut client = gateway.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        let got = String::from_utf8(client.end().await).unwrap();
        if path == "/finish" {
            assert!(got.starts_with("HTTP/1.1 200"), "{path}: {got:?}");
        } else {
            assert!(got.starts_with("HTTP/1.1 500") && got.contains("internal-error"), "{path}: {got:?}");
        }
        assert_eq!(beside.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.text(), "hello");
    }

    let upstream = gateway.node().live.current().upstreams["backend"].clone();
    testkit::eventually("nothing is under way", || upstream.in_flight() == 0).await;
}
