//! Visitors who watch a room, each on a connection: what one costs, and how soon a tick reaches all.

use super::place::Place;
use crate::trial::report::Section;
use crate::trial::scene::program;
use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, pinned};
use programs::run::output;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// As many as are promised, if this machine allows so many descriptors of a process.
const WATCHERS: u64 = 100_000;
/// Descriptors that the gateway needs beside; half of all it keeps for connections to backends.
const BESIDE: u64 = 200;
/// Ticks that are measured.
const TICKS: u32 = 5;
/// Watchers on a connection of HTTP/2.
const EACH: u64 = 100;

pub(super) fn run(section: &mut Section) -> Result<()> {
    let allowed: u64 = output("sh", &["-c", "ulimit -Hn"])?.trim().parse().unwrap_or(u64::MAX);
    watched(section, WATCHERS.min((allowed / 2).saturating_sub(BESIDE)), None)?;
    // More than this machine may have connections.
    watched(section, WATCHERS, Some(EACH))
}

fn watched(section: &mut Section, watchers: u64, together: Option<u64>) -> Result<()> {
    let by = together.map_or_else(|| "a connection each".to_owned(), |each| format!("HTTP/2, {each} on a connection"));
    let mut place = Place::make("room-watchers")?;
    place.start()?;
    // What the first connections need once is not counted.
    let _warm = place.rush("/wait/serving_num?event_id=Sample", "")?;
    let before = place.server()?.resident();
    let mut all = Watchers::start(&place, watchers, together)?;
    sleep(Duration::from_secs(2));
    let each = place.server()?.resident().saturating_sub(before) / watchers;
    let Ticks { slowest, cpu, ended } = all.ticks(&place)?;
    let of_all = as_float(WATCHERS) / as_float(watchers);
    let scaled = Duration::from_micros(slowest).mul_f64(of_all);
    let measured = format!("{:.1} KiB each, {watchers} in one process", as_float(each) / 1024.0);
    section.row(
        format!("memory of the process for an idle watcher, {by}"),
        "≤ 20 KiB",
        measured,
        each <= 20 * 1024 && ended == 0,
    );
    let measured = format!(
        "{:.0} ms from the first to the last of {watchers} ({:.0} ms for {WATCHERS}), {:.0} ms of CPU of the gateway, {ended} cut",
        as_float(slowest) / 1000.0,
        scaled.as_secs_f64() * 1000.0,
        cpu.as_secs_f64() * 1000.0
    );
    section.row(
        format!("a tick until it reached all watchers, {by}"),
        "< 1 s for 100,000 on one core",
        measured,
        // Streams of one connection are all made ready before the first is written, which is a part of the tick, too.
        scaled.max(if together.is_some() { cpu } else { Duration::ZERO }) < Duration::from_secs(1),
    );
    if together.is_none() {
        let elsewhere = Elsewhere::receive()?;
        let cpu = all.ticks(&place)?.cpu.mul_f64(of_all);
        drop(elsewhere);
        section.row(
            format!("CPU of the gateway for a tick, {by}, while the other core receives what comes over loopback"),
            "< 1 s for 100,000",
            format!("{:.0} ms for {WATCHERS}", cpu.as_secs_f64() * 1000.0),
            cpu < Duration::from_secs(1),
        );
    }
    all.end()?;
    place.end("TERM")
}

/// Those who watch, in a process of their own.
struct Watchers {
    child: Child,
    told: BufReader<ChildStdout>,
    serving: u64,
}

impl Watchers {
    /// Returns when all of them watch.
    fn start(place: &Place, watchers: u64, together: Option<u64>) -> Result<Self> {
        let mut command = pinned(LOAD_CORE, &program("bench-watchers")?);
        command.arg(format!("127.0.0.1:{}", place.port)).arg("/wait/watch?event_id=Sample");
        command.args(["--watchers", &watchers.to_string()]);
        if let Some(each) = together {
            command.args(["--each", &each.to_string()]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let told = BufReader::new(child.stdout.take().context("it has an output")?);
        let mut all = Self { child, told, serving: 0 };
        all.next()?;
        Ok(all)
    }

    fn next(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.told.read_line(&mut line)? == 0 {
            bail!("the watchers ended");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Lets somebody in some times, and has all of them hear of it.
    fn ticks(&mut self, place: &Place) -> Result<Ticks> {
        let mut ticks = Ticks { slowest: 0, cpu: Duration::ZERO, ended: 0 };
        for _ in 0..TICKS {
            self.serving += 1;
            let spent = place.server()?.cpu();
            place.move_by("sale", 1)?;
            let heard = self.next()?;
            let number = |name: &str| heard.get(name).and_then(Value::as_u64).unwrap_or_default();
            if number("serving") != self.serving {
                bail!("they heard of {heard}");
            }
            ticks.slowest = ticks.slowest.max(number("last") - number("first"));
            ticks.cpu = ticks.cpu.max(place.server()?.cpu().saturating_sub(spent));
            ticks.ended = number("ended");
        }
        Ok(ticks)
    }

    fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        Ok(())
    }
}

/// What was seen of some ticks: the slowest, in microseconds, the most processor time of one, and how many were cut.
struct Ticks {
    slowest: u64,
    cpu: Duration,
    ended: u64,
}

/// While it lives, the kernel receives what comes over loopback on the core of the load. Otherwise it does so on the core
/// of whoever sends, where over a network another machine would.
struct Elsewhere(String);

impl Elsewhere {
    fn receive() -> Result<Self> {
        let before = fs::read_to_string(RECEIVERS).context("this kernel cannot spread what it receives")?;
        fs::write(RECEIVERS, format!("{:x}", 1 << LOAD_CORE.0)).context("who measures this has to be root")?;
        Ok(Self(before.trim().to_owned()))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Err(cause) = fs::write(RECEIVERS, &self.0) {
            eprintln!("{RECEIVERS} is to be {} again: {cause}", self.0);
        }
    }
}

/// The cores that receive what comes over loopback, as bits.
const RECEIVERS: &str = "/sys/class/net/lo/queues/rx-0/rps_cpus";

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn as_float(count: u64) -> f64 {
    count as f64
}
