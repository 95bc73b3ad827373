//! `cargo xtask bench room`: waiting rooms under load, one core for the gateway, in tables of what was promised and measured.

mod arrivals;
mod audience;
mod beside;
mod idle;
mod joins;
pub(crate) mod place;
mod watchers;

use crate::trial::report::Section;
use crate::trial::scene::build;
use anyhow::{Result, bail};
use joins::TURNS;
use place::{CONNECTIONS, SECONDS};
use programs::run::root;
use std::fs;

/// What can be measured: its name, and what measures it.
type Case = (&'static str, fn(&mut Section) -> Result<()>);

const CASES: &[Case] = &[
    ("joins", joins::run),
    ("arrivals", arrivals::run),
    ("watchers", watchers::run),
    ("idle", idle::run),
    ("beside", beside::run),
];

/// Measures these cases, or all. All of them are the report.
pub fn bench(names: &[&str]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| CASES.iter().all(|(known, _)| known != *name)) {
        let known: Vec<_> = CASES.iter().map(|(name, _)| *name).collect();
        bail!("there is no case `{unknown}` of rooms; there are: {}", known.join(" "));
    }
    build()?;
    let mut section = Section::new(
        "Waiting rooms under load",
        format!(
            "The release build on one core, with one worker; load on the other core. Joins and polls by wrk, {CONNECTIONS} \
             connections that ask as fast as they are answered, {SECONDS} s each, {TURNS} times in turns: of each the one in the \
             middle is told, by its rate. Whoever watches on a connection of their own has received a tick when their kernel has \
             (`SO_TIMESTAMPNS`): one process reads for all of them, and is behind."
        ),
    );
    for (_, measure) in CASES.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        measure(&mut section)?;
    }
    println!("{}", section.text());
    if names.is_empty() {
        let head = "# Waiting rooms\n\nWritten by `cargo xtask bench room`, on one machine over loopback.\n\n";
        fs::write(root()?.join("bench/ROOM.md"), format!("{head}{}", section.text()))?;
    }
    Ok(())
}
