//! `vestibule migrate`: the tables of a shared database, and the move from an embedded store.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use control::{Configuration, Moved, NotMigrated};
use problem::with_causes;
use store::Mode;

use crate::output::{self, FOUND, GOOD};

/// Brings the database of a document to the present version, and moves an embedded store into it.
///
/// It goes by `store.postgres`. An empty database needs no migration, a gateway makes the tables when it starts. All of it
/// is done or nothing. With `--from`, the gateway of that folder must be stopped; name the folder as `store.folder` afterwards,
/// because usage that was not added up yet is in it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The document.
    #[arg(default_value = "vestibule.yaml", value_name = "FILE")]
    file: PathBuf,
    /// Moves in what an embedded store keeps in this folder: entities, audit log, totals, statements, secrets, quotas, sessions,
    /// waiting rooms.
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Says what would be done, and takes it back.
    #[arg(long)]
    dry_run: bool,
}

/// Migrates and says what was done.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let configuration = match Configuration::open(&arguments.file) {
        Ok(configuration) => configuration,
        Err(findings) => return output::print(&output::lines(&findings), FOUND),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail(&format!("there is no runtime: {error}")),
    };
    match runtime.block_on(migrate(arguments, &configuration)) {
        Ok(said) => output::print(&said, GOOD),
        Err(error) => output::fail(&format!("nothing was migrated: {}", with_causes(&error))),
    }
}

async fn migrate(arguments: &Arguments, configuration: &Configuration) -> Result<String, NotMigrated> {
    let document = &configuration.document;
    let mode = if arguments.dry_run { Mode::Rehearsal } else { Mode::Real };
    let done = control::migrate(document, mode).await?;
    let mut said = vec![match (done.from, arguments.dry_run) {
        (from, _) if from == done.to => format!("the database is of version {from}, which is the present one"),
        (0, true) => "the database is empty, and its tables would be made".to_owned(),
        (0, false) => "the database was empty, and its tables are made".to_owned(),
        (from, true) => format!("the database would come from version {from} to {}", done.to),
        (from, false) => format!("the database comes from version {from} to {}", done.to),
    }];
    // What makes all tables is nobody's question.
    if arguments.dry_run && done.from > 0 {
        said.extend(done.steps.iter().map(ToString::to_string));
    }
    match &arguments.from {
        None => {}
        Some(from) => {
            let Moved { filled, secrets, counters, sessions, rooms } = control::move_in(document, from, mode).await?;
            let moved = if arguments.dry_run { "would be moved" } else { "were moved" };
            said.push(format!(
                "{} entities, {} lines of the audit log, {} sums of usage, {} statements, {secrets} secrets, \
                 {counters} open counters of quotas, {sessions} sessions and {rooms} waiting rooms {moved} from {}",
                filled.entities,
                filled.notes,
                filled.sums,
                filled.statements,
                from.display()
            ));
            if !arguments.dry_run {
                said.push(
                    "name this folder as `store.folder` now: usage that was not added up yet is in it".to_owned(),
                );
            }
        }
    }
    Ok(said.join("\n") + "\n")
}
