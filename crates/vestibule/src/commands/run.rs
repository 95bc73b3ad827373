//! `vestibule run`: serves a document until it is told to stop.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use control::{Configuration, Node, StartError};
use telemetry::logging::{Form, Log};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::handover;
use crate::operators::{self, Operators};
use crate::output::{self, FOUND, GOOD};

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
        Err(findings) => return output::print(&output::lines(&findings), FOUND),
    };
    let log = match start_log(&configuration) {
        Ok(log) => log,
        Err(error) => return output::fail(&format!("the log cannot be started: {error}")),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let code = match runtime {
        Ok(runtime) => runtime.block_on(serve(configuration, arguments.file.clone())),
        Err(error) => output::fail(&format!("no threads can be started: {error}")),
    };
    log.close(Duration::from_secs(1));
    code
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
    let (node, operators) = match start(configuration, file).await {
        Ok(started) => started,
        Err(StartError::Findings(findings)) => return output::print(&output::lines(&findings), FOUND),
        Err(error) => return output::fail(&error.to_string()),
    };
    let admin = operators.as_ref().map(|operators| operators.socket.clone());
    let operators = operators.map(|operators| {
        let (node, admin) = (node.clone(), admin.clone());
        operators.serve(move || handover::start_successor(&node, admin.as_deref()))
    });
    handover::tell_predecessor();
    let stopped = until_stopped(&node, admin.as_deref()).await;
    if let Some(serving) = operators {
        serving.stop().await;
    }
    match stopped {
        Ok(()) => GOOD.into(),
        Err(error) => output::fail(&format!("signals cannot be received: {error}")),
    }
}

/// Starts a node and its admin listener, with the sockets of a predecessor if there are any.
async fn start(configuration: Configuration, file: PathBuf) -> Result<(Arc<Node>, Option<Operators>), StartError> {
    let (inherited, admin) = handover::inherited()?;
    let node = Node::start(configuration, Some(file), inherited).await?;
    for name in node.live.current().document.listeners.keys() {
        let address = node.gateway.address(name).map(|address| address.to_string()).unwrap_or_default();
        tracing::info!(listener = name.as_str(), address, "listening");
    }
    let operators = operators::open(&node, admin).map_err(StartError::Findings)?;
    Ok((node, operators))
}

/// Does what signals say, until one says to stop.
pub(crate) async fn until_stopped(node: &Arc<Node>, admin: Option<&TcpListener>) -> std::io::Result<()> {
    let listen = |kind| -> std::io::Result<Signal> { signal(kind) };
    let mut hang_up = listen(SignalKind::hangup())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut upgrade = listen(SignalKind::user_defined2())?;
    loop {
        tokio::select! {
            _ = hang_up.recv() => {
                node.reopen_logs();
                // What is wrong is told where it is found; the old configuration serves on.
                drop(node.reload());
            }
            _ = upgrade.recv() => match handover::start_successor(node, admin) {
                Ok(process) => tracing::info!(process, "a successor was started"),
                Err(error) => tracing::error!(%error, "no successor could be started"),
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!(connections = node.gateway.connections(), "stopping");
    node.stop().await;
    tracing::info!("stopped");
    Ok(())
}
