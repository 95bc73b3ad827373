//! Visitors as they come: all at once, or by chance, while others ask and watch.

use super::place::Place;
use crate::bench::load::Figures;
use crate::trial::report::Section;
use crate::trial::scene::program;
use anyhow::{Result, bail};
use programs::process::{LOAD_CORE, pinned};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// Visitors who come at once, and how many are under way at a time.
const BURST: u32 = 50_000;
const AT_ONCE: u32 = 500;
/// Those who come by chance, a second.
const POISSON: u32 = 2_000;
/// Polls a second, and visitors who watch, meanwhile.
const POLLS: u32 = 1_000;
const WATCHERS: u32 = 2_000;
const SECONDS: &str = "10";

pub(super) fn run(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-arrivals")?;
    place.start()?;
    let mut watchers = watch(&place)?;
    let polled = place.queue_num()?;
    let before = place.waiting()?;
    let join = "{\"event_id\":\"Sample\"}";
    let mut command = pinned(LOAD_CORE, &program("bench-load")?);
    command.args(["count", &format!("127.0.0.1:{}", place.port), "/wait/assign_queue_num"]);
    command.args(["--requests", &BURST.to_string(), "--connections", &AT_ONCE.to_string()]);
    command.args(["--body", join]);
    let polls = load(&place, "rate", &polled, POLLS, None)?;
    let came = finish(command.stdout(Stdio::piped()).spawn()?)?;
    let asked = finish(polls)?;
    let given = place.waiting()? - before;
    let told = |figures: &Figures| {
        let milliseconds = |name: &str| figures.number(name) / 1000.0;
        format!("p50 {:.1} ms, p99 {:.1} ms", milliseconds("p50_us"), milliseconds("p99_us"))
    };
    let answered = came.number("answered");
    let measured = format!("{answered} answered, {given} places; joins {}; polls {}", told(&came), told(&asked));
    let is_whole = (answered - f64::from(BURST)).abs() < 1.0 && given == u64::from(BURST);
    section.row(
        format!("{BURST} visitors at once, {AT_ONCE} at a time, beside {POLLS} polls/s and {WATCHERS} who watch"),
        "as many places as answers, none fails",
        measured,
        is_whole,
    );
    let before = place.waiting()?;
    let joins = load(&place, "poisson", "/wait/assign_queue_num", POISSON, Some(join))?;
    let polls = load(&place, "rate", &polled, POLLS, None)?;
    let (came, asked) = (finish(joins)?, finish(polls)?);
    let given = place.waiting()? - before;
    let (answered, bad) = (came.number("answered"), came.number("failed") + came.number("refused"));
    let measured =
        format!("{answered} answered, {given} places, {bad} failed; joins {}; polls {}", told(&came), told(&asked));
    #[expect(clippy::cast_precision_loss, reason = "counts of visitors")]
    let is_whole = bad < 1.0 && (answered - given as f64).abs() < 1.0;
    section.row(format!("{POISSON} visitors/s by chance, beside the same"), "as above", measured, is_whole);
    drop(watchers.stdin.take());
    watchers.wait()?;
    place.end("TERM")
}

fn watch(place: &Place) -> Result<Child> {
    let mut command = pinned(LOAD_CORE, &program("bench-watchers")?);
    command.arg(format!("127.0.0.1:{}", place.port)).arg("/wait/watch?event_id=Sample");
    command.args(["--watchers", &WATCHERS.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(told) = child.stdout.as_mut() {
        BufReader::new(told).read_line(&mut line)?;
    }
    if line.is_empty() {
        bail!("nobody watches");
    }
    Ok(child)
}

fn finish(load: Child) -> Result<Figures> {
    Figures::read(&String::from_utf8_lossy(&load.wait_with_output()?.stdout))
}

/// Load of a mode of `bench-load`, or `poisson`.
fn load(place: &Place, mode: &str, path: &str, rate: u32, body: Option<&str>) -> Result<Child> {
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
