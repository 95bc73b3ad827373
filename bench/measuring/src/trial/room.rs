//! `cargo xtask trial room`: kills in the middle of a rush on a waiting room, and a start with a million places.

use super::report::Section;
use super::scene::{ask, build, clock, milliseconds};
use crate::bench::room::place::{JOIN, Line, Place, member, waiting};
use anyhow::{Context, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How often the gateway is killed, and how long visitors come before each time.
const KILLS: u32 = 10;
const FIRST: Duration = Duration::from_millis(400);
const LONGER: Duration = Duration::from_millis(53);
/// Visitors who come at the same time while it is killed.
const VISITORS: usize = 64;
/// Places that a start has to read.
const PLACES: u64 = 1_000_000;

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut section = Section::new(
        "Kills in a rush on a waiting room",
        format!(
            "The release build on one core, with one worker; clients have the other core. {VISITORS} visitors join one after the \
             other, and `kill -9` comes in the middle, {KILLS} times in one folder; every place that was told is compared after each \
             start. What joins and polls cost is measured by `cargo xtask bench room`."
        ),
    );
    starts(&mut section)?;
    kills(&mut section)?;
    super::room_rush::rush(&mut section)?;
    Ok(section)
}

/// Fills a room until it has a million places, kills, and starts again.
fn starts(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-rush")?;
    place.start()?;
    while place.waiting()? < PLACES {
        place.rush("/fast/assign_queue_num", JOIN)?;
    }
    let waiting = place.waiting()?;
    let resident = place.server()?.resident();
    place.end("KILL")?;
    let begun = clock();
    place.start()?;
    while place.waiting_now().is_none() {
        sleep(Duration::from_millis(2));
    }
    let took = clock().saturating_sub(begun);
    let again = place.waiting()?;
    let measured = format!("{} with {again} places of {waiting} in both rooms", milliseconds(took));
    section.row(
        "from the start after `kill -9` to answering",
        "< 1 s",
        measured,
        took < Duration::from_secs(1) && again == waiting,
    );
    #[expect(clippy::cast_precision_loss, reason = "bytes of a process")]
    let each = resident as f64 / waiting as f64;
    section.row(
        "memory of the process, for each place",
        "told",
        format!("{each:.0} bytes of {} MiB", resident >> 20),
        true,
    );
    place.end("TERM")
}

fn kills(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-kill")?;
    let known = Arc::new(Mutex::new(HashMap::<String, u64>::new()));
    let (mut wrong, mut lost, mut cut) = (0, 0, 0);
    for number in 0..KILLS {
        place.start()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let port = place.port;
        let visitors: Vec<_> = (0..VISITORS)
            .map(|_| {
                let (known, is_over) = (known.clone(), is_over.clone());
                spawn(move || come(port, &known, &is_over))
            })
            .collect();
        sleep(FIRST + LONGER * number);
        place.end("KILL")?;
        is_over.store(true, Ordering::SeqCst);
        for visitor in visitors {
            cut += u64::from(visitor.join().is_ok_and(|came| came.is_err()));
        }
        place.start()?;
        for (id, told) in known.lock().iter_mut() {
            match place_of(place.port, id)? {
                None => lost += 1,
                // It was told of its id, and died before it asked for its place.
                Some(found) if *told == 0 => *told = found,
                Some(found) if found != *told => wrong += 1,
                Some(_) => {}
            }
        }
        place.end("TERM")?;
    }
    place.start()?;
    let known = known.lock();
    let mut places: Vec<u64> = known.values().copied().collect();
    places.sort_unstable();
    let double = places.windows(2).filter(|pair| matches!(pair, [one, other] if one == other)).count();
    let queue = waiting(place.port)?;
    let last = places.last().copied().unwrap_or(0);
    let measured = format!(
        "{lost} lost, {wrong} changed, {double} given twice, of {} told in {KILLS} lives ({cut} cut)",
        known.len()
    );
    section.row(
        "places that were told, after `kill -9`",
        "0 lost, changed or given twice",
        measured,
        lost + wrong == 0 && double == 0 && !known.is_empty(),
    );
    let untold = queue.saturating_sub(known.len() as u64);
    let measured = format!("{queue} places, {last} the last that was told, {untold} whose answer was cut");
    section.row(
        "places without a gap",
        "as many as were told, and at most those cut",
        measured,
        untold <= cut && last <= queue,
    );
    place.end("TERM")
}

/// Joins again and again on one connection, asks for the place each time, and notes what it is told.
fn come(port: u16, known: &Mutex<HashMap<String, u64>>, is_over: &AtomicBool) -> Result<()> {
    let mut line = Line::open(port)?;
    while !is_over.load(Ordering::Relaxed) {
        let id = line.join("")?.context("no id")?;
        known.lock().insert(id.clone(), 0);
        let place = line.place(&id)?.context("no place")?;
        known.lock().insert(id, place);
    }
    Ok(())
}

fn place_of(port: u16, id: &str) -> Result<Option<u64>> {
    let (_, text) = ask(port, &format!("GET /wait/queue_num?event_id=Sample&request_id={id}"), "")?;
    Ok(member(&text, "queue_number"))
}
