//! What a rush on one room does to another one, beside answers that are no room's and take as much of the processor.

use super::place::Place;
use crate::bench::load::Figures;
use crate::bench::process::{LOAD_CORE, pinned};
use crate::trial::report::Section;
use crate::trial::scene::program;
use anyhow::Result;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Joins a second of the rush, which leave the gateway's core time to spare; polls a second of the other room.
const RUSH: u32 = 8_000;
const POLLS: u32 = 500;
const SECONDS: &str = "10";
/// How often each is measured, in turns.
const ROUNDS: usize = 7;

/// What was seen beside a load.
struct Beside {
    /// The p99 of polls of a room, in microseconds.
    p99: f64,
    /// What the gateway took of the processor for all of it.
    cpu: Duration,
}

pub(super) fn run(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-beside")?;
    place.start()?;
    let (mut of_room, mut of_others) = (Vec::new(), Vec::new());
    // A join takes more than an answer that is always the same; so many of those take as much.
    let mut others = RUSH;
    for round in 0..=ROUNDS {
        let beside_room = polls_beside(&place, "/fast/assign_queue_num", RUSH)?;
        let beside_others = polls_beside(&place, "/still", others)?;
        let taken = beside_others.cpu.as_micros().max(1);
        others = u32::try_from(u128::from(others) * beside_room.cpu.as_micros() / taken)?;
        // The first round is only to find out how many.
        if round > 0 {
            of_room.push(beside_room);
            of_others.push(beside_others);
        }
    }
    let p99 = |all: &[Beside]| median(all.iter().map(|beside| beside.p99).collect());
    let cpu = |all: &[Beside]| median(all.iter().map(|beside| beside.cpu.as_secs_f64()).collect());
    let change = (p99(&of_room) / p99(&of_others) - 1.0) * 100.0;
    let measured = format!(
        "{change:+.1} %: {:.0} µs beside {RUSH} joins/s, {:.0} µs beside {others} static answers/s, which take {:.2} of the processor time",
        p99(&of_room),
        p99(&of_others),
        cpu(&of_others) / cpu(&of_room)
    );
    section.row("p99 of polls of another room during a rush on one", "< 5 % more", measured, change < 5.0);
    place.end("TERM")
}

fn polls_beside(place: &Place, path: &str, rate: u32) -> Result<Beside> {
    let before = place.server()?.cpu();
    let rush = load(place, "rate", path, rate, Some("{\"event_id\":\"Sample\"}"))?;
    let polls = load(place, "rate", "/wait/serving_num?event_id=Sample", POLLS, None)?;
    let figures = Figures::read(&String::from_utf8_lossy(&polls.wait_with_output()?.stdout))?;
    drop(rush.wait_with_output()?);
    Ok(Beside { p99: figures.number("p99_us"), cpu: place.server()?.cpu().saturating_sub(before) })
}

/// Load of a mode of `bench-load`, or `poisson`.
pub(super) fn load(place: &Place, mode: &str, path: &str, rate: u32, body: Option<&str>) -> Result<Child> {
    let (mode, arrivals) = if mode == "poisson" { ("rate", Some("poisson")) } else { (mode, None) };
    let mut command = pinned(LOAD_CORE, &program("bench-load")?);
    command.args([mode, &format!("127.0.0.1:{}", place.port), path, "--rate", &rate.to_string(), "--seconds", SECONDS]);
    command.args(["--connections", "64"]);
    if let Some(arrivals) = arrivals {
        command.args(["--arrivals", arrivals]);
    }
    if let Some(body) = body {
        command.args(["--body", body]);
    }
    Ok(command.stdout(Stdio::piped()).spawn()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
