//! Instructions in user space for each request: a figure that no neighbour on the machine can disturb.

use super::load::{Figures, bench_load, text};
use super::peers::{Peer, Running, Under};
use super::site::Site;
use crate::run::installed;
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Requests of the shorter and of the longer run; what start and stop cost drops out of the difference.
const REQUESTS: [u32; 2] = [1000, 11_000];

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
        let [few, many] = match self {
            Self::Perf => {
                let proxy = peer.start(site, Under::Nothing)?;
                REQUESTS.map(|requests| with_perf(&proxy, requests * 10))
            }
            Self::Callgrind => REQUESTS.map(|requests| with_callgrind(site, peer, requests)),
        };
        let [less, more] = REQUESTS.map(f64::from);
        let factor = if self == Self::Perf { 10.0 } else { 1.0 };
        Ok((many? - few?) / ((more - less) * factor))
    }
}

fn with_callgrind(site: &Site, peer: Peer, requests: u32) -> Result<f64> {
    let mut proxy = peer.start(site, Under::Callgrind)?;
    send(&proxy, requests)?;
    proxy.server.stop("TERM")?;
    let counts = fs::read_to_string(proxy.folder.join("callgrind")).context("callgrind left no counts")?;
    let total = counts.lines().find_map(|line| line.strip_prefix("totals: ")).context("callgrind left no total")?;
    Ok(total.trim().parse()?)
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
