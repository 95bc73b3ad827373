//! `vestibule diff`: what is different between two documents.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use model::diff::{Change, diff};
use problem::{Finding, Pointer};
use serde_json::{Value, json};

use crate::commands::admin;
use crate::commands::admin::call::{Answer, Call};
use crate::commands::admin::place;
use crate::output::{self, GOOD};
use crate::{catalog, commands};

/// Says what is different between two documents, in what they mean.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The document as it was; with `--running`, as it is to be.
    old: PathBuf,
    /// The document as it is to be.
    #[arg(required_unless_present = "running", conflicts_with = "running")]
    new: Option<PathBuf>,
    /// Compares with what the running gateway serves, instead of another document.
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    whereabouts: place::Whereabouts,
    /// Prints JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// Prints a line for each difference. Differences are no mistake: the exit code is 0 if both documents can be read.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let changes = match &arguments.new {
        Some(new) => between(&arguments.old, new),
        None => match with_running(&arguments.whereabouts, &arguments.old) {
            Ok(changes) => Ok(changes),
            Err(reason) => return output::fail(&reason),
        },
    };
    let changes = match changes {
        Ok(changes) => changes,
        Err(findings) => return output::findings(&findings, arguments.json),
    };
    if arguments.json {
        return output::print(&format!("{}\n", json!({ "changes": changes.json })), GOOD);
    }
    if changes.lines.is_empty() {
        return output::print("no differences\n", GOOD);
    }
    output::print(&changes.lines.concat(), GOOD)
}

/// Differences, for machines and for people.
struct Changes {
    json: Vec<Value>,
    lines: Vec<String>,
}

fn between(old: &Path, new: &Path) -> Result<Changes, Vec<Finding>> {
    let schema = catalog::schema();
    let (old, new) = match (commands::open(old, &schema), commands::open(new, &schema)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => return Err([old.err(), new.err()].into_iter().flatten().flatten().collect()),
    };
    let changes = diff((&old.0, &old.1), (&new.0, &new.1));
    Ok(Changes {
        json: changes.iter().map(Change::as_json).collect(),
        lines: changes.iter().map(|change| format!("{change}\n")).collect(),
    })
}

/// Asks the gateway what the document would change there: only it knows what its references give.
fn with_running(whereabouts: &place::Whereabouts, document: &Path) -> Result<Changes, String> {
    let (_, source) = commands::open(document, &catalog::schema()).map_err(|found| output::lines(&found))?;
    let written = source.written(&Pointer::default()).unwrap_or_default();
    let call = Call { target: "/config?dry_run=true".to_owned(), ..Call::put(&[], written, Answer::One) };
    let mut answer = admin::ask(whereabouts, &call)?;
    let changes = answer.get_mut("changes").map(Value::take);
    let Some(Value::Array(json)) = changes else { return Err("the gateway names no changes".to_owned()) };
    let lines = json.iter().map(line).collect();
    Ok(Changes { json, lines })
}

/// A change as the gateway tells it, in the words of [`Change`].
fn line(change: &Value) -> String {
    let part = |name: &str| change.get(name).unwrap_or(&Value::Null);
    let at = part("pointer").as_str().unwrap_or_default();
    match part("change").as_str().unwrap_or_default() {
        "added" => format!("+ {at}: {}\n", part("new")),
        "removed" => format!("- {at}: {}\n", part("old")),
        "changed" => format!("~ {at}: {} is now {}\n", part("old"), part("new")),
        _ => format!("~ {at}: {} stands for something else now\n", part("reference")),
    }
}
