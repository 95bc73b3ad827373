//! What limits cost per request: `cargo run --release -p policies --example limit_cost [ROUNDS]`.
//!
//! With few rounds it runs under `valgrind --tool=callgrind`, which counts instructions whatever else the machine does.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "an example for people to read")]

use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use limits::{Arrivals, Calendar, Counters, Gcra, InFlight, Period};
use pipeline::{Caller, Chain, ChainBuilder, Entry, Exchange, Flow, OnFailure, Outcome, Policy, Stage};
use policies::concurrency::Concurrency;
use policies::quota::Quota;
use policies::spike_arrest::SpikeArrest;
use problem::Pointer;
use serde_json::{Value, json};
use tokio::time::Instant;

static ROUNDS: LazyLock<u32> =
    LazyLock::new(|| std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(1_000_000));

fn main() {
    println!("nanoseconds per call, the best of five runs of {}", *ROUNDS);
    limits_alone();
    policies();
}

fn limits_alone() {
    let keys: Vec<String> = (0..1000).map(|key| format!("company-{key}/app")).collect();
    let key = |round: u32| keys.get(round as usize % keys.len()).map_or("", String::as_str);

    let (arrivals, rule) =
        (Arrivals::new(1 << 16), Gcra::new(1_000_000_000, Duration::from_secs(1), 4_000_000_000).expect("a rate"));
    report("rate, 1000 keys", |round| arrivals.take(key(round), 1, &rule, u64::from(round) * 1000).is_granted());
    report("rate, one key", |round| arrivals.take("a", 1, &rule, u64::from(round) * 1000).is_granted());

    let counters = Counters::new("test", Calendar::utc(Period::Month), 1 << 16, None);
    let now = 1_767_225_600_000_000;
    report("count, 1000 keys", |round| counters.take(key(round), 1, u64::MAX, now + u64::from(round)).is_granted());

    let in_flight = Arc::new(InFlight::default());
    report("in flight, 1000 keys", |round| in_flight.enter(key(round), 10).is_ok());
}

fn policies() {
    let rate = json!({ "rate": "1000000/s", "burst": 100_000_000, "per": "app" });
    let quota = json!({ "requests": 1_000_000_000_000_u64, "per": "month", "by": "app" });
    let by_address = json!({ "rate": "1000000/s", "burst": 100_000_000, "per": "address" });
    let nothing = cost("no policy", &chain(&[]));
    for (name, uses) in [
        ("spike-arrest", vec![use_of::<SpikeArrest>(&rate)]),
        ("spike-arrest by address", vec![use_of::<SpikeArrest>(&by_address)]),
        ("quota", vec![use_of::<Quota>(&quota)]),
        ("both", vec![use_of::<SpikeArrest>(&rate), use_of::<Quota>(&quota)]),
        ("concurrency", vec![use_of::<Concurrency>(&json!({ "requests": 10, "per": "app" }))]),
    ] {
        let whole = cost(name, &chain(&uses));
        println!("{:>32} {:7.1} of its own", "", whole - nothing);
    }
}

type Use = (&'static str, Stage, Entry, Value);

fn use_of<P: Policy>(settings: &Value) -> Use {
    (P::NAME, P::STAGE, Entry::of::<P>(), settings.clone())
}

fn chain(uses: &[Use]) -> Chain {
    let mut chain = ChainBuilder::new("test", Arc::default(), Arc::default());
    for (name, stage, entry, settings) in uses {
        chain.enter(name, *stage, OnFailure::Close, None);
        (entry.install)(settings.clone(), &Pointer::default(), &mut chain).expect("settings");
    }
    chain.build()
}

/// The request and the response phase, with a fresh head of the size that upstreams send.
fn cost(name: &str, chain: &Chain) -> f64 {
    let mut exchange = pipeline::tester::exchange(Request::get("/orders"));
    exchange.caller = Some(Arc::new(Caller {
        by: "api-key",
        company: Some("acme".into()),
        app: Some("shop".into()),
        ..Caller::default()
    }));
    let (mut head, ()) = Response::new(()).into_parts();
    let fields = HeaderMap::with_capacity(16);
    report(name, |_| pass(chain, &mut exchange, &mut head, &fields))
}

fn pass(chain: &Chain, exchange: &mut Exchange, head: &mut http::response::Parts, fields: &HeaderMap) -> bool {
    chain.adopt(exchange);
    exchange.began += Duration::from_micros(1);
    exchange.began_at += 1;
    let flow = chain.request(exchange).now_or_never().unwrap_or(Flow::Next);
    // Emptied and not made anew, so that its table is no part of the measure.
    head.headers.clear();
    head.headers.extend(fields.clone());
    chain.response(exchange, head);
    chain.finish(exchange, &Outcome::default());
    matches!(flow, Flow::Next)
}

fn report(name: &str, mut call: impl FnMut(u32) -> bool) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        for round in 0..*ROUNDS {
            assert!(black_box(call(black_box(round))), "{name}: refused");
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(*ROUNDS));
    }
    println!("{name:>32} {best:7.1}");
    best
}
