//! What a rush on one room does to those who poll another one, beside requests that are no room's and cost as much.
//!
//! Both loads are of much the same work a request, and of as many requests as the gateway's core answers: who waits behind one
//! long request waits longer than behind two short ones, which is no matter of rooms.

use super::place::Place;
use crate::bench::load::{Figures, text};
use crate::trial::report::Section;
use crate::trial::scene::program;
use anyhow::{Result, bail};
use programs::process::{LOAD_CORE, pinned};
use std::time::Duration;

/// More requests a second than are answered, on so many connections.
const RUSH: &str = "200000";
const CONNECTIONS: &str = "32";
/// Polls a second of the other room.
const POLLS: &str = "1000";
/// How long a turn lasts, of which whole half seconds are looked at, and how often each load has one.
const SECONDS: f64 = 2.2;
const TURNS: u32 = 60;

/// The share of half seconds in which other work of the machine shows least. A run differs from the next by several percent
/// there, and in the median, which is told, too.
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
    for turn in 0..TURNS {
        // Neither of them is always the one that comes after the other.
        if turn % 2 == 0 {
            of_room.see(&place, "/fast/assign_queue_num")?;
            of_others.see(&place, "/reshaped")?;
        } else {
            of_others.see(&place, "/reshaped")?;
            of_room.see(&place, "/fast/assign_queue_num")?;
        }
    }
    let at = |share: f64| (of_room.quantile(share), of_others.quantile(share));
    let change = |(room, others): (f64, f64)| (room / others - 1.0) * 100.0;
    let (beside_room, beside_others) = at(QUIET);
    let measured = format!(
        "{:+.1} %: {beside_room:.0} µs beside {:.0} joins/s, {beside_others:.0} µs beside {:.0} requests/s that are reshaped; \
         {:.1} and {:.1} µs of CPU each; in the median of all half seconds {:+.1} %",
        change(at(QUIET)),
        of_room.rate(),
        of_others.rate(),
        of_room.each() * 1e6,
        of_others.each() * 1e6,
        change(at(0.5)),
    );
    section.row(
        "p99 of polls of another room during a rush on one that takes all of the core, in the quieter quarter of half seconds",
        "< 5 % more",
        measured,
        change(at(QUIET)) < 5.0,
    );
    place.end("TERM")
}

impl Beside {
    /// Polls for a turn beside as many requests as are answered.
    fn see(&mut self, place: &Place, path: &str) -> Result<()> {
        let before = place.server()?.cpu();
        let mut command = pinned(LOAD_CORE, &program("bench-load")?);
        command.args(["steady", &format!("127.0.0.1:{}", place.port), path, "--seconds", &SECONDS.to_string()]);
        command.args(["--rate", RUSH, "--arrivals", "poisson", "--connections", CONNECTIONS]);
        command.args(["--body", "{\"event_id\":\"Sample\"}"]);
        command.args(["--probe", "/wait/serving_num?event_id=Sample", "--probe-rate", POLLS]);
        let figures = Figures::read(&text(command)?)?;
        if figures.number("refused") + figures.number("failed") > 0.0 {
            bail!("not all of {path} were answered well: {figures:?}");
        }
        self.cpu += place.server()?.cpu().saturating_sub(before);
        self.requests += figures.number("beside");
        self.p99.extend(figures.numbers("p99_windows_us"));
        Ok(())
    }

    /// Requests of the load a second.
    fn rate(&self) -> f64 {
        self.requests / (f64::from(TURNS) * SECONDS)
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
