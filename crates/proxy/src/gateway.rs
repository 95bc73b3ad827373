//! All workers and all listeners of a process.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::listener::ServerTls;
use parking_lot::Mutex;
use problem::{Finding, Pointer};
use rustls::ServerConfig;
use snapshot::Snapshot;
use socket2::{Domain, Protocol, Type};

use crate::accept::{Listener, Present, StopSign};
use crate::handle::Service;
use crate::tls;
use crate::worker::{Command, Worker, room};

/// How many connections may wait to be accepted on one socket.
const BACKLOG: i32 = 4096;

/// How many bytes the kernel takes of an answer beyond what it has sent. Without a bound it takes some megabytes for each client
/// that reads slowly, in memory that nobody counts, and a thousand of them keep a core busy with filling it.
const UNSENT: u32 = 128 * 1024;

/// The part of a process that serves traffic.
pub struct Gateway {
    workers: Vec<Worker>,
    open: Mutex<HashMap<String, Open>>,
    inherited: Mutex<Inherited>,
    next_id: Mutex<u64>,
}

/// Sockets that an older process handed over, to be used instead of new ones: by listener, one for each worker.
pub type Inherited = HashMap<String, Vec<TcpListener>>;

/// A listening socket, to be handed over.
pub struct Socket {
    /// The listener's name.
    pub listener: String,
    /// The socket.
    pub socket: TcpListener,
}

/// A listener that is open.
struct Open {
    id: u64,
    wanted: SocketAddr,
    bound: SocketAddr,
    current: Arc<ArcSwap<Listener>>,
    tls: Option<(ServerTls, Arc<ArcSwap<ServerConfig>>)>,
    sockets: Vec<TcpListener>,
}

/// A listener that can be opened or changed: everything that could fail has been done.
struct Ready {
    name: String,
    wanted: SocketAddr,
    /// New sockets, unless the old ones serve on.
    sockets: Option<Vec<TcpListener>>,
    tls: Option<(ServerTls, ServerConfig)>,
}

impl Gateway {
    /// Starts this many workers, which serve nothing yet.
    pub fn start(service: &Arc<Service>, workers: usize, inherited: Inherited) -> io::Result<Self> {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let room = room(descriptors, open, workers);
        let workers =
            (0..workers.max(1)).map(|number| Worker::start(number, service.clone(), room)).collect::<Result<_, _>>()?;
        Ok(Self { workers, open: Mutex::default(), inherited: Mutex::new(inherited), next_id: Mutex::new(0) })
    }

    /// Opens, changes and closes listeners so that they are as the snapshot says; or changes nothing and says why.
    pub fn listen(&self, snapshot: &Snapshot) -> Result<(), Vec<Finding>> {
        let mut ready = Vec::new();
        let mut findings = Vec::new();
        for name in snapshot.document.listeners.keys() {
            match self.prepare(name, snapshot) {
                Ok(listener) => ready.push(listener),
                Err(found) => findings.extend(found),
            }
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        for listener in ready {
            self.open(listener, snapshot);
        }
        let gone = |name: &String| !snapshot.document.listeners.contains_key(name);
        let names: Vec<_> = self.open.lock().keys().filter(|name| gone(name)).cloned().collect();
        for name in &names {
            self.close(name);
        }
        Ok(())
    }

    /// Reads certificates again; the old ones serve on where that fails.
    pub fn reload_certificates(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, open) in &*self.open.lock() {
            let Some((settings, current)) = &open.tls else { continue };
            let at = Pointer::default().at("listeners").at(name).at("tls");
            match tls::load(settings, open.current.load().http2, &at) {
                Ok(config) => current.store(Arc::new(config)),
                Err(found) => findings.extend(found),
            }
        }
        findings
    }

