//! `vestibule waf report`: the rules that match most, and those that probably stop what is meant to pass.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use firewall::Report;

use crate::output::{self, FOUND, GOOD};

/// Says which rules match most, and which of them probably stop what is meant to pass, with the exclusion to paste.
///
/// It reads the firewall's audit log: `logs: [{file: {path: waf.log, format: firewall}}]`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Files of the audit log.
    #[arg(required = true, value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// How many rules are told.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    top: usize,
    /// Prints JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// Reads the logs and tells.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut report = Report::default();
    for path in &arguments.logs {
        let read = File::open(path).and_then(|file| {
            let mut lines = BufReader::new(file).split(b'\n');
            lines.try_for_each(|line| line.map(|line| report.take(&line)))
        });
        if let Err(error) = read {
            return output::fail(&format!("{} cannot be read: {error}", path.display()));
        }
    }
    if report.is_empty() {
        return output::print("no record of the firewall is in there: is it a log with `format: firewall`?\n", FOUND);
    }
    if arguments.json {
        return output::print(&format!("{:#}\n", report.as_json(arguments.top)), GOOD);
    }
    output::print(&report.text(arguments.top), GOOD)
}
