//! `vestibule check`: everything that is wrong with documents.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use control::{Checked, Configuration};
use model::Document;
use problem::Finding;
use serde_json::json;

use crate::output::{self, FOUND, GOOD};

/// Says everything that is wrong with documents, each with its line and column.
///
/// Remarks say what is to be known and is no mistake, such as rules of the firewall that are left out.
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
    let mut all = Checked::default();
    let mut summaries = Vec::new();
    for file in &arguments.files {
        let (checked, summary) = examine(file);
        summaries.extend(summary.filter(|_| checked.findings.is_empty()));
        all.findings.extend(checked.findings);
        all.remarks.extend(checked.remarks);
    }
    let Checked { findings, remarks } = all;
    if arguments.json {
        let code = if findings.is_empty() { GOOD } else { FOUND };
        let as_json = |all: &[Finding]| all.iter().map(output::as_json).collect::<Vec<_>>();
        let told = json!({ "findings": as_json(&findings), "remarks": as_json(&remarks) });
        return output::print(&format!("{told}\n"), code);
    }
    let told = |remark: Finding| Finding { message: format!("remark: {}\n", remark.message), ..remark }.to_string();
    let remarks: String = remarks.into_iter().map(told).collect();
    if findings.is_empty() {
        return output::print(&[remarks, summaries.concat()].concat(), GOOD);
    }
    output::print(&[remarks, output::lines(&findings)].concat(), FOUND)
}

/// Reads a document and does everything with it that can be done without serving it. The line sums it up, if it could be read.
fn examine(file: &Path) -> (Checked, Option<String>) {
    match Configuration::open(file) {
        Ok(configuration) => {
            let checked = control::check(&configuration);
            let summary = summary(&configuration.document, checked.remarks.len());
            (checked, Some(format!("{}: {summary}\n", file.display())))
        }
        Err(findings) => (Checked { findings, ..Checked::default() }, None),
    }
}

/// What was read, in a line.
fn summary(document: &Document, remarks: usize) -> String {
    let counts = [
        (document.listeners.len(), "listener", "listeners"),
        (document.upstreams.len(), "upstream", "upstreams"),
        (document.apis.len(), "api", "apis"),
        (document.products.len(), "product", "products"),
    ];
    let counts = counts.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }));
    let remarks = match remarks {
        0 => String::new(),
        1 => ", 1 remark".to_owned(),
        _ => format!(", {remarks} remarks"),
    };
    format!("{}, no findings{remarks}", counts.join(", "))
}
