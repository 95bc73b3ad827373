//! A node with its admin listener: how both start, what signals ask of them, and how both stop.

use std::path::PathBuf;
use std::sync::Arc;

use admin::Console;
use control::{Configuration, Node, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::handover::{Handover, Passed, Succession};
use crate::{memory, operators};

/// A node that serves, and its admin listener if it has one.
pub(crate) struct Serving {
    pub(crate) node: Arc<Node>,
    operators: Option<operators::Serving>,
    handover: Arc<Handover>,
    signals: Signals,
}

/// What the process is told from outside.
struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }
}

impl Serving {
    /// Starts everything that a configuration wants, on sockets that were passed where they fit.
    pub(crate) async fn start(
        configuration: Configuration,
        file: Option<PathBuf>,
        passed: Passed,
        succession: Succession,
    ) -> Result<Self, StartError> {
        let Passed { listeners, admin } = passed;
        // Before anybody can know that this process serves: a signal that nobody listens to ends it at once.
        let signals = Signals::listen()?;
        let node = Node::start(configuration, file, listeners).await?;
        let operators = operators::open(&node, admin).map_err(StartError::Findings)?;
        for name in node.live.current().document.listeners.keys() {
            let address = node.gateway.address(name).map(|address| address.to_string()).unwrap_or_default();
            tracing::info!(listener = name.as_str(), address, "listening");
        }
        let socket = operators.as_ref().map(|operators| &*operators.socket);
        let handover = Arc::new(Handover::of(&node, socket, succession)?);
        node.tidy_by(memory::give_back);
        memory::give_back();
        let operators = operators.map(|operators| {
            let handover = handover.clone();
            operators.serve(move || handover.start_successor())
        });
        Ok(Self { node, operators, handover, signals })
    }

    /// The page for people who operate it, if there is an admin listener.
    pub(crate) fn console(&self) -> Option<&Console> {
        self.operators.as_ref().map(|operators| &operators.console)
    }

    /// Does what signals say, until one says to stop.
    pub(crate) async fn until_stopped(mut self) {
        loop {
            let Signals { hang_up, terminate, interrupt, upgrade } = &mut self.signals;
            tokio::select! {
                _ = hang_up.recv() => {
                    self.node.reopen_logs();
                    // What is wrong is told where it is found; the old configuration serves on.
                    drop(self.node.reload());
                }
                _ = upgrade.recv() => if let Err(error) = self.handover.start_successor() {
                    tracing::error!(%error, "no successor could be started");
                },
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        tracing::info!(connections = self.node.gateway.connections(), "stopping");
        self.stop().await;
        tracing::info!("stopped");
    }

    /// Ends what is under way, and then everything.
    pub(crate) async fn stop(self) {
        let Self { node, mut operators, handover, .. } = self;
        // Operators are told that this process drains, unless there is a successor to tell them what is.
        if handover.is_under_way()
            && let Some(operators) = operators.take()
        {
            operators.stop().await;
        }
        node.stop().await;
        if let Some(operators) = operators {
            operators.stop().await;
        }
    }
}
