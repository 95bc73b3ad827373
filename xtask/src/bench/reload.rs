//! Twenty reloads, and an upgrade of the binary where there is one, at 2,000 requests a second.

use super::load::{Figures, paced};
use super::peers::{Peer, Running};
use super::process::end;
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
    /// The first thing that went wrong.
    pub(crate) trouble: Option<String>,
}

/// Reloads under load; with `upgrade`, sends this signal at last, on which a new process takes over.
pub(crate) fn under_load(proxy: &Running, upgrade: Option<&str>) -> Result<Noticed> {
    let seconds = PAUSE.as_secs_f64() * f64::from(RELOADS + 5);
    let mut command: Command = paced(proxy.plain, &proxy.header, RATE, seconds)?;
    let load = command.stdout(Stdio::piped()).spawn()?;
    let written = fs::read_to_string(&proxy.config)?;
    for number in 0..RELOADS {
        sleep(PAUSE);
        change(proxy, &written, number)?;
        proxy.server.signal("HUP")?;
    }
    let mut successors = Vec::new();
    if let Some(signal) = upgrade {
        sleep(PAUSE);
        proxy.server.signal(signal)?;
        sleep(PAUSE);
        successors = proxy.server.descendants();
    }
    let took_over = upgrade.is_none() || !successors.is_empty();
    let output = load.wait_with_output()?;
    for successor in successors {
        end(successor)?;
    }
    if !output.status.success() {
        bail!("the load failed: {}", output.status);
    }
    let figures = Figures::read(&String::from_utf8_lossy(&output.stdout))?;
    Ok(Noticed {
        answered: figures.number("answered"),
        failed: figures.number("failed") + figures.number("refused"),
        reopened: figures.number("reopened"),
        p99: figures.number("p99_us"),
        trouble: if took_over {
            figures.text("trouble").map(str::to_owned)
        } else {
            Some("no new process took over".to_owned())
        },
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
