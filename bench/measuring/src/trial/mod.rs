//! `cargo xtask trial`: hard times for a gateway as its operators run it, and what its clients noticed.
//!
//! A trial takes minutes and measures; what must hold on every change is in `crates/acceptance`.

mod adaptive;
mod billing;
mod cluster;
mod fairness;
mod faults;
mod http2;
mod keys;
mod kill;
mod overload;
mod record_source;
pub(crate) mod report;
mod revoke;
mod room;
mod room_cluster;
mod room_rush;
pub(crate) mod scene;
mod sessions;
mod sink;
mod slow;
mod stage;
mod upstream;
mod waf;
mod waf_cluster;
mod websocket;

use anyhow::{Result, bail};
use programs::run::root;
use std::fs;

/// A trial: its name on the command line, and what runs it and tells what was found.
#[derive(Debug, Clone, Copy)]
struct Trial {
    name: &'static str,
    run: fn() -> Result<report::Section>,
}

/// All trials, in the order of the report.
const TRIALS: &[Trial] = &[
    Trial { name: "upstream", run: upstream::run },
    Trial { name: "overload", run: overload::run },
    Trial { name: "faults", run: faults::run },
    Trial { name: "websocket", run: websocket::websocket },
    Trial { name: "kill", run: kill::run },
    Trial { name: "slow", run: slow::run },
    Trial { name: "http2", run: http2::floods },
    Trial { name: "billing", run: billing::run },
    Trial { name: "sink", run: sink::run },
    Trial { name: "record-source", run: record_source::run },
    Trial { name: "revoke", run: revoke::run },
    Trial { name: "revoke-everywhere", run: revoke::run_on_several },
    Trial { name: "cluster", run: cluster::run },
    Trial { name: "sessions", run: sessions::run },
    Trial { name: "room", run: room::run },
    Trial { name: "room-cluster", run: room_cluster::run },
    Trial { name: "fairness", run: fairness::run },
    Trial { name: "adaptive", run: adaptive::run },
    Trial { name: "million-keys", run: keys::million },
    Trial { name: "key-timing", run: keys::timing },
    Trial { name: "waf", run: waf::run },
    Trial { name: "waf-cluster", run: waf_cluster::run },
];

/// Runs trials by name, and writes each one's section of the report.
pub fn trial(names: &[&str]) -> Result<()> {
    let known = || TRIALS.iter().map(|trial| trial.name).collect::<Vec<_>>().join(" ");
    if names.is_empty() {
        bail!("name a trial: {}", known());
    }
    let file = root()?.join("bench/TRIALS.md");
    for name in names {
        let Some(trial) = TRIALS.iter().find(|trial| trial.name == *name) else {
            bail!("there is no trial `{name}`; there are: {}", known());
        };
        let section = (trial.run)()?;
        println!("{}", section.text());
        let before = fs::read_to_string(&file).unwrap_or_default();
        let order: Vec<&str> = TRIALS.iter().map(|trial| trial.name).collect();
        fs::write(&file, report::with(&before, trial.name, &section, &order))?;
    }
    Ok(())
}
