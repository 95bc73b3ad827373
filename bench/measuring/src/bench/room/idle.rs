//! Very many rooms in which nothing happens.

use super::place::Place;
use crate::trial::report::Section;
use crate::trial::scene::{clock, milliseconds};
use anyhow::Result;
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::Duration;

const ROOMS: u32 = 10_000;
/// How long they do nothing.
const STILL: Duration = Duration::from_secs(10);

pub(super) fn run(section: &mut Section) -> Result<()> {
    let mut one = Place::make("room-few")?;
    one.start()?;
    sleep(Duration::from_secs(1));
    let few = one.server()?.resident();
    one.end("TERM")?;
    let rooms = (0..ROOMS).fold(String::new(), |mut text, number| {
        // Writing into a string does not fail.
        let _written = writeln!(text, "  room-{number}: {{event: Sample, position_expiry: 15m}}");
        text
    });
    let apis = "  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: room-7}}]}\n";
    let mut place = Place::with("room-many", &rooms, apis)?;
    let begun = clock();
    place.start()?;
    let took = clock().saturating_sub(begun);
    sleep(Duration::from_secs(1));
    let memory = place.server()?.resident().saturating_sub(few);
    let before = place.server()?.cpu();
    sleep(STILL);
    let cpu = place.server()?.cpu().saturating_sub(before);
    let measured = format!("{} MiB more than with two rooms, {} bytes each", memory >> 20, memory / u64::from(ROOMS));
    section.row("10,000 idle rooms", "≤ 100 MB", measured, memory <= 100_000_000);
    let share = cpu.as_secs_f64() / STILL.as_secs_f64() * 100.0;
    let measured = format!("{share:.1} % of a core; started in {}", milliseconds(took));
    section.row("what they cost while nothing happens", "told", measured, true);
    place.end("TERM")
}
