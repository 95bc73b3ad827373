//! Visitors who watch a room: what one costs, and how soon a tick reaches all, beside others who tell many.
//!
//! With a connection each, a watcher is reached when the kernel receives what it is told: they are machines of their own, and
//! what one thread that reads for all of them has yet to read is not the server's doing.

use super::audience::{Audience, NCHAN, Teller};
use crate::trial::report::Section;
use anyhow::{Context, Result};
use programs::packages::{Needed, provide};
use programs::process::LOAD_CORE;
use programs::run::output;
use std::fs;
use std::time::Duration;

/// As many as are promised, if this machine allows so many descriptors of a process.
const WATCHERS: u64 = 100_000;
/// Descriptors that the gateway needs beside; half of all it keeps for connections to backends.
const BESIDE: u64 = 200;
/// Ticks that are measured: the one in the middle counts, as the machine's speed differs by half from one to the next.
const TICKS: usize = 9;
/// Watchers on a connection of HTTP/2.
const EACH: u64 = 100;
/// What is promised for all of them.
const SOON: Duration = Duration::from_secs(1);

pub(super) fn run(section: &mut Section) -> Result<()> {
    provide(&[
        Needed { sign: "nginx", package: "nginx" },
        Needed { sign: NCHAN, package: "libnginx-mod-nchan" },
        Needed { sign: "curl", package: "curl" },
    ])?;
    let allowed: u64 = output("sh", &["-c", "ulimit -Hn"])?.trim().parse().unwrap_or(u64::MAX);
    one_each(section, WATCHERS.min((allowed / 2).saturating_sub(BESIDE)))?;
    // More than this machine may have connections.
    together(section)
}

/// A connection each.
fn one_each(section: &mut Section, watchers: u64) -> Result<()> {
    let mut all = [
        Audience::gather(Teller::vestibule()?, watchers, None)?,
        Audience::gather(Teller::nchan()?, watchers, None)?,
        Audience::gather(Teller::bare()?, watchers, None)?,
    ];
    let [each, beside, _] = all.each_ref().map(|audience| kibibytes(audience.each));
    section.row(
        "memory of the process for an idle watcher, a connection each",
        "≤ 20 KiB",
        format!("{each:.1} KiB each, {watchers} in one process; nginx with Nchan {beside:.1}"),
        each <= 20.0,
    );

    let elsewhere = Elsewhere::receive()?;
    let [(soon, slowest), (nchan, _), (bare, _)] = in_turns(&mut all)?;
    drop(elsewhere);
    let [vestibule, ..] = &all;
    let (cpu, _) = vestibule.middle(|tick| tick.cpu, WATCHERS);
    let ended = vestibule.ended();
    section.row(
        "a tick until all watchers received it, a connection each; the other core receives, as another machine would",
        "< 1 s for 100,000 on one core",
        format!(
            "{} from the first to the last of {WATCHERS}, reckoned from {watchers}; the slowest of {TICKS} {}; {} of CPU of \
             the gateway; {ended} cut. nginx with Nchan {}, a bare loop of `send` {}",
            millis(soon),
            millis(slowest),
            millis(cpu),
            millis(nchan),
            millis(bare)
        ),
        // Who is told first is not told at once, which is a part of the tick, too.
        soon.max(cpu) < SOON && ended == 0,
    );

    let [(soon, slowest), (nchan, _), (bare, _)] = in_turns(&mut all)?;
    section.row(
        "the same while the core that sends receives, too, as loopback has it",
        "no more than nginx with Nchan",
        format!(
            "{}, the slowest {}; nginx with Nchan {}, a bare loop of `send` {}",
            millis(soon),
            millis(slowest),
            millis(nchan),
            millis(bare)
        ),
        soon <= nchan,
    );
    all.into_iter().try_for_each(Audience::end)
}

/// Many on each connection.
fn together(section: &mut Section) -> Result<()> {
    let mut all = Audience::gather(Teller::vestibule()?, WATCHERS, Some(EACH))?;
    let each = kibibytes(all.each);
    section.row(
        format!("memory of the process for an idle watcher, HTTP/2, {EACH} on a connection"),
        "≤ 20 KiB",
        format!("{each:.1} KiB each, {WATCHERS} in one process"),
        each <= 20.0,
    );
    let [(soon, slowest)] = in_turns(std::array::from_mut(&mut all))?;
    let ((cpu, _), ended) = (all.middle(|tick| tick.cpu, WATCHERS), all.ended());
    section.row(
        format!("a tick until all watchers read it, HTTP/2, {EACH} on a connection"),
        "< 1 s for 100,000 on one core",
        format!(
            "{} from the first to the last, the slowest of {TICKS} {}; {} of CPU of the gateway; {ended} cut",
            millis(soon),
            millis(slowest),
            millis(cpu)
        ),
        // Streams of one connection are all made ready before the first is written, which is a part of the tick, too.
        soon.max(cpu) < SOON && ended == 0,
    );
    all.end()
}

/// Has all of them hear of changes in turns; of each, how long it took from the first to the last who heard of it, for as many
/// as are promised: in the middle, and at most.
fn in_turns<const COUNT: usize>(all: &mut [Audience; COUNT]) -> Result<[(Duration, Duration); COUNT]> {
    for audience in &mut *all {
        audience.ticks.clear();
    }
    for _ in 0..TICKS {
        all.iter_mut().try_for_each(Audience::tick)?;
    }
    Ok(all.each_ref().map(|audience| audience.middle(|tick| tick.took, WATCHERS)))
}

/// While it lives, the kernel receives what comes over loopback on the core of the load, and lets none of it fall. Otherwise
/// it does so on the core of whoever sends, where over a network another machine would.
struct Elsewhere([(&'static str, String); 2]);

impl Elsewhere {
    fn receive() -> Result<Self> {
        let before = |setting| fs::read_to_string(setting).context("this kernel cannot spread what it receives");
        let all = Self([(RECEIVERS, before(RECEIVERS)?), (BACKLOG, before(BACKLOG)?)]);
        for (setting, value) in [(RECEIVERS, format!("{:x}", 1 << LOAD_CORE.0)), (BACKLOG, WATCHERS.to_string())] {
            fs::write(setting, value).context("who measures this has to be root")?;
        }
        Ok(all)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        for (setting, before) in &self.0 {
            if let Err(cause) = fs::write(setting, before.trim()) {
                eprintln!("{setting} is to be {} again: {cause}", before.trim());
            }
        }
    }
}

/// The cores that receive what comes over loopback, as bits.
const RECEIVERS: &str = "/sys/class/net/lo/queues/rx-0/rps_cpus";
/// How much of it may wait for another core.
const BACKLOG: &str = "/proc/sys/net/core/netdev_max_backlog";

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn kibibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
