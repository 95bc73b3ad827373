//! `vestibule check`: everything that is wrong with documents.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use control::Configuration;
use model::Document;
use problem::Finding;

use crate::output::{self, GOOD};

/// Says everything that is wrong with documents, each with its line and column.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The documents.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Prints JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// Reads each document and prints what is wrong, or what was read.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut findings = Vec::new();
    let mut summaries = Vec::new();
    for file in &arguments.files {
        match examine(file) {
            Ok(summary) => summaries.push(format!("{}: {summary}\n", file.display())),
            Err(found) => findings.extend(found),
        }
    }
    if !findings.is_empty() || arguments.json {
        return output::findings(&findings, arguments.json);
    }
    output::print(&summaries.concat(), GOOD)
}

/// Reads a document and does everything with it that can be done without serving it.
fn examine(file: &Path) -> Result<String, Vec<Finding>> {
    let configuration = Configuration::open(file)?;
    let findings = control::check(&configuration);
    if findings.is_empty() { Ok(summary(&configuration.document)) } else { Err(findings) }
}

/// What was read, in a line.
fn summary(document: &Document) -> String {
    let counts = [
        (document.listeners.len(), "listener", "listeners"),
        (document.upstreams.len(), "upstream", "upstreams"),
        (document.apis.len(), "api", "apis"),
        (document.products.len(), "product", "products"),
    ];
    let counts = counts.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }));
    format!("{}, no findings", counts.join(", "))
}
