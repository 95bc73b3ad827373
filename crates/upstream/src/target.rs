//! One place that requests go to: how it is reached, how well it is, and its idle connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use hyper::client::conn::http2::SendRequest;
use parking_lot::Mutex;
use pipeline::Body;
use rustls_pki_types::ServerName;
use thread_local::ThreadLocal;

use crate::h1::Connection;
use crate::places::Places;

/// A target of an upstream.
pub struct Target {
    /// `host:port`, as logs and metrics name it.
    pub name: Arc<str>,
    pub(crate) authority: HeaderValue,
    pub(crate) address: Address,
    pub(crate) tls: Option<ServerName<'static>>,
    pub(crate) weight: u32,
    pub(crate) in_flight: AtomicU32,
    pub(crate) state: State,
    idle: ThreadLocal<Mutex<Idle>>,
    pub(crate) http2: ThreadLocal<Mutex<Vec<SendRequest<Body>>>>,
    idle_limit: usize,
    idle_ticks: u64,
}

/// Connections of one thread that nobody uses now, the one that was used last at the end, from where they are taken.
#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// How few there were at least since they were last looked through: as many were needed by nobody.
    unused: usize,
}

/// As many idle connections are kept for their whole time, even if nobody needs them.
const SPARE: usize = 8;

impl Idle {
    fn take(&mut self) -> Option<Connection> {
        let taken = self.connections.pop();
        self.unused = self.unused.min(self.connections.len());
        taken
    }

    fn take_oldest(&mut self) -> Option<Connection> {
        if self.connections.is_empty() {
            return None;
        }
        self.unused = self.unused.saturating_sub(1);
        Some(self.connections.remove(0))
    }

    /// Closes what was closed by the target, what has idled for its time, and what is left of a rush that is over.
    fn tidy(&mut self, ticks: u64) {
        let now = alarm::now();
        let surplus = self.unused.min(self.connections.len().saturating_sub(SPARE));
        self.connections.drain(..surplus);
        self.connections
            .retain(|connection| now.saturating_sub(connection.idle_since) <= ticks && connection.io.is_quiet());
        self.unused = self.connections.len();
    }
}

/// How a target is found.
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    resolved: ArcSwap<Vec<SocketAddr>>,
    next: AtomicUsize,
}

/// How well a target is.
pub(crate) struct State {
    /// What health checks say.
    pub(crate) is_healthy: AtomicBool,
    /// Failures of requests in a row.
    pub(crate) failures: AtomicU32,
    /// When an ejected target comes back, in milliseconds of the upstream's clock; 0 for one that is not ejected.
    pub(crate) ejected_until: AtomicU64,
    /// Ejections in a row.
    pub(crate) ejections: AtomicU32,
    /// Whether a request is under way that tries whether an ejected target is well again.
    pub(crate) is_on_trial: AtomicBool,
}

impl Target {
    pub(crate) fn new(place: Place, weight: u32, keep_alive: &model::upstream::KeepAlive) -> Self {
        let Place { host, port, tls, authority } = place;
        let resolved = host.parse::<IpAddr>().map(|ip| vec![SocketAddr::new(ip, port)]).unwrap_or_default();
        Self {
            name: authority.to_str().unwrap_or(&host).into(),
            authority,
            address: Address { host, port, resolved: ArcSwap::from_pointee(resolved), next: AtomicUsize::new(0) },
            tls,
            weight,
            in_flight: AtomicU32::new(0),
            state: State {
                is_healthy: AtomicBool::new(true),
                failures: AtomicU32::new(0),
                ejected_until: AtomicU64::new(0),
                ejections: AtomicU32::new(0),
                is_on_trial: AtomicBool::new(false),
            },
            idle: ThreadLocal::new(),
            http2: ThreadLocal::new(),
            idle_limit: usize::try_from(keep_alive.connections).unwrap_or(usize::MAX),
            idle_ticks: ticks(keep_alive.idle.duration()),
        }
    }

