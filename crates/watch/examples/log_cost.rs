//! What an access log line and the metrics of an exchange cost the thread that serves it.
//!
//! `cargo run --release -p watch --example log_cost`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for people, not part of the gateway")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use pipeline::tester::exchange;
use pipeline::{Caller, Exchange, OnFinish, Outcome, Route, Trace, Upstreamed};
use telemetry::metrics::Registry;
use telemetry::sink::{Output, Sink};
use tokio::time::Instant;
use watch::{AccessLog, Form, Metrics, Query};

fn main() {
    let (exchange, outcome) = partner_exchange();
    for form in [Form::Json, Form::Combined] {
        let sink = Arc::new(Sink::start("access-log", Output::File("/dev/null".into()), 8 << 20).unwrap());
        let log = AccessLog::new(sink.clone(), form, Query::default());
        let cost = cost_of(|| log.on_finish(&exchange, &outcome));
        println!("{form:?} access log: {cost} ns a line, {} dropped", sink.dropped());
    }

    let registry = Registry::new(10_000);
    let mut routes = vec![exchange.route.clone()];
    routes.extend(
        (0..5000)
            .map(|n| Arc::new(Route { api: "orders".into(), template: format!("/orders/v1/{n}").into(), base: 0 })),
    );
    let upstream = outcome.upstream.as_ref().map(|upstream| upstream.name.clone());
    let metrics = Metrics::new(&registry, &routes, upstream.as_slice());
    println!("metrics: {} ns an exchange", cost_of(|| metrics.on_finish(&exchange, &outcome)));
    println!(
        "request id: {} ns",
        cost_of(|| {
            black_box(telemetry::ids::request_id(black_box(7)));
        })
    );
    println!(
        "trace id: {} ns",
        cost_of(|| {
            black_box(telemetry::ids::trace_id());
        })
    );
}

fn partner_exchange() -> (Exchange, Outcome) {
    let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
    let request = Request::get("/orders/v1/4711?page=2&size=50&sort=created").header("user-agent", agent);
    let mut exchange = exchange(request);
    exchange.route = Arc::new(Route { api: "orders".into(), template: "/orders/v1/{id}".into(), base: 10 });
    exchange.caller = Some(Arc::new(Caller {
        by: "api-key",
        credential: "vk_live_01j9x".into(),
        company: Some("acme".into()),
        app: Some("web-shop".into()),
        scopes: Vec::new(),
    }));
    exchange.product = Some("gold".into());
    exchange.trace = Trace { trace_id: 0x1234_5678_9abc, span_id: 7, parent_id: None, sampled: false };
    let outcome = Outcome {
        status: Some(StatusCode::OK),
        received: 0,
        sent: 1024,
        complete: true,
        took: Duration::from_micros(1234),
        problem: None,
        cut: None,
        upstream: Some(Upstreamed {
            name: "orders".into(),
            target: "http://10.0.0.5:8080".into(),
            first_byte: Some(Duration::from_micros(1100)),
            attempts: 1,
        }),
    };
    (exchange, outcome)
}

/// The median of many short rounds, of which few are disturbed by another process.
fn cost_of(mut work: impl FnMut()) -> u128 {
    const TIMES: u32 = 500;
    let mut rounds: Vec<u128> = (0..201)
        .map(|_| {
            let began = Instant::now();
            (0..TIMES).for_each(|_| work());
            let took = began.elapsed().as_nanos();
            // The writer catches up, as it does between the bursts of real traffic.
            std::thread::sleep(Duration::from_millis(2));
            took / u128::from(TIMES)
        })
        .collect();
    rounds.sort_unstable();
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}
