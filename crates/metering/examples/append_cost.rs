//! Measures what an append, a consumption and the end of an exchange cost: `cargo run --release -p metering
//! --example append_cost [directory]`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "an example measures and tells"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use journal::{Journal, Settings};
use metering::{Ledger, Meter};
use pipeline::{Caller, Exchange, OnFinish, Outcome, Route};

fn main() {
    let temporary = std::env::temp_dir().join("append_cost");
    let root = std::env::args().nth(1).map_or(temporary, Into::into);
    let open = |name: &str| Arc::new(Journal::open(&root.join(name), Settings::default(), 1).unwrap());

    let journal = open("records");
    let mut writer = journal.writer().unwrap();
    measure("append of 200 bytes", &mut writer, journal::Writer::has_room, |writer| {
        writer.append(&[7; 200]).unwrap();
    });

    let ledger = Ledger::new(open("ledger"));
    measure(
        "consumption of a quota",
        &mut &ledger,
        |ledger| ledger.has_room(),
        |ledger| {
            ledger.consumed("orders/quota/acme/shop", 1_767_225_600, 1).unwrap();
        },
    );

    let meter = Meter::new(open("usage"));
    let exchange = exchange();
    let outcome = Outcome {
        status: Some(StatusCode::OK),
        sent: 1024,
        complete: true,
        took: Duration::from_micros(321),
        ..Outcome::default()
    };
    measure(
        "end of an exchange",
        &mut &meter,
        |meter| meter.has_room(),
        |meter| {
            meter.on_finish(&exchange, &outcome);
        },
    );
    println!("exchanges without a record: {}", meter.lost());
    std::fs::remove_dir_all(&root).unwrap();
}

/// Tells the median and the worst of many rounds, each short enough for one segment, with a pause in which the next
/// one is laid out: a gateway has other things to do between two records, too.
fn measure<T>(what: &str, subject: &mut T, has_room: impl Fn(&mut T) -> bool, mut act: impl FnMut(&mut T)) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            while !has_room(subject) {
                std::thread::yield_now();
            }
            std::thread::sleep(PAUSE);
            let began = Instant::now();
            for _ in 0..IN_A_ROUND {
                if has_room(subject) {
                    act(subject);
                }
            }
            began.elapsed().as_secs_f64() * 1e9 / f64::from(IN_A_ROUND)
        })
        .collect();
    rounds.sort_unstable_by(f64::total_cmp);
    let of = |part: usize| rounds.get(part.min(ROUNDS - 1)).copied().unwrap_or_default();
    println!("{what}: {:.0} ns (best {:.0}, worst {:.0})", of(ROUNDS / 2), of(0), of(ROUNDS));
}

fn exchange() -> Exchange {
    let mut exchange = pipeline::tester::exchange(Request::get("/orders/v1/7"));
    exchange.route = Arc::new(Route { api: "orders".into(), template: "/orders/v1/{id}".into(), base: 10 });
    exchange.caller = Some(Arc::new(Caller {
        by: "api-key",
        credential: "k7f3a9".into(),
        company: Some("acme-corporation".into()),
        app: Some("shop-backend".into()),
        ..Caller::default()
    }));
    exchange.product = Some("gold".into());
    exchange
}

const ROUNDS: usize = 41;
const IN_A_ROUND: u32 = 10_000;
const PAUSE: Duration = Duration::from_millis(50);
