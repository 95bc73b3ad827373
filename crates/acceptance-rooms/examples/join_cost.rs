//! Measures what joins cost, and a start with a million places: `cargo run --release -p acceptance-rooms --example join_cost
//! [directory]`. On one core: `taskset -c 0`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "an example measures and tells"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use http::HeaderMap;
use rooms::{Api, Durability, Fairness, Inlet, KeptRoom, Operation, Question, Rooms, Settings, Side};
use rustix::time::ClockId;
use secrets::{Masters, Vault};
use waiting_room::Rules;

/// Visitors who join at the same time, each again and again.
const VISITORS: usize = 256;
/// Places that a start has to read.
const PLACES: u32 = 1_000_000;
/// Questions of each kind.
const POLLS: u32 = 500_000;
const NOW: u32 = 1_800_000_000;

fn main() {
    let folder = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("join_cost"), Into::into);
    // What an earlier run left behind would be read, too.
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let rooms = open(&folder);
    rooms.take().unwrap();
    let [disk, process] = ["disk", "process"].map(|name| rooms.named(name).unwrap());
    measure("joins, on the disk", &disk, 200_000);
    measure("joins, `durability: process`", &process, 500_000);
    polls(&process);
    fill(&rooms, &process);
    let before = resident();
    drop((disk, process, rooms));

    let began = clock();
    let rooms = open(&folder);
    rooms.take().unwrap();
    let took = clock().saturating_sub(began);
    let places: u32 = rooms.all().iter().map(|room| room.counters().unwrap().queue).sum();
    println!(
        "a start with {places} places: {:.0} ms, {} MiB resident before it",
        took.as_secs_f64() * 1e3,
        before >> 20
    );
    rooms.take_pictures().unwrap();
    drop(rooms);
    let began = clock();
    let rooms = open(&folder);
    rooms.take().unwrap();
    let took = clock().saturating_sub(began);
    println!("the same with pictures only: {:.0} ms", took.as_secs_f64() * 1e3);
    idle(&rooms);
}

/// Joins until there are a million places, and has the log made short as a gateway does.
fn fill(rooms: &Rooms, room: &Arc<KeptRoom>) {
    while rooms.all().iter().map(|room| room.counters().unwrap().queue).sum::<u32>() < PLACES {
        joins(room, 50_000);
        rooms.shorten_log().unwrap();
    }
}

/// What questions cost that are asked again and again, without the sockets.
fn polls(room: &Arc<KeptRoom>) {
    let id = room.look(|room| room.line().place(1).map(|place| place.id)).unwrap().unwrap();
    let (api, headers) = (Api::new(room.clone(), Side::Public), HeaderMap::new());
    for (operation, query) in [
        (Operation::ServingNum, "event_id=Sample".to_owned()),
        (Operation::QueueNum, format!("event_id=Sample&request_id={id}")),
    ] {
        let (query, now) = (&*query, NOW);
        let question =
            Question { path: "/serving_num", query, is_secure: false, headers: &headers, body: &[], now, client: None };
        let busy = cpu();
        for _ in 0..POLLS {
            std::hint::black_box(api.answer(operation, &question).now_or_never().unwrap());
        }
        let each = cpu().saturating_sub(busy).as_secs_f64() * 1e6 / f64::from(POLLS);
        println!("{operation:?}: {each:.2} µs of CPU each");
    }
}

/// What ten thousand rooms take in which nothing happens.
fn idle(rooms: &Rooms) {
    let before = resident();
    rooms.add((0..10_000).map(|number| (format!("idle-{number}"), settings(Durability::Disk))));
    let began = clock();
    rooms.tick(NOW);
    let tick = clock().saturating_sub(began);
    let taken = resident().saturating_sub(before);
    println!("10000 idle rooms: {} KiB, a tick of all takes {:.1} ms", taken >> 10, tick.as_secs_f64() * 1e3);
}

fn measure(what: &str, room: &Arc<KeptRoom>, count: usize) {
    joins(room, count / 10);
    let (began, busy) = (clock(), cpu());
    joins(room, count);
    let (took, busy) = (clock().saturating_sub(began), cpu().saturating_sub(busy));
    let rate = count as f64 / took.as_secs_f64();
    println!("{what}: {rate:.0}/s, {:.2} µs of CPU each", busy.as_secs_f64() * 1e6 / count as f64);
}

fn joins(room: &Arc<KeptRoom>, count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let visitor = async |room: Arc<KeptRoom>| {
        for _ in 0..count / VISITORS {
            room.join(None, NOW).await.unwrap();
        }
    };
    runtime.block_on(join_all((0..VISITORS).map(|_| visitor(room.clone()))));
}

fn open(folder: &Path) -> Rooms {
    let vault = Vault::open(&folder.join("secrets"), Masters::File(folder.join("master.key"))).unwrap();
    let rooms = Rooms::open(&folder.join("rooms"), Arc::new(vault), 1).unwrap();
    rooms.set([("disk".to_owned(), settings(Durability::Disk)), ("process".to_owned(), settings(Durability::Process))]);
    rooms
}

fn settings(durability: Durability) -> Settings {
    Settings {
        event: "Sample".into(),
        rules: Rules::default(),
        issuer: "https://wait.example".into(),
        validity: 3600,
        inlet: Inlet::Manual,
        durability,
        openid: None,
        fairness: Fairness::default(),
        alarm: None,
        metrics_events: false,
        page: Arc::default(),
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn clock() -> Duration {
    of(ClockId::Monotonic)
}

fn cpu() -> Duration {
    of(ClockId::ProcessCPUTime)
}

fn of(id: ClockId) -> Duration {
    rustix::time::clock_gettime(id).try_into().unwrap()
}
