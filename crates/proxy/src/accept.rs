//! A listener: whom it lets in, and what becomes of a new connection.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use alarm::{Alarm, Expired, Lives};
use arc_swap::ArcSwap;
use bytes::BytesMut;
use model::limits::Settled;
use model::listener::{ProxyProtocol, Switch};
use parking_lot::Mutex;
use pipeline::{Connection, PeerCertificate, Tls};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};
use upstream::io::{Held, Io};

use crate::handle::Service;
use crate::{clock, h1, h2, proxy_protocol, tls};

/// What begins a connection of HTTP/2 by prior knowledge (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A listener as its connections see it.
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) limits: Settled,
    pub(crate) heads: http1::Limits,
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
    pub(crate) proxy_protocol: ProxyProtocol,
    pub(crate) http2: Switch,
    pub(crate) stop: Arc<StopSign>,
    pub(crate) present: Arc<Present>,
}

/// Whether connections should come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// They may go on.
    No,
    /// What is under way ends, nothing begins.
    Drain,
}

/// Shows every connection of a listener when to stop.
#[derive(Debug, Default)]
pub(crate) struct StopSign(AtomicBool);

impl StopSign {
    pub(crate) fn get(&self) -> Stop {
        if self.0.load(Ordering::Relaxed) { Stop::Drain } else { Stop::No }
    }

    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who is connected to a listener, counted over all workers.
#[derive(Debug, Default)]
pub struct Present {
    all: AtomicU32,
    by_address: Mutex<std::collections::HashMap<IpAddr, u32>>,
    /// Connections that were let in.
    pub accepted: AtomicU64,
    /// Connections that were turned away, because there were too many.
    pub turned_away: AtomicU64,
}

impl Present {
    /// Connections that are open.
    pub fn count(&self) -> u32 {
        self.all.load(Ordering::Relaxed)
    }

    /// Lets a connection in, unless there are too many of its listener or of its address.
    fn enter(self: &Arc<Self>, address: IpAddr, limits: &Settled) -> Option<Presence> {
        let address = network(address);
        let mut by_address = self.by_address.lock();
        let of_address = by_address.entry(address).or_default();
        if *of_address >= limits.connections_per_address || self.count() >= limits.connections {
            if *of_address == 0 {
                by_address.remove(&address);
            }
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *of_address += 1;
        self.all.fetch_add(1, Ordering::Relaxed);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Presence { present: self.clone(), address })
    }
}

/// One client commands a whole /64 of IPv6, so that counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection that counts while it is there.
struct Presence {
    present: Arc<Present>,
    address: IpAddr,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.present.all.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.present.by_address.lock();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// A new connection from its first byte to its last.
pub(crate) async fn welcome(tcp: TcpStream, peer: SocketAddr, listener: Arc<Listener>, service: Arc<Service>) {
    let Some(_presence) = listener.present.enter(peer.ip(), &listener.limits) else { return };
    let began = opening(tcp, peer, &listener, &service).await;
    match began {
        Ok(Ok(Some(Begun { io, early, connection, http2 }))) => {
            // Each in a place of its own: who is still in its handshake, or speaks the other one, needs no room for it.
            if http2 {
                Box::pin(h2::serve(io, early, connection, &listener, &service)).await;
            } else {
                Box::pin(h1::serve(io, early, connection, &listener, &service)).await;
            }
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a connection did not begin well"),
        Err(expired) => tracing::debug!(%peer, %expired, "a connection did not begin in time"),
    }
}

/// Everything up to the first request, as long as it may take: while a client has said nothing, and the listener stops,
/// that is not long.
async fn opening(
    tcp: TcpStream,
    peer: SocketAddr,
    listener: &Listener,
    service: &Service,
) -> Result<std::io::Result<Option<Begun>>, Expired> {
    let alarm = Alarm::new();
    alarm.set(listener.limits.head_time.duration());
    let is_silent = AtomicBool::new(true);
    let mut is_leaving = false;
    let mut began = Box::pin(begin(tcp, peer, (listener, service), &is_silent));
    poll_fn(|context| {
        if let Poll::Ready(begun) = began.as_mut().poll(context) {
            return Poll::Ready(Ok(begun));
        }
        if !is_leaving && listener.stop.get() != Stop::No && is_silent.load(Ordering::Relaxed) {
            is_leaving = true;
            alarm.set(h1::FAREWELL);
        }
        alarm.poll_expired(context).map(|()| Err(Expired))
    })
    .await
}

/// A connection that is ready for requests.
struct Begun {
    io: Io,
    early: BytesMut,
    connection: Arc<Connection>,
    http2: bool,
}

/// PROXY protocol, TLS, and which version of HTTP it is; none for a client that closed at once. With the first byte
/// that comes, the client is not silent any more.
async fn begin(
    mut tcp: TcpStream,
    peer: SocketAddr,
    (listener, service): (&Listener, &Service),
    is_silent: &AtomicBool,
) -> std::io::Result<Option<Begun>> {
    tcp.set_nodelay(true)?;
    if listener.tls.is_some() || listener.proxy_protocol != ProxyProtocol::Off {
        tcp.readable().await?;
        is_silent.store(false, Ordering::Relaxed);
    }
    let local = tcp.local_addr()?;
    let (mut peer, mut local) = (peer, local);
    if listener.proxy_protocol != ProxyProtocol::Off {
        let is_trusted = service.live.current().trusts(peer.ip());
        if let Some(told) = proxy_protocol::read(&mut tcp, listener.proxy_protocol, is_trusted).await? {
            (peer, local) = (told.source, told.destination);
        }
    }
    let name = listener.name.clone();
    let connection = |tls: Option<Tls>| {
        let certificate = tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        let depends_on = certificate.map_or_else(OnceLock::new, |certificate| depends_on(certificate, service));
        Arc::new(Connection { peer, local, listener: name, tls, told: OnceLock::new(), depends_on })
    };
    if let Some(config) = &listener.tls {
        let mut stream = TlsAcceptor::from(config.load_full()).accept(Held::until_waiting(tcp)).await?;
        // What ends the handshake goes out with the first answer.
        stream.get_mut().0.release();
        let (tls, http2) = tls::identity(stream.get_ref().1);
        let io = Io::Tls(Box::new(TlsStream::Server(stream)));
        return Ok(Some(Begun { io, early: BytesMut::new(), connection: connection(Some(tls)), http2 }));
    }
    let mut io = Io::Tcp(tcp);
    let mut early = BytesMut::new();
    let is_preface = |early: &[u8]| early.iter().zip(PREFACE).all(|(byte, expected)| byte == expected);
    while early.len() < PREFACE.len() && is_preface(&early) && (listener.http2 == Switch::On || early.is_empty()) {
        let read = poll_fn(|context| {
            io.poll_glance(context, |bytes| {
                early.extend_from_slice(bytes);
                bytes.len()
            })
        });
        if read.await? == 0 {
            return Ok(None);
        }
        is_silent.store(false, Ordering::Relaxed);
    }
    let http2 = listener.http2 == Switch::On && is_preface(&early);
    Ok(Some(Begun { io, early, connection: connection(None), http2 }))
}

/// What a connection depends on by its certificate, before its first request says so. Of a certificate that is over
/// already that is nothing: its requests are answered, and told why they are refused.
fn depends_on(certificate: &PeerCertificate, service: &Service) -> OnceLock<Lives> {
    let (_, now) = clock::now();
    let lives = service.live.current().lives(certificate);
    let lives = lives.filter(|lives| lives.iter().all(|life| life.over(now).is_none()));
    lives.map_or_else(OnceLock::new, OnceLock::from)
}
