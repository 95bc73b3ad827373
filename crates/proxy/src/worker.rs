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
    pub(crate) fn start(number: usize, service: Arc<Service>) -> io::Result<Self> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Connections are many and short of work: look at the sockets often, and do not starve the ticker.
            .event_interval(61)
            .build()?;
        let served = connections.clone();
        let run = move || runtime.block_on(run(receiver, service, served));
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

async fn run(mut commands: mpsc::UnboundedReceiver<Command>, service: Arc<Service>, connections: Arc<AtomicUsize>) {
    let mut sockets: HashMap<u64, Vec<AbortHandle>> = HashMap::new();
    spawn(tidy(service.live.clone()));
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen { id, socket, listener } => match TcpListener::from_std(socket) {
                Ok(socket) => {
                    let accept = accept(socket, listener, service.clone(), connections.clone());
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

async fn accept(
    socket: TcpListener,
    listener: Arc<ArcSwap<Listener>>,
    service: Arc<Service>,
    connections: Arc<AtomicUsize>,
) {
    /// How long to wait when there are no descriptors left: some will be free again soon.
    const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
    loop {
        match socket.accept().await {
            Ok((tcp, peer)) => {
                let listener = listener.load_full();
                let guard = Busy::new(connections.clone());
                let service = service.clone();
                spawn(async move {
                    welcome(tcp, peer, listener, service).await;
                    drop(guard);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted right now");
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

/// Counts a connection while it is there.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
