//! A thread that serves traffic: one runtime, its own sockets of every listener, its own connections to backends.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use snapshot::Live;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::accept::{Listener, welcome};
use crate::handle::Service;

/// How often a worker closes idle connections to backends.
const TIDY: Duration = Duration::from_secs(5);

/// Connections that a worker hears of at a time. All that are ready are answered before the first answer is written, so that
/// writes follow each other (see [`Turn`](upstream::Turn)); what lies between is to fit into the cache of a core.
const READY_AT_ONCE: usize = 32;

/// What a worker is told.
pub(crate) enum Command {
    /// Accept connections on this socket.
    Listen { id: u64, socket: std::net::TcpListener, listener: Arc<ArcSwap<Listener>> },
    /// Accept what waits already, and then no more.
    Close { id: u64 },
    /// Let every connection look whether it should stop.
    LookUp,
}

/// A worker as the gateway knows it.
pub(crate) struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread. It ends when its handle is dropped.
    pub(crate) fn start(number: usize, service: Arc<Service>, room: usize) -> io::Result<Self> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_io_events_per_tick(READY_AT_ONCE).build()?;
        let seats = Seats { taken: connections.clone(), all: room };
        let run = move || runtime.block_on(run(receiver, service, seats));
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
        Ok(Self { commands, connections, thread: Some(thread) })
    }

    pub(crate) fn tell(&self, command: Command) {
        // A worker that is gone has nothing left to be told.
        drop(self.commands.send(command));
    }

    /// Connections under way.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let (closed, _) = mpsc::unbounded_channel();
        self.commands = closed;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a worker panicked");
        }
    }
}

async fn run(mut commands: mpsc::UnboundedReceiver<Command>, service: Arc<Service>, seats: Seats) {
    let mut sockets: HashMap<u64, Vec<AbortHandle>> = HashMap::new();
    spawn(tidy(service.live.clone()));
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen { id, socket, listener } => match TcpListener::from_std(socket) {
                Ok(socket) => {
                    let accept = accept(socket, listener, service.clone(), seats.clone());
                    sockets.entry(id).or_default().push(spawn(accept));
                }
                Err(error) => tracing::error!(%error, "a socket cannot be listened on"),
            },
            Command::Close { id } => {
                if let Some(sockets) = sockets.remove(&id) {
                    // Whoever is in the queue already gets in: the accept loop takes them before this runs.
                    tokio::task::yield_now().await;
                    sockets.iter().for_each(AbortHandle::abort);
                }
            }
            Command::LookUp => alarm::wake_all(),
        }
    }
}

async fn accept(socket: TcpListener, listener: Arc<ArcSwap<Listener>>, service: Arc<Service>, seats: Seats) {
    /// How long to wait when there are no descriptors left: some will be free again soon.
    const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
    let mut is_well = true;
    loop {
        match socket.accept().await {
            Ok((tcp, peer)) => {
                is_well = true;
                let listener = listener.load_full();
                let Some(guard) = seats.take() else {
                    listener.present.turned_away.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                let service = service.clone();
                spawn(async move {
                    welcome(tcp, peer, listener, service).await;
                    drop(guard);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Once, not twenty times a second.
                if std::mem::take(&mut is_well) {
                    tracing::warn!(%error, "no connection can be accepted right now");
                }
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn tidy(live: Arc<Live>) {
    loop {
        tokio::time::sleep(TIDY).await;
        live.current().upstreams.values().for_each(|upstream| upstream.tidy());
    }
}

/// Starts a task that ends with its worker.
#[expect(clippy::disallowed_methods, reason = "connections are counted, and waited for when the gateway drains")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    tokio::spawn(task).abort_handle()
}

/// How many connections of clients a worker may have, so that there are descriptors left for their backends and for all
/// that is no traffic: the journal, the logs, the store, the admin listener. `open` are those that are open before anybody
/// is served.
pub(crate) fn room(descriptors: Option<u64>, open: usize, workers: usize) -> usize {
    /// What may still be opened that is no traffic.
    const KEPT: usize = 32;
    let Some(all) = descriptors else { return usize::MAX };
    let each = usize::try_from(all).unwrap_or(usize::MAX).saturating_sub(open + KEPT) / 2;
    (each / workers.max(1)).max(1)
}

/// The connections of a worker.
#[derive(Clone)]
struct Seats {
    taken: Arc<AtomicUsize>,
    all: usize,
}

impl Seats {
    /// A seat, unless they are all taken.
    fn take(&self) -> Option<Busy> {
        // Only this worker's thread adds to it.
        (self.taken.load(Ordering::Relaxed) < self.all).then(|| {
            self.taken.fetch_add(1, Ordering::Relaxed);
            Busy(self.taken.clone())
        })
    }
}

/// Counts a connection while it is there.
struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_leaves_a_descriptor_for_its_backend() {
        assert_eq!(room(Some(1024), 24, 2), 242);
        assert_eq!(room(Some(65_536), 32, 1), 32_736);
        assert_eq!(room(Some(40), 24, 4), 1);
        assert_eq!(room(None, 24, 4), usize::MAX);
    }
}
