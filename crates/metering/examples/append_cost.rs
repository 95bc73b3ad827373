//! Measures what an append, a consumption and the end of an exchange cost: `cargo run --release -p metering
//! --example append_cost [directory]`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "an example measures and tells"
)]

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use journal::{Journal, Settings};
use metering::{Ledger, Meter};
use pipeline::{Caller, Exchange, OnFinish, Outcome, Route};
use rustix::time::ClockId;

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

/// Tells what many rounds cost, with a pause after each: a gateway has other things to do between two records, too.
///
/// It counts processor time, which other programs on the machine disturb less than they do a clock.
fn measure<T>(what: &str, subject: &mut T, has_room: impl Fn(&mut T) -> bool, mut act: impl FnMut(&mut T)) {
    while !has_room(subject) {
        std::thread::sleep(PAUSE);
    }
    let began = nanoseconds(ClockId::ProcessCPUTime);
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            std::thread::sleep(PAUSE);
            let began = nanoseconds(ClockId::ThreadCPUTime);
            for _ in 0..IN_A_ROUND {
                if has_room(subject) {
                    act(subject);
                }
            }
            (nanoseconds(ClockId::ThreadCPUTime) - began) / f64::from(IN_A_ROUND)
        })
        .collect();
    let all = (nanoseconds(ClockId::ProcessCPUTime) - began) / f64::from(IN_A_ROUND) / ROUNDS as f64;
    rounds.sort_unstable_by(f64::total_cmp);
    let of = |part: usize| rounds.get(part.min(ROUNDS - 1)).copied().unwrap_or_default();
    println!(
        "{what}: {:.0} ns (best {:.0}, worst {:.0}; with all threads {all:.0})",
        of(ROUNDS / 2),
        of(0),
        of(ROUNDS)
    );
}

fn nanoseconds(clock: ClockId) -> f64 {
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
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

const ROUNDS: usize = 151;
// 25,000 a second, which is what a busy worker has.
const IN_A_ROUND: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);
