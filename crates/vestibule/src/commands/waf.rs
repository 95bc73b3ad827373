//! `vestibule waf`: what the firewall's rules say, of a request, of tests, of their own log.

mod explain;
mod report;
mod test;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use control::Configuration;
use firewall::{Config, Prepared};
use model::api::PolicyUse;
use pipeline::Policy;
use problem::{Finding, Pointer};

/// Says what the firewall's rules do: with a request, with regression tests, and with the traffic of its log.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Explain(explain::Arguments),
    Report(report::Arguments),
    Test(test::Arguments),
}

/// Does what is asked.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Explain(arguments) => explain::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Test(arguments) => test::run(arguments),
    }
}

/// A firewall of a document.
struct Found {
    /// Where it is written.
    at: Pointer,
    api: String,
    /// The condition under which it is asked.
    when: Option<String>,
    prepared: Prepared,
}

/// Which firewalls of a document are meant.
#[derive(Clone, Copy)]
enum Meant<'a> {
    /// Those of an API, and of one of its operations.
    Of(&'a str, Option<usize>),
    /// All.
    All,
}

/// The firewalls that are meant, ready to be asked.
fn firewalls(configuration: &Configuration, meant: Meant<'_>) -> Result<Vec<Found>, Vec<Finding>> {
    let (mut found, mut findings) = (Vec::new(), Vec::new());
    for (name, api) in &configuration.document.apis {
        let at = Pointer::default().at("apis").at(name);
        let mut uses: Vec<(&PolicyUse, Pointer)> = placed(&api.policies, &at);
        for (index, operation) in api.operations.iter().enumerate() {
            if matches!(meant, Meant::All) || matches!(meant, Meant::Of(_, Some(own)) if own == index) {
                uses.extend(placed(&operation.policies, &at.at("operations").at(index)));
            }
        }
        if matches!(meant, Meant::Of(wanted, _) if wanted != name) {
            continue;
        }
        for (used, at) in uses {
            match prepared(used, name, &at) {
                Ok(prepared) => found.push(Found { at, api: name.clone(), when: used.when.clone(), prepared }),
                Err(found) => findings.extend(found),
            }
        }
    }
    configuration.source.tidy(&mut findings);
    if findings.is_empty() { Ok(found) } else { Err(findings) }
}

fn placed<'a>(uses: &'a [PolicyUse], at: &Pointer) -> Vec<(&'a PolicyUse, Pointer)> {
    let name = <firewall::Waf as Policy>::NAME;
    let uses = uses.iter().enumerate().filter(|(_, used)| used.policy == name);
    uses.map(|(index, used)| (used, at.at("policies").at(index).at(name))).collect()
}

fn prepared(used: &PolicyUse, api: &str, at: &Pointer) -> Result<Prepared, Vec<Finding>> {
    let config = serde_json::from_value::<Config>(used.settings.clone());
    let config = config.map_err(|error| vec![Finding::new(at, error.to_string())])?;
    Prepared::of(&config, api, at)
}

/// Reads a document, and says what is wrong with it as other commands do.
fn open(file: &Path) -> Result<Configuration, ExitCode> {
    Configuration::open(file).map_err(|findings| crate::output::findings(&findings, false))
}