    /// The address that a listener is bound to.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.open.lock().get(listener).map(|open| open.bound)
    }

    /// Who is connected, by listener.
    pub fn present(&self) -> Vec<(String, Arc<Present>)> {
        let open = self.open.lock();
        open.iter().map(|(name, open)| (name.clone(), open.current.load().present.clone())).collect()
    }

    /// Copies of all listening sockets, for a process that takes over.
    pub fn sockets(&self) -> io::Result<Vec<Socket>> {
        let mut sockets = Vec::new();
        for (name, open) in &*self.open.lock() {
            for socket in &open.sockets {
                sockets.push(Socket { listener: name.clone(), socket: socket.try_clone()? });
            }
        }
        Ok(sockets)
    }

    /// Connections under way.
    pub fn connections(&self) -> usize {
        self.workers.iter().map(Worker::connections).sum()
    }

    /// Accepts no more, lets what is under way end, and cuts what has not ended after `patience`.
    pub async fn drain(&self, patience: Duration) {
        let names: Vec<_> = self.open.lock().keys().cloned().collect();
        for name in &names {
            self.close(name);
        }
        let all_gone = async {
            while self.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(patience, all_gone).await.is_err() {
            tracing::warn!(connections = self.connections(), "connections were cut after the time to drain");
        }
    }

    fn prepare(&self, name: &str, snapshot: &Snapshot) -> Result<Ready, Vec<Finding>> {
        let at = Pointer::default().at("listeners").at(name);
        let Some(written) = snapshot.document.listeners.get(name) else { return Err(Vec::new()) };
        let tls = match &written.tls {
            Some(settings) => Some((settings.clone(), tls::load(settings, written.http2, &at.at("tls"))?)),
            None => None,
        };
        let stays = self.open.lock().get(name).is_some_and(|open| open.wanted == written.bind);
        let sockets = if stays {
            None
        } else {
            let inherited = self.inherited.lock().remove(name).filter(|sockets| {
                sockets.iter().all(|socket| socket.local_addr().is_ok_and(|address| serves(address, written.bind)))
            });
            let sockets = match inherited {
                Some(sockets) => Ok(sockets),
                None => self.refuse_taken(written.bind).map(|()| Vec::new()),
            };
            let sockets = sockets.and_then(|sockets| bind_all(written.bind, self.workers.len(), sockets));
            Some(sockets.map_err(|error| {
                vec![Finding::new(&at.at("bind"), format!("{} cannot be listened on: {error}", written.bind))]
            })?)
        };
        Ok(Ready { name: name.to_owned(), wanted: written.bind, sockets, tls })
    }

    /// Sockets that share a port would share it with those of another gateway, too, which is never meant.
    fn refuse_taken(&self, address: SocketAddr) -> io::Result<()> {
        let is_own = self.open.lock().values().any(|open| open.bound == address);
        if is_own || address.port() == 0 {
            return Ok(());
        }
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())
    }

    fn open(&self, ready: Ready, snapshot: &Snapshot) {
        let Ready { name, wanted, sockets, tls } = ready;
        if sockets.is_some() {
            self.close(&name);
        }
        let mut all = self.open.lock();
        let known = all.remove(&name);
        let (Some(written), Some(limits)) = (snapshot.document.listeners.get(&name), snapshot.limits.get(&name)) else {
            return;
        };
        let before = known.as_ref().map(|open| open.current.load_full());
        // Certificates are swapped in place, so that connections and listeners of both sides of a reload see them.
        let tls = tls.map(|(settings, config)| {
            let swap = known.as_ref().and_then(|open| open.tls.as_ref()).map(|(_, swap)| swap.clone());
            let swap = swap.unwrap_or_else(|| Arc::new(ArcSwap::from_pointee(config.clone())));
            swap.store(Arc::new(config));
            (settings, swap)
        });
        let listener = Arc::new(Listener {
            name: name.as_str().into(),
            limits: limits.clone(),
            heads: http1::Limits {
                head_bytes: limits.head_bytes.as_usize(),
                headers: usize::try_from(limits.headers).unwrap_or(usize::MAX),
                uri_bytes: limits.uri_bytes.as_usize(),
            },
            tls: tls.as_ref().map(|(_, swap)| swap.clone()),
            proxy_protocol: written.proxy_protocol,
            http2: written.http2,
            stop: before.as_ref().map_or_else(|| Arc::new(StopSign::default()), |before| before.stop.clone()),
            present: before.map_or_else(Arc::default, |before| before.present.clone()),
        });
        let open = match (known, sockets) {
            (Some(known), None) => {
                known.current.store(listener);
                Open { tls, ..known }
            }
            (_, sockets) => self.start_listening(listener, wanted, sockets.unwrap_or_default(), tls),
        };
        all.insert(name, open);
    }

    fn start_listening(
        &self,
        listener: Arc<Listener>,
        wanted: SocketAddr,
        sockets: Vec<TcpListener>,
        tls: Option<(ServerTls, Arc<ArcSwap<ServerConfig>>)>,
    ) -> Open {
        let id = {
            let mut next = self.next_id.lock();
            *next += 1;
            *next
        };
        let bound = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(wanted);
        let current = Arc::new(ArcSwap::new(listener));
        // A predecessor with more workers hands over more sockets; one that nobody accepts from would hold connections.
        for (worker, socket) in self.workers.iter().cycle().zip(&sockets) {
            match socket.try_clone() {
                Ok(socket) => worker.tell(Command::Listen { id, socket, listener: current.clone() }),
                Err(error) => tracing::error!(%error, "a socket cannot be shared with its worker"),
            }
        }
        Open { id, wanted, bound, current, tls, sockets }
    }

    fn close(&self, name: &str) {
        let Some(open) = self.open.lock().remove(name) else { return };
        open.current.load().stop.raise();
        for worker in &self.workers {
            worker.tell(Command::Close { id: open.id });
            worker.tell(Command::LookUp);
        }
    }
}

/// Whether a socket bound to `address` is what a listener at `wanted` needs.
fn serves(address: SocketAddr, wanted: SocketAddr) -> bool {
    address.ip() == wanted.ip() && (wanted.port() == 0 || address.port() == wanted.port())
}

/// One socket for each worker, all on the same address; the kernel spreads connections over them.
fn bind_all(address: SocketAddr, workers: usize, inherited: Vec<TcpListener>) -> io::Result<Vec<TcpListener>> {
    let mut sockets = inherited;
    let mut address = sockets.first().map_or(Ok(address), TcpListener::local_addr)?;
    while sockets.len() < workers {
        let socket = bind(address)?;
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Accepted sockets have it from the one they were accepted by.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
