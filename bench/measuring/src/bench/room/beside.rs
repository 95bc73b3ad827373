//! What a rush on one room does to another one, beside the same rush on answers that are no room's.

use super::place::Place;
use crate::bench::load::Figures;
use crate::bench::process::{LOAD_CORE, pinned};
use crate::trial::report::Section;
use crate::trial::scene::program;
use anyhow::Result;
use std::process::{Child, Stdio};

/// Joins a second of the rush, which leave the gateway's core time to spare; polls a second of the other room.
const RUSH: u32 = 8_000;
const POLLS: u32 = 500;
const SECONDS: &str = "10";
/// How often each is measured, in turns.
const ROUNDS: usize = 5;

pub(super) fn run(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-beside")?;
    place.start()?;
    let (mut of_room, mut of_others) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_room.push(polls_beside(&place, "/fast/assign_queue_num")?);
        of_others.push(polls_beside(&place, "/still")?);
    }
    let (of_room, of_others) = (median(of_room), median(of_others));
    let change = (of_room / of_others - 1.0) * 100.0;
    let measured = format!(
        "{change:+.1} %: {of_room:.0} µs beside {RUSH} joins/s, {of_others:.0} µs beside {RUSH} static answers/s"
    );
    section.row("p99 of polls of another room during a rush on one", "< 5 % more", measured, change < 5.0);
    place.end("TERM")
}

/// The p99 of polls of a room while something else is asked, in microseconds.
fn polls_beside(place: &Place, path: &str) -> Result<f64> {
    let rush = load(place, "rate", path, RUSH, Some("{\"event_id\":\"Sample\"}"))?;
    let polls = load(place, "rate", "/wait/serving_num?event_id=Sample", POLLS, None)?;
    let figures = Figures::read(&String::from_utf8_lossy(&polls.wait_with_output()?.stdout))?;
    drop(rush.wait_with_output()?);
    Ok(figures.number("p99_us"))
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
