//! The head of a request from a trusted proxy: what it says about the client, its host, its path and its route.
#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, OnceLock};

use http::{HeaderMap, Request};
use http1::{Limits, parse_request};
use libfuzzer_sys::fuzz_target;
use pipeline::Connection;
use serde_json::json;
use snapshot::{Lent, Snapshot};

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let document = json!({
        "version": 1,
        "listeners": { "a": { "bind": "127.0.0.1:1" } },
        "trusted_proxies": ["10.0.0.0/8", "::1/128"],
        "upstreams": { "a": { "targets": ["http://127.0.0.1:1"] } },
        "apis": {
            "a": { "match": { "path": "/a/{b}", "host": "*.example" }, "upstream": "a" },
            "c": { "match": { "path": { "exact": "/c" } }, "upstream": "a" },
        },
    });
    let document = Arc::new(serde_json::from_value(document).expect("a document"));
    Snapshot::compile(&document, 1, "", &Lent::default()).unwrap_or_else(|findings| panic!("{findings:?}"))
});

static CONNECTION: LazyLock<Arc<Connection>> = LazyLock::new(|| {
    Arc::new(Connection {
        peer: SocketAddr::from(([10, 0, 0, 1], 5000)),
        local: SocketAddr::from(([10, 0, 0, 2], 80)),
        listener: "a".into(),
        tls: None,
        told: OnceLock::new(),
        depends_on: OnceLock::new(),
    })
});

fuzz_target!(|head: &[u8]| {
    // So that most inputs get to the headers about the client.
    let line: &[u8] = if head.starts_with(b"Forwarded") || head.starts_with(b"X-") {
        b"GET /a/b HTTP/1.1\r\nHost: a\r\n"
    } else {
        b""
    };
    let end: &[u8] = if line.is_empty() { b"" } else { b"\r\n\r\n" };
    let bytes = [line, head, end].concat();
    let Ok(Some((read, _))) = parse_request(&bytes, &Limits::default()) else { return };
    let mut request = Request::builder().method(read.method).uri(read.uri).version(read.version);
    *request.headers_mut().unwrap_or(&mut HeaderMap::new()) = read.headers;
    let Ok(request) = request.body(()) else { return };

    let rehearsal = proxy::rehearse(&SNAPSHOT, &CONNECTION, request.into_parts().0);

    let exchange = &rehearsal.exchange;
    assert!(exchange.client == exchange.client.to_canonical(), "an address has one form");
    assert!(["http", "https"].contains(&exchange.scheme));
    assert_eq!(exchange.host.to_ascii_lowercase(), *exchange.host);
    for name in ["connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"] {
        assert!(!exchange.head.headers.contains_key(name), "{name} concerns one connection");
    }
    if rehearsal.refusal.is_none() {
        let path = exchange.head.uri.path();
        let steps = |segment: &str| matches!(segment, "." | "..");
        assert!(!path.split('/').any(steps) && !path.contains('\\'), "{path}");
    }
});
