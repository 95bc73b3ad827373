//! Memory of connections that wait: resident memory before and after 2,000 of them, each answered once.

use super::load::bench_load;
use super::peers::{Peer, Running, Under};
use super::site::Site;
use anyhow::{Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const CONNECTIONS: u32 = 2000;

/// How the connections are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    Plain,
    Tls,
}

/// Bytes of resident memory for each idle connection of a fresh process.
pub(crate) fn per_connection(site: &Site, peer: Peer, wire: Wire) -> Result<f64> {
    let proxy = peer.start(site, Under::Nothing)?;
    // What the first connections need once is not counted.
    held(site, &proxy, wire, 50)?;
    let before = proxy.server.resident();
    let after = held(site, &proxy, wire, CONNECTIONS)?;
    #[expect(clippy::cast_precision_loss, reason = "memory far below 2^52 bytes")]
    let grown = after.saturating_sub(before) as f64;
    Ok(grown / f64::from(CONNECTIONS))
}

/// Opens connections, answers the proxy's resident memory while they are held, and closes them.
fn held(site: &Site, proxy: &Running, wire: Wire, connections: u32) -> Result<u64> {
    let mut command: Command = match wire {
        Wire::Plain => bench_load("idle", proxy.plain, &proxy.header)?,
        Wire::Tls => bench_load("idle", proxy.tls, &proxy.header)?,
    };
    command.args(["--connections", &connections.to_string()]);
    if wire == Wire::Tls {
        command.arg("--tls").arg(&site.certificate);
    }
    let mut load = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    if let Some(output) = load.stdout.as_mut() {
        BufReader::new(output).read_line(&mut said)?;
    }
    sleep(Duration::from_millis(500));
    let resident = proxy.server.resident();
    drop(load.stdin.take());
    if !load.wait()?.success() {
        bail!("{} connections with {} could not be held", connections, proxy.peer.name());
    }
    Ok(resident)
}
