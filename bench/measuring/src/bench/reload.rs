//! Twenty reloads, and an upgrade of the binary where there is one, at 2,000 requests a second.

use super::load::{Figures, paced};
use super::peers::{Peer, Running};
use super::successor::Succession;
use anyhow::{Result, bail};
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const RELOADS: u32 = 20;
const RATE: f64 = 2000.0;
/// Between two reloads.
const PAUSE: Duration = Duration::from_millis(400);

/// What clients noticed.
#[derive(Debug)]
pub(crate) struct Noticed {
    pub(crate) answered: f64,
    /// Without a good answer.
    pub(crate) failed: f64,
    /// Connections that were closed in an orderly way.
    pub(crate) reopened: f64,
    pub(crate) p99: f64,
    /// From the order to the moment when only the new process listened; none without an upgrade.
    pub(crate) upgrade: Option<Duration>,
    /// The first thing that went wrong.
    pub(crate) trouble: Option<String>,
}

/// How long a successor may take to come up and the old process to hand on its connections, on a busy core.
const TAKING_OVER: Duration = Duration::from_secs(10);

/// Reloads under load; with `upgrade`, sends this signal at last, on which a new process takes over while load goes on.
pub(crate) fn under_load(proxy: &Running, upgrade: Option<&str>) -> Result<Noticed> {
    let reloading = PAUSE * (RELOADS + 3);
    let lasting = if upgrade.is_some() { reloading + TAKING_OVER } else { reloading };
    let mut command: Command = paced(proxy.plain, &proxy.header, RATE, lasting.as_secs_f64())?;
    let load = command.stdout(Stdio::piped()).spawn()?;
    let written = fs::read_to_string(&proxy.config)?;
    for number in 0..RELOADS {
        sleep(PAUSE);
        change(proxy, &written, number)?;
        proxy.server.signal("HUP")?;
    }
    sleep(PAUSE);
    let succession = Succession::of(proxy.plain, proxy.server.id());
    let taken_over = upgrade.map(|signal| {
        proxy.server.signal(signal)?;
        succession.wait(TAKING_OVER)
    });
    let output = load.wait_with_output()?;
    drop(succession);
    if !output.status.success() {
        bail!("the load failed: {}", output.status);
    }
    let figures = Figures::read(&String::from_utf8_lossy(&output.stdout))?;
    let trouble = match &taken_over {
        Some(Err(error)) => Some(format!("no new process took over: {error:#}")),
        _ => figures.text("trouble").map(str::to_owned),
    };
    Ok(Noticed {
        answered: figures.number("answered"),
        failed: figures.number("failed") + figures.number("refused"),
        reopened: figures.number("reopened"),
        p99: figures.number("p99_us"),
        upgrade: taken_over.and_then(Result::ok),
        trouble,
    })
}

/// Gives every second reload one route more, because a gateway may skip a document that it serves already.
fn change(proxy: &Running, written: &str, number: u32) -> Result<()> {
    if proxy.peer != Peer::Vestibule {
        return Ok(());
    }
    let more = if number.is_multiple_of(2) { "  more: {match: {path: /more}, upstream: backend}\n" } else { "" };
    let beside = proxy.config.with_extension("new");
    fs::write(&beside, format!("{written}{more}"))?;
    fs::rename(beside, &proxy.config)?;
    Ok(())
}
