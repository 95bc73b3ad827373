//! How a connection to a target is made.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use alarm::Alarm;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pipeline::Body;
use tokio::net::TcpSocket;
use tokio::time::Instant;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::io::{Held, Io};
use crate::places::Counted;
use crate::target::Target;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("its name could not be looked up: {0}")]
    Name(#[source] io::Error),
    #[error("it could not be connected to: {0}")]
    Refused(#[source] io::Error),
    #[error("the TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
    #[error("it could not be connected to in time")]
    Late,
    #[error("its upstream has as many connections as it may, and as many requests wait for one as may")]
    Full,
    #[error("its upstream has as many connections as it may, and none came free in time")]
    NoneFree,
    #[error("the gateway has no descriptors or no memory left for a connection: {0}")]
    Exhausted(#[source] io::Error),
    #[error("the HTTP/2 handshake failed: {0}")]
    Http2(#[source] hyper::Error),
}

/// The time of whoever waits for a connection.
#[derive(Clone, Copy)]
pub(crate) struct Time<'a> {
    pub(crate) alarm: &'a Alarm,
    /// When everything must be over.
    pub(crate) until: Option<Instant>,
}

impl Time<'_> {
    /// Whether everything must be over by now.
    pub(crate) fn is_over(self) -> bool {
        self.left(Duration::MAX).is_zero()
    }

    /// `most`, or what is left until everything must be over.
    pub(crate) fn left(self, most: Duration) -> Duration {
        self.until.map_or(most, |until| most.min(until.saturating_duration_since(Instant::now())))
    }
}

/// What is the same for all connections of an upstream.
pub(crate) struct Connector {
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) timeout: Duration,
    pub(crate) guard: Option<Guard>,
}

/// Says whether an address may be connected to.
pub type Guard = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

impl Connector {
    /// Connects, in time, to one of the target's addresses.
    pub(crate) async fn connect(&self, target: &Target, time: Time<'_>) -> Result<Io, ConnectError> {
        match time.alarm.limit(time.left(self.timeout), self.open(target)).await {
            Ok(opened) => opened,
            Err(alarm::Expired) => Err(ConnectError::Late),
        }
    }

    /// As [`Self::connect`], for HTTP/2; the connection is driven by a task of its own.
    pub(crate) async fn connect_http2(
        &self,
        target: &Target,
        time: Time<'_>,
        counted: Counted,
    ) -> Result<hyper::client::conn::http2::SendRequest<Body>, ConnectError> {
        let io = self.connect(target, time).await?;
        let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(64 * 1024)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .handshake(TokioIo::new(io));
        let (sender, connection) = match time.alarm.limit(time.left(self.timeout), handshake).await {
            Ok(made) => made.map_err(ConnectError::Http2)?,
            Err(alarm::Expired) => return Err(ConnectError::Late),
        };
        #[expect(clippy::disallowed_methods, reason = "it ends with its connection, when the last sender is dropped")]
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to a target ended");
            }
            drop(counted);
        });
        Ok(sender)
    }

    async fn open(&self, target: &Target) -> Result<Io, ConnectError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let candidates = target.address.candidates().await;
        for address in candidates.map_err(|error| own(error).unwrap_or_else(ConnectError::Name))? {
            match self.dial(address).await.map_err(own) {
                Ok(tcp) => return self.secure(target, tcp).await,
                Err(Ok(exhausted)) => return Err(exhausted),
                Err(Err(error)) => last = error,
            }
        }
        Err(ConnectError::Refused(last))
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        // Looked at where the connection is made, so that no name can mean another address by then.
        if self.guard.as_ref().is_some_and(|may| !may(address.ip().to_canonical())) {
            let reason = format!("{} is not to be connected to", address.ip());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(bind) = self.bind {
            socket.bind(SocketAddr::new(bind, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn secure(&self, target: &Target, tcp: tokio::net::TcpStream) -> Result<Io, ConnectError> {
        let (Some(connector), Some(name)) = (&self.tls, &target.tls) else { return Ok(Io::Tcp(tcp)) };
        let tls = connector.connect(name.clone(), Held::new(tcp)).await.map_err(ConnectError::Tls)?;
        Ok(Io::Tls(Box::new(TlsStream::Client(tls))))
    }
}

/// The failure that an error is if this process or machine has run out of something, which is no target's fault.
fn own(error: io::Error) -> Result<ConnectError, io::Error> {
    use rustix::io::Errno;
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    if matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) {
        return Ok(ConnectError::Exhausted(error));
    }
    Err(error)
}
