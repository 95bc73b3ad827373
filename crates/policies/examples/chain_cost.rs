//! What a chain of ten ordinary policies costs on the way of a request: nanoseconds and allocations.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement"
)]
#![expect(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use attributes::expression;
use futures::FutureExt;
use http::Request;
use pipeline::tester::exchange;
use pipeline::{Chain, ChainBuilder, Flow, OnFailure};
use policies::CATALOG;
use problem::Pointer;
use serde_json::{Value, json};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let filter = || ("ip-filter", json!({ "deny": ["10.6.6.0/24"] }), None);
    measure("no policy", &[]);
    measure("ten ip-filter", &std::array::from_fn::<_, 10, _>(|_| filter()));
    measure("ten ordinary policies", &ordinary());
    for policy in ordinary() {
        measure(&format!("  {} {:?}", policy.0, policy.2), &[policy]);
    }
    let condition = "request.headers.exists(name, name.startsWith('x-'))";
    measure(
        "an interpreted condition with a loop",
        &[("ip-filter", json!({ "deny": ["10.6.6.0/24"] }), Some(condition))],
    );
    let condition = "size(request.path) > 3 && request.method == 'GET'";
    measure("an interpreted condition", &[("ip-filter", json!({ "deny": ["10.6.6.0/24"] }), Some(condition))]);
}

type Use = (&'static str, Value, Option<&'static str>);

fn ordinary() -> [Use; 10] {
    [
        ("ip-filter", json!({ "allow": ["192.0.2.0/24", "10.0.0.0/8"], "deny": ["10.6.6.0/24"] }), None),
        ("cors", json!({ "origins": ["https://*.example.com"] }), None),
        ("request-size", json!({ "body": "1MiB", "headers": "16KiB", "query": "2KiB" }), None),
        ("compress", json!({}), None),
        ("redirect", json!({ "scheme": "https" }), Some("request.host == 'old.example'")),
        ("respond", json!({ "status": 503 }), Some("'x-maintenance' in request.headers || request.path == '/closed'")),
        ("headers", json!({ "request": { "set": { "x-gateway": "vestibule" }, "remove": ["x-debug"] } }), None),
        ("headers", json!({ "request": { "set": { "x-client": "{client.address}" } } }), None),
        ("headers", json!({ "response": { "set": { "x-frame-options": "DENY" } } }), Some("request.method == 'GET'")),
        ("rewrite", json!({ "strip_prefix": "/api" }), None),
    ]
}

fn chain(policies: &[Use]) -> Chain {
    let mut chain = ChainBuilder::new("bench", Arc::default(), Arc::default());
    for (name, settings, when) in policies {
        let Some(entry) = CATALOG.iter().find(|entry| entry.name == *name) else { panic!("there is no {name}") };
        let at = Pointer::default().at(name);
        let condition = when.map(|when| expression::condition(when, &at).unwrap_or_else(|finding| panic!("{finding}")));
        chain.enter(entry.name, entry.stage, OnFailure::Close, condition);
        if let Err(finding) = (entry.install)(settings.clone(), &at, &mut chain) {
            panic!("{finding}");
        }
    }
    chain.build()
}

fn measure(name: &str, policies: &[Use]) {
    const BATCH: usize = 200;
    let chain = chain(policies);
    let request = || {
        Request::get("/api/orders/7?page=2")
            .header("host", "api.example.com")
            .header("user-agent", "curl/8.9.1")
            .header("accept", "*/*")
            .header("accept-encoding", "gzip, br")
            .header("x-api-key", "vk_live_0123456789")
    };
    let mut costs = Vec::new();
    let mut allocated = 0;
    for _ in 0..400 {
        let mut exchanges: Vec<_> = (0..BATCH).map(|_| exchange(request())).collect();
        for exchange in &mut exchanges {
            chain.adopt(exchange);
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let began = std::time::Instant::now();
        for exchange in &mut exchanges {
            let flow = black_box(chain.request(black_box(exchange)).now_or_never());
            assert!(matches!(flow, Some(Flow::Next)), "the chain answered by itself");
        }
        costs.push(began.elapsed().as_nanos() as f64 / BATCH as f64);
        allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    }
    costs.sort_by(f64::total_cmp);
    let allocations = allocated as f64 / BATCH as f64;
    println!("{name}: p10 {:.0} ns, median {:.0} ns, {allocations} allocations", costs[40], costs[200]);
}
