//! `vestibule diff`: what is different between two documents.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use model::diff::{Change, diff};
use serde_json::json;

use crate::output::{self, GOOD};
use crate::{catalog, commands};

/// Says what is different between two documents, in what they mean.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The document as it was.
    old: PathBuf,
    /// The document as it is to be.
    new: PathBuf,
    /// Prints JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// Prints a line for each difference. Differences are no mistake: the exit code is 0 if both documents can be read.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let schema = catalog::schema();
    let (old, new) = match (commands::open(&arguments.old, &schema), commands::open(&arguments.new, &schema)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            let findings: Vec<_> = [old.err(), new.err()].into_iter().flatten().flatten().collect();
            return output::findings(&findings, arguments.json);
        }
    };
    let changes = diff((&old.0, &old.1), (&new.0, &new.1));
    if arguments.json {
        let changes: Vec<_> = changes.iter().map(Change::as_json).collect();
        return output::print(&format!("{}\n", json!({ "changes": changes })), GOOD);
    }
    if changes.is_empty() {
        return output::print("no differences\n", GOOD);
    }
    let lines: Vec<_> = changes.iter().map(|change| format!("{change}\n")).collect();
    output::print(&lines.concat(), GOOD)
}
