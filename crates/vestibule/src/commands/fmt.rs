//! `vestibule fmt`: documents in canonical form.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use problem::{Finding, Place, Pointer};

use crate::commands;
use crate::output::{self, FOUND, GOOD};

/// Writes documents in canonical form: indentation, spacing and quotes. Order and comments stay.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The documents.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Changes nothing, and says which documents are not in canonical form.
    #[arg(long)]
    check: bool,
}

/// What became of a file.
enum Outcome {
    /// It is in canonical form.
    Canonical,
    /// It was not.
    Differs,
}

/// Formats each file, or says what keeps it from being formatted.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut findings = Vec::new();
    let mut changed = Vec::new();
    for file in &arguments.files {
        match format(file, arguments.check) {
            Ok(Outcome::Canonical) => {}
            Ok(Outcome::Differs) => changed.push(file.display().to_string()),
            Err(found) => findings.extend(found),
        }
    }
    let verb = if arguments.check { "is not in canonical form" } else { "formatted" };
    let mut lines: Vec<_> = changed.iter().map(|file| format!("{file}: {verb}\n")).collect();
    if !findings.is_empty() {
        lines.push(output::lines(&findings));
    }
    let is_good = findings.is_empty() && (changed.is_empty() || !arguments.check);
    output::print(&lines.concat(), if is_good { GOOD } else { FOUND })
}

fn format(file: &Path, only_check: bool) -> Result<Outcome, Vec<Finding>> {
    let text = commands::text(file).map_err(|finding| vec![finding])?;
    let formatted = model::fmt::format(&text, &file.display().to_string())?;
    if formatted == text {
        return Ok(Outcome::Canonical);
    }
    if !only_check {
        replace(file, &formatted).map_err(|error| {
            let place = Some(Place { file: file.display().to_string(), line: 1, column: 1 });
            vec![Finding { at: Pointer::default(), place, message: format!("cannot be written: {error}") }]
        })?;
    }
    Ok(Outcome::Differs)
}

/// Writes beside the file and then takes its place, so that there is never half a document.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let target = fs::canonicalize(file)?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = target.with_file_name(name);
    let written = fs::write(&beside, text)
        .and_then(|()| fs::set_permissions(&beside, fs::metadata(&target)?.permissions()))
        .and_then(|()| fs::rename(&beside, &target));
    if written.is_err() {
        // The first error is the one worth telling.
        drop(fs::remove_file(&beside));
    }
    written
}
