//! Instructions in user space for each request: a figure that no neighbour on the machine can disturb.

use super::load::{Figures, bench_load, text};
use super::peers::{Peer, Running, Under};
use super::site::Site;
use anyhow::{Context, Result, bail};
use programs::run::installed;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Requests that are not counted, for a proxy to come to its pace, and those that are.
const WARM: u32 = 1000;
const COUNTED: u32 = 10_000;

/// How instructions are counted on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    Perf,
    Callgrind,
}

impl Counter {
    /// Virtual machines often have no hardware counters; callgrind counts anywhere.
    pub(crate) fn available() -> Self {
        let tried = Command::new("perf").args(["stat", "-x,", "-e", "instructions:u", "true"]).output();
        let counts = tried.is_ok_and(|output| counted(&String::from_utf8_lossy(&output.stderr)).is_some());
        if counts { Self::Perf } else { Self::Callgrind }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf",
            Self::Callgrind => "callgrind",
        }
    }

    /// Whether the peer can be counted: Go programs and Envoy do not come up under callgrind.
    pub(crate) fn can_count(self, peer: Peer) -> bool {
        self == Self::Perf || !["envoy", "caddy"].contains(&peer.product())
    }

    /// Instructions for each request of 1 KiB, sixteen connections.
    pub(crate) fn per_request(self, site: &Site, peer: Peer) -> Result<f64> {
        match self {
            Self::Perf => {
                let proxy = peer.start(site, Under::Nothing)?;
                send(&proxy, WARM)?;
                let (less, more) = (with_perf(&proxy, COUNTED)?, with_perf(&proxy, 11 * COUNTED)?);
                // What perf sees of its own beginning drops out.
                Ok((more - less) / f64::from(10 * COUNTED))
            }
            Self::Callgrind => Ok(with_callgrind(site, peer)? / f64::from(COUNTED)),
        }
    }
}

/// Only requests are counted, not the start: that gathers entropy, which takes a different number of instructions each time.
fn with_callgrind(site: &Site, peer: Peer) -> Result<f64> {
    let mut proxy = peer.start(site, Under::Callgrind)?;
    let control = |what: &str| {
        let id = proxy.server.id().to_string();
        let done = Command::new("callgrind_control").args([what, &id]).output().context("callgrind_control")?;
        if !done.status.success() {
            bail!("callgrind_control {what} said: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    };
    send(&proxy, WARM)?;
    control("--zero")?;
    send(&proxy, COUNTED)?;
    control("--dump")?;
    let counts = fs::read_to_string(proxy.folder.join("callgrind.1")).context("callgrind left no counts")?;
    let total = counts.lines().find_map(|line| line.strip_prefix("totals: ")).context("callgrind left no total")?;
    let total = total.trim().parse()?;
    proxy.server.stop("TERM")?;
    Ok(total)
}

fn with_perf(proxy: &Running, requests: u32) -> Result<f64> {
    let mut command = Command::new(installed("perf").context("perf is not installed")?);
    command.args(["stat", "-x,", "-e", "instructions:u", "-p", &proxy.server.id().to_string()]);
    let mut perf = command.stderr(Stdio::piped()).spawn()?;
    // perf does not tell when it has begun.
    sleep(Duration::from_millis(300));
    send(proxy, requests)?;
    let status = Command::new("kill").args(["-INT", &perf.id().to_string()]).status()?;
    let mut said = String::new();
    if let Some(errors) = perf.stderr.as_mut() {
        std::io::Read::read_to_string(errors, &mut said)?;
    }
    perf.wait()?;
    counted(&said).with_context(|| format!("perf ({status}) said:\n{said}"))
}

/// The number in the line of perf's table.
fn counted(table: &str) -> Option<f64> {
    table.lines().find(|line| line.contains("instructions"))?.split(',').next()?.parse().ok()
}

fn send(proxy: &Running, requests: u32) -> Result<()> {
    let mut command = bench_load("count", proxy.plain, &proxy.header)?;
    command.args(["--connections", "16", "--requests", &requests.to_string()]);
    let answered = Figures::read(&text(command)?)?.number("answered");
    if answered < f64::from(requests) {
        bail!("{} answered {answered} of {requests} requests", proxy.peer.name());
    }
    Ok(())
}
