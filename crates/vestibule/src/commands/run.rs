//! `vestibule run`: serves a document until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use control::{Configuration, StartError};
use telemetry::logging::{Form, Log};

use crate::handover::{self, Passed, Succession};
use crate::output::{self, GOOD};
use crate::serving::Serving;

/// Threads for everything that is not traffic.
const THREADS: usize = 2;

/// Serves a document until it is told to stop.
///
/// SIGHUP reads the file again, SIGTERM and Ctrl-C end what is under way and stop, SIGUSR2 starts the program anew and
/// hands the listening sockets over to it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The document.
    #[arg(default_value = "vestibule.yaml", value_name = "FILE")]
    file: PathBuf,
}

/// Runs until the end.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let configuration = match Configuration::open(&arguments.file) {
        Ok(configuration) => configuration,
        Err(findings) => return output::refuse(&findings),
    };
    let log = match start_log(&configuration) {
        Ok(log) => log,
        Err(error) => return output::fail(&format!("the log cannot be started: {error}")),
    };
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let code = match runtime {
        Ok(runtime) => runtime.block_on(serve(configuration, arguments.file.clone())),
        Err(error) => output::fail(&format!("no threads can be started: {error}")),
    };
    log.close(Duration::from_secs(1));
    code
}

/// Takes as many descriptors as the system lets this process have: shells and service managers begin with few.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of descriptors could not be raised");
    }
}

fn start_log(configuration: &Configuration) -> Result<Log, telemetry::logging::Error> {
    let diagnostics = &configuration.document.diagnostics;
    let level = match diagnostics.level {
        model::document::Level::Error => "error",
        model::document::Level::Warn => "warn",
        model::document::Level::Info => "info",
        model::document::Level::Debug => "debug",
    };
    let form = match diagnostics.format {
        model::document::DiagnosticsFormat::Text => Form::Text,
        model::document::DiagnosticsFormat::Json => Form::Json,
    };
    Log::start(level, form)
}

async fn serve(configuration: Configuration, file: PathBuf) -> ExitCode {
    let serving = match start(configuration, file).await {
        Ok(serving) => serving,
        Err(StartError::Findings(findings)) => return output::refuse(&findings),
        Err(error) => return output::fail(&error.to_string()),
    };
    handover::tell_predecessor();
    serving.until_stopped().await;
    GOOD.into()
}

/// Starts a node, with the sockets of a predecessor if there are any.
async fn start(configuration: Configuration, file: PathBuf) -> Result<Serving, StartError> {
    Serving::start(configuration, Some(file), Passed::take()?, Succession::Possible).await
}