    /// An idle connection that is still of use.
    pub(crate) fn idle_connection(&self) -> Option<Connection> {
        let mut idle = self.idle.get()?.lock();
        while let Some(connection) = idle.take() {
            let age = alarm::now().saturating_sub(connection.idle_since);
            if age <= self.idle_ticks && connection.io.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Gives a connection to somebody who waits for one, or keeps it for the next request, unless there are enough.
    pub(crate) fn keep(self: &Arc<Self>, mut connection: Connection) {
        loop {
            let mut idle = self.idle.get_or(Mutex::default).lock();
            // Looked at under the lock: who lines up looks through idle connections afterwards, so one of both sees the other.
            if !connection.counted.is_wanted() {
                if idle.connections.len() < self.idle_limit {
                    connection.idle_since = alarm::now();
                    idle.connections.push(connection);
                }
                return;
            }
            drop(idle);
            match Places::hand_on(connection, self) {
                Some(unwanted) => connection = unwanted,
                None => return,
            }
        }
    }

    /// Takes the connection out of some thread's list that was idle the longest.
    pub(crate) fn oldest_idle(&self) -> Option<Connection> {
        self.idle.iter().find_map(|idle| idle.lock().take_oldest())
    }

    /// Closes connections of this thread that are of no use any more.
    pub(crate) fn tidy(&self) {
        if let Some(idle) = self.idle.get() {
            idle.lock().tidy(self.idle_ticks);
        }
    }

    /// Idle connections of all threads.
    pub fn idle_connections(&self) -> usize {
        self.idle.iter().map(|idle| idle.lock().connections.len()).sum()
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Failures of requests since the last success.
    pub fn failures_in_a_row(&self) -> u32 {
        self.state.failures.load(Ordering::Relaxed)
    }

    /// Whether health checks and requests leave it in service.
    pub fn is_in_service(&self, now: impl Fn() -> u64) -> bool {
        if !self.state.is_healthy.load(Ordering::Relaxed) {
            return false;
        }
        let until = self.state.ejected_until.load(Ordering::Relaxed);
        until == 0 || now() >= until
    }

    /// Whether it does not serve, or the last that was heard of it was a failure.
    pub(crate) fn is_failing(&self) -> bool {
        let State { is_healthy, failures, .. } = &self.state;
        self.weight == 0 || !is_healthy.load(Ordering::Relaxed) || failures.load(Ordering::Relaxed) > 0
    }

    /// Whether a request that was to go to it may; of an ejected one whose time is over, only one may try, and the others
    /// wait for `period` to see what becomes of that one.
    pub(crate) fn admits(&self, now: impl Fn() -> u64, period: Duration) -> bool {
        let until = self.state.ejected_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = now();
        if now < until {
            return true;
        }
        let next = now.saturating_add(u64::try_from(period.as_millis()).unwrap_or(u64::MAX));
        let is_first =
            self.state.ejected_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_first {
            self.state.is_on_trial.store(true, Ordering::Relaxed);
        }
        is_first
    }
}

impl Address {
    /// The addresses to try, the next in turn first; looks the name up if that was not done yet.
    pub(crate) async fn candidates(&self) -> std::io::Result<smallvec::SmallVec<[SocketAddr; 4]>> {
        if self.resolved.load().is_empty() {
            self.refresh().await?;
        }
        let known = self.resolved.load();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        Ok((0..known.len()).filter_map(|index| known.get((first + index) % known.len()).copied()).collect())
    }

    /// Looks the name up again. Where that fails, the last known addresses stay.
    pub(crate) async fn refresh(&self) -> std::io::Result<()> {
        if self.host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let mut found: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        }
        if **self.resolved.load() != found {
            tracing::info!(host = self.host, addresses = ?found, "a target's addresses changed");
            self.resolved.store(Arc::new(found));
        }
        Ok(())
    }
}

/// A target's URL, taken apart.
pub(crate) struct Place {
    host: String,
    port: u16,
    tls: Option<ServerName<'static>>,
    authority: HeaderValue,
}

impl Place {
    /// Takes a URL of scheme, host and port apart, or says what is wrong with it.
    pub(crate) fn parse(url: &str, server_name: Option<&str>) -> Result<Self, String> {
        let uri: http::Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("`{url}` does not begin with `http://` or `https://`")),
        };
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") || url.contains('#') {
            return Err(format!(
                "`{url}` has a path; write scheme, host and port, and change paths by policy `rewrite`"
            ));
        }
        let authority = uri.authority().ok_or_else(|| format!("`{url}` has no host"))?;
        if authority.as_str().contains('@') {
            return Err("a user name in a URL is not used; add a header by policy `headers`".to_owned());
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tls = if is_tls {
            let name = server_name.unwrap_or(&host).to_owned();
            Some(ServerName::try_from(name).map_err(|error| format!("`{url}` has no name for TLS: {error}"))?)
        } else {
            None
        };
        let header = HeaderValue::from_str(authority.as_str()).map_err(|error| format!("`{url}`: {error}"))?;
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { host, port, tls, authority: header })
    }
}

/// A request under way at a target; dropping it, whenever, ends it.
pub(crate) struct Lease {
    target: Arc<Target>,
    total: Arc<AtomicU32>,
}

impl Lease {
    pub(crate) fn new(target: Arc<Target>, total: Arc<AtomicU32>) -> Self {
        target.in_flight.fetch_add(1, Ordering::Relaxed);
        total.fetch_add(1, Ordering::Relaxed);
        Self { target, total }
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.target.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.total.fetch_sub(1, Ordering::Relaxed);
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / alarm::TICK.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::io::Io;

    #[tokio::test]
    async fn what_is_left_of_a_rush_is_closed_and_what_is_in_use_or_spare_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let place = Place::parse(&format!("http://{address}"), None).unwrap();
        let target = Arc::new(Target::new(place, 1, &model::upstream::KeepAlive::default()));
        let places = Arc::new(Places::new(100, 0));
        let mut accepted = Vec::new();
        for _ in 0..30 {
            let io = Io::Tcp(TcpStream::connect(address).await.unwrap());
            accepted.push(listener.accept().await.unwrap());
            target.keep(Connection::new(io, places.take().unwrap()));
        }
        target.tidy();
        assert_eq!(target.idle_connections(), 30, "they came since the last look");

        let used: Vec<_> = std::iter::repeat_with(|| target.idle_connection().unwrap()).take(12).collect();
        for connection in used {
            target.keep(connection);
        }
        target.tidy();
        assert_eq!(target.idle_connections(), 12);
        target.tidy();

        assert_eq!((target.idle_connections(), places.open()), (SPARE, 8));
    }
}
