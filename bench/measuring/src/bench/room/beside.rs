//! What a rush on one room does to those who poll another one, beside requests that are no room's and cost as much.
//!
//! Both loads are of much the same work a request, and at rates that take as much of the processor: who waits behind one long
//! request waits longer than behind two short ones, which is no matter of rooms.

use super::place::Place;
use crate::bench::load::{Figures, text};
use crate::bench::process::{LOAD_CORE, pinned};
use crate::trial::report::Section;
use crate::trial::scene::program;
use anyhow::{Result, bail};
use std::time::Duration;

/// Joins a second of the rush, which leave the gateway's core time to spare; polls a second of the other room.
const RUSH: f64 = 8_000.0;
const POLLS: u32 = 1_000;
/// How long a turn lasts, of which whole half seconds are looked at, and how often each load has one.
const SECONDS: &str = "2.2";
const TURNS: usize = 100;

/// The share of half seconds in which other work of the machine shows least: what is seen there differs by some 4 % from run
/// to run, what is seen in their median by some 10 %.
const QUIET: f64 = 0.25;

/// What was seen beside a load.
#[derive(Default)]
struct Beside {
    /// The p99 of polls in each half second, in microseconds.
    p99: Vec<f64>,
    /// What the gateway took of the processor for all of it.
    cpu: Duration,
    /// Requests of the load.
    requests: f64,
}

pub(super) fn run(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-beside")?;
    place.start()?;
    let (mut of_room, mut of_others) = (Beside::default(), Beside::default());
    let joins = ("/fast/assign_queue_num", RUSH);
    // They cost nearly what a join does; so nearly as many of them take as much.
    let mut others = ("/reshaped", RUSH);
    for turn in 0..TURNS {
        // Neither of them is always the one that comes after the other.
        if turn % 2 == 0 {
            of_room.see(&place, joins)?;
            of_others.see(&place, others)?;
        } else {
            of_others.see(&place, others)?;
            of_room.see(&place, joins)?;
        }
        others.1 = RUSH * of_room.each() / of_others.each();
    }
    let at = |share: f64| (of_room.quantile(share), of_others.quantile(share));
    let change = |(room, others): (f64, f64)| (room / others - 1.0) * 100.0;
    let (beside_room, beside_others) = at(QUIET);
    let measured = format!(
        "{:+.1} %: {beside_room:.0} µs beside {RUSH} joins/s, {beside_others:.0} µs beside {:.0} requests/s that are reshaped and \
         take {:.2} of the processor time; in the median of all half seconds {:+.1} %",
        change(at(QUIET)),
        others.1,
        of_others.cpu.as_secs_f64() / of_room.cpu.as_secs_f64(),
        change(at(0.5)),
    );
    section.row(
        "p99 of polls of another room during a rush on one, in the quieter quarter of half seconds",
        "< 5 % more",
        measured,
        change(at(QUIET)) < 5.0,
    );
    place.end("TERM")
}

impl Beside {
    /// Polls for a turn beside that many requests a second.
    fn see(&mut self, place: &Place, (path, rate): (&str, f64)) -> Result<()> {
        let before = place.server()?.cpu();
        let mut command = pinned(LOAD_CORE, &program("bench-load")?);
        command.args(["steady", &format!("127.0.0.1:{}", place.port), path, "--seconds", SECONDS]);
        command.args(["--rate", &rate.to_string(), "--arrivals", "poisson", "--connections", "64"]);
        command.args(["--body", "{\"event_id\":\"Sample\"}"]);
        command.args(["--probe", "/wait/serving_num?event_id=Sample", "--probe-rate", &POLLS.to_string()]);
        let figures = Figures::read(&text(command)?)?;
        if figures.number("refused") + figures.number("failed") > 0.0 {
            bail!("not all of {path} were answered well: {figures:?}");
        }
        self.cpu += place.server()?.cpu().saturating_sub(before);
        self.requests += figures.number("beside");
        self.p99.extend(figures.numbers("p99_windows_us"));
        Ok(())
    }

    /// Seconds of the processor for a request of the load.
    fn each(&self) -> f64 {
        self.cpu.as_secs_f64() / self.requests
    }

    /// The p99 that this share of half seconds did not exceed.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.p99.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a length"
        )]
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at).copied().unwrap_or_default()
    }
}
