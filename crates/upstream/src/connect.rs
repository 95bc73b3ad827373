//! How a connection to a target is made.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use alarm::Alarm;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pipeline::Body;
use tokio::net::TcpSocket;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::io::Io;
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
    #[error("its upstream has as many connections as it may")]
    Full,
    #[error("the HTTP/2 handshake failed: {0}")]
    Http2(#[source] hyper::Error),
}

/// What is the same for all connections of an upstream.
pub(crate) struct Connector {
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) timeout: Duration,
    pub(crate) open: Arc<AtomicU32>,
    pub(crate) limit: u32,
}

/// A connection that counts as open while it is there.
pub(crate) struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connector {
    /// Connects, in time, to one of the target's addresses.
    pub(crate) async fn connect(&self, target: &Target, alarm: &Alarm) -> Result<(Io, Counted), ConnectError> {
        let counted = self.count()?;
        match alarm.limit(self.timeout, self.open(target)).await {
            Ok(io) => Ok((io?, counted)),
            Err(alarm::Expired) => Err(ConnectError::Late),
        }
    }

    /// As [`Self::connect`], for HTTP/2; the connection is driven by a task of its own.
    pub(crate) async fn connect_http2(
        &self,
        target: &Target,
        alarm: &Alarm,
    ) -> Result<hyper::client::conn::http2::SendRequest<Body>, ConnectError> {
        let (io, counted) = self.connect(target, alarm).await?;
        let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(64 * 1024)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .handshake(TokioIo::new(io));
        let (sender, connection) = match alarm.limit(self.timeout, handshake).await {
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

    fn count(&self) -> Result<Counted, ConnectError> {
        let taken = self.open.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(self.open.clone());
        if taken >= self.limit { Err(ConnectError::Full) } else { Ok(counted) }
    }

    async fn open(&self, target: &Target) -> Result<Io, ConnectError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in target.address.candidates().await.map_err(ConnectError::Name)? {
            match self.dial(address).await {
                Ok(tcp) => return self.secure(target, tcp).await,
                Err(error) => last = error,
            }
        }
        Err(ConnectError::Refused(last))
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
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
        let tls = connector.connect(name.clone(), tcp).await.map_err(ConnectError::Tls)?;
        Ok(Io::Tls(Box::new(TlsStream::Client(tls))))
    }
}
