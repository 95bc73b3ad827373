//! A connection to a server of a protocol that is not HTTP: TCP, with or without TLS.
//!
//! It belongs to one task, which reads and writes as its protocol wants; nothing here balances, retries or limits rates.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use model::upstream::ClientTls;
use problem::{Finding, Pointer};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where to connect, and how.
pub struct Dialer {
    /// Host and port.
    pub address: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection.
pub enum Socket {
    /// In the clear.
    Tcp(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Dialer {
    /// A dialer, or what is wrong with an address or with TLS, each with the place where it stands.
    pub fn compile(
        (address, address_at): (&str, &Pointer),
        tls: Option<&ClientTls>,
        tls_at: &Pointer,
    ) -> Result<Self, Vec<Finding>> {
        let wrong = || {
            let message = format!("`{address}` is no host with a port, such as `logs.example:24224`");
            vec![Finding::new(address_at, message)]
        };
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_invalid| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong());
        }
        let tls = match tls {
            None => None,
            Some(settings) => {
                let client = crate::tls::client(settings, tls_at).map_err(|finding| vec![finding])?;
                let name = settings.server_name.as_deref().unwrap_or(host);
                let name = ServerName::try_from(name.to_owned())
                    .map_err(|error| vec![Finding::new(tls_at, format!("`{name}` is no name of a server: {error}"))])?;
                Some((TlsConnector::from(Arc::new(client)), name))
            }
        };
        Ok(Self { address: address.to_owned(), tls })
    }

    /// Connects, with a limit of time.
    pub async fn connect(&self) -> io::Result<Socket> {
        in_time(async { self.secure(self.plain().await?).await }).await
    }

    /// Connects without TLS, for a protocol that comes to it later.
    pub async fn plain(&self) -> io::Result<TcpStream> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    /// Goes on under TLS, if that is wanted.
    pub async fn secure(&self, tcp: TcpStream) -> io::Result<Socket> {
        match &self.tls {
            None => Ok(Socket::Tcp(tcp)),
            Some((connector, name)) => Ok(Socket::Tls(Box::new(connector.connect(name.clone(), tcp).await?))),
        }
    }

    /// Whether TLS is wanted.
    pub fn wants_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// Waits no longer than a server may take to connect, or to answer.
pub async fn in_time<T>(wait: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(done) => done,
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl Socket {
    /// Whether the other end has closed it or said something unasked.
    pub fn is_of_use(&self) -> bool {
        let tcp = match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        };
        let mut byte = [0];
        let mut peeked = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(std::task::Waker::noop());
        match (self, tcp.poll_peek(&mut context, &mut peeked)) {
            (_, Poll::Pending) => true,
            // A server of TLS may send tickets at any time; one that closed says so with no bytes at all.
            (Self::Tls(_), Poll::Ready(Ok(read))) => read > 0,
            (_, Poll::Ready(_)) => false,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(context, into),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}

/// How long a server may take to connect, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
