//! Measures a draw of a million lots, and its check: `cargo run --release -p acceptance-rooms --example lottery_cost [directory]`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example measures and tells")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rooms::lottery::Published;
use rooms::{Durability, Fairness, Inlet, KeptRoom, Lots, Rooms, Settings};
use rustix::time::ClockId;
use secrets::{Masters, Vault};
use waiting_room::{Rules, Schedule};

/// Those who draw.
const VISITORS: usize = 1_000_000;
/// Of them, those who come at the same time.
const AT_A_TIME: usize = 1000;
/// When they come, and when the room opens.
const GATHERS: u32 = 1_800_000_000;
const OPENS: u32 = GATHERS + 3600;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("lottery_cost"), Into::into);
    // What an earlier run left behind would be read, too.
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let (rooms, room) = open(&folder);
    rooms.tick(GATHERS);
    for _ in 0..VISITORS / AT_A_TIME {
        for id in join_all((0..AT_A_TIME).map(|_| room.join(None, GATHERS))).await {
            id.unwrap();
        }
        rooms.shorten_log().unwrap();
    }
    rooms.tick(OPENS);

    let began = clock();
    rooms.draw_lots(OPENS).await;
    let drew = clock().saturating_sub(began);

    let counters = room.counters().unwrap();
    let told = room.told_of_lottery().await.unwrap().unwrap();
    let mut lots = Vec::with_capacity(VISITORS);
    while let Some(some) = room.lots(u32::try_from(lots.len()).unwrap()).unwrap().filter(|some| !some.is_empty()) {
        lots.extend(some);
    }
    let published = Published { told, lots };
    let began = clock();
    published.verify(None).unwrap();
    let verified = clock().saturating_sub(began);

    drop((rooms, room));
    let began = clock();
    let (_rooms, room) = open(&folder);
    let started = clock().saturating_sub(began);
    assert_eq!(room.counters().unwrap(), counters);
    for (what, took) in [("draw", drew), ("verify", verified), ("start", started)] {
        println!("{what} {} µs of {} visitors", took.as_micros(), counters.queue);
    }
}

fn open(folder: &Path) -> (Rooms, Arc<KeptRoom>) {
    let vault = Vault::open(&folder.join("secrets"), Masters::File(folder.join("master.key"))).unwrap();
    let rooms = Rooms::open(&folder.join("rooms"), Arc::new(vault), 1).unwrap();
    let schedule = Schedule { pre_queue: Some(GATHERS), opens: Some(OPENS), closes: None };
    let settings = Settings {
        event: "Sample".into(),
        rules: Rules { schedule, ..Rules::default() },
        issuer: "https://wait.example".into(),
        validity: 3600,
        inlet: Inlet::Manual,
        durability: Durability::Process,
        openid: None,
        alarm: None,
        metrics_events: false,
        page: Arc::default(),
        fairness: Fairness { lottery: Some(Lots::default()), ..Fairness::default() },
    };
    rooms.set([("sale".to_owned(), settings)]);
    rooms.take().unwrap();
    let room = rooms.named("sale").unwrap();
    (rooms, room)
}

fn clock() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
}
