//! Brings requests to the Admin API: the socket, TLS, bounds for those who connect, and changes that go on without them.

mod changes;
mod pace;

use std::io;
use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use problem::{Finding, Pointer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

pub use self::changes::Changes;
pub use self::pace::Pace;

/// How bytes travel.
#[derive(Clone)]
pub enum Transport {
    /// As they are: on a loopback address only.
    Plain,
    /// By TLS. Who holds the other end may swap certificates.
    Tls(Arc<ArcSwap<ServerConfig>>),
}

/// The admin listener.
pub struct Listener {
    socket: Socket,
    address: SocketAddr,
    transport: Transport,
}

impl Listener {
    /// Listens on an address, or says what is wrong with it. `at` is where the listener stands in the document.
    pub fn bind(address: SocketAddr, transport: Transport, at: &Pointer) -> Result<Self, Finding> {
        refuse_bare(address, &transport, at)?;
        let socket = Socket::bind(address).map_err(|cause| unusable(address, &cause, at))?;
        Self::adopt(socket, transport, at)
    }

    /// Listens on a socket that another process has handed over.
    pub fn adopt(socket: Socket, transport: Transport, at: &Pointer) -> Result<Self, Finding> {
        let address = socket.local_addr();
        let address = address.map_err(|cause| Finding::new(&at.at("bind"), format!("has no address: {cause}")))?;
        refuse_bare(address, &transport, at)?;
        socket.set_nonblocking(true).map_err(|cause| unusable(address, &cause, at))?;
        Ok(Self { socket, address, transport })
    }

    /// The address, with the port that was given if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, to hand it over to another process.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Answers until `stop`, and ends what has begun by then, within a few seconds. To be called on a runtime.
    pub async fn serve(self, routes: Router, stop: impl Future<Output = ()> + Send) -> io::Result<()> {
        let Self { socket, transport, .. } = self;
        let listener = TcpListener::from_std(socket)?;
        let (stopping, stopped) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let may_accept = connections.len() < CONNECTIONS;
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept(), if may_accept => match accepted {
                    Ok((stream, _)) => {
                        let serving = serve_one(stream, transport.clone(), routes.clone(), stopped.clone());
                        connections.spawn(serving);
                    }
                    Err(cause) => {
                        // Such as no descriptor being left: whoever closes one makes room.
                        tracing::warn!(%cause, "the admin listener cannot accept a connection");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
        drop(listener);
        drop(stopping);
        let ended = timeout(LAST_ANSWERS, async { while connections.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(connections = connections.len(), "admin connections are cut");
        }
        Ok(())
    }
}

/// Whoever is not on this machine must not read the token on its way.
fn refuse_bare(address: SocketAddr, transport: &Transport, at: &Pointer) -> Result<(), Finding> {
    match transport {
        Transport::Plain if !address.ip().to_canonical().is_loopback() => {
            let message = format!("needs `tls`, because {address} is no loopback address; or bind 127.0.0.1");
            Err(Finding::new(at, message))
        }
        Transport::Plain | Transport::Tls(_) => Ok(()),
    }
}

fn unusable(address: SocketAddr, cause: &io::Error, at: &Pointer) -> Finding {
    Finding::new(&at.at("bind"), format!("cannot listen on {address}: {cause}"))
}

/// One connection, to its end. What goes wrong on it is its client's trouble.
async fn serve_one(stream: TcpStream, transport: Transport, routes: Router, stopped: watch::Receiver<()>) {
    // An answer is one write; waiting for more only delays it.
    drop(stream.set_nodelay(true));
    match transport {
        Transport::Plain => answer(stream, routes, stopped).await,
        Transport::Tls(config) => {
            let handshake = TlsAcceptor::from(config.load_full()).accept(stream);
            match timeout(HANDSHAKE, handshake).await {
                Ok(Ok(stream)) => answer(stream, routes, stopped).await,
                Ok(Err(cause)) => tracing::debug!(%cause, "a TLS handshake with the admin listener failed"),
                Err(_elapsed) => tracing::debug!("a TLS handshake with the admin listener took too long"),
            }
        }
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, routes: Router, mut stopped: watch::Receiver<()>) {
    let service = service_fn(move |request: Request<Incoming>| routes.clone().oneshot(request.map(Body::new)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let lifetime = async {
        tokio::select! {
            // It never changes: it ends when the listener stops.
            _ = stopped.changed() => {}
            () = tokio::time::sleep(LIFETIME) => {}
        }
    };
    tokio::select! {
        _ = &mut connection => return,
        () = lifetime => connection.as_mut().graceful_shutdown(),
    }
    // A client that reads its last answer too slowly does not get it.
    drop(timeout(LAST_ANSWER, connection).await);
}

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 256;

/// The time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The time for a request's head, and of a connection between two requests.
const HEAD: Duration = Duration::from_secs(15);

/// Bytes of a request's head.
const BUFFER: usize = 32 * 1024;

/// Fields of a request's head.
const HEADERS: usize = 64;

/// The time of a connection, which bounds what slow readers can hold.
const LIFETIME: Duration = Duration::from_mins(5);

/// The time of a connection's last answer, after its lifetime; and of all, when the listener stops.
const LAST_ANSWER: Duration = Duration::from_secs(65);
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The time to wait when a connection cannot be accepted.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    fn bind(address: &str, transport: Transport) -> Result<Listener, Finding> {
        Listener::bind(address.parse().unwrap(), transport, &Pointer::default().at("admin"))
    }

    /// Serves until the sender is dropped; the set ends when serving does.
    fn serve(listener: Listener) -> (SocketAddr, oneshot::Sender<()>, JoinSet<io::Result<()>>) {
        let address = listener.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = Router::new().route("/healthz", axum::routing::get(async || "well"));
        let mut serving = JoinSet::new();
        serving.spawn(listener.serve(routes, async {
            drop(stopped.await);
        }));
        (address, stop, serving)
    }

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A peer that cuts the connection instead of closing it has said what it had to say.
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap()
    }

    const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[test]
    fn a_listener_that_others_reach_needs_tls() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
            let finding = bind(address, Transport::Plain).err().unwrap();
            assert_eq!(finding.at.as_str(), "/admin");
            assert!(finding.message.starts_with("needs `tls`"), "{finding}");
        }
        assert!(bind("127.0.0.1:0", Transport::Plain).is_ok());
    }

    #[test]
    fn a_port_in_use_is_a_finding() {
        let first = bind("127.0.0.1:0", Transport::Plain).unwrap();
        let finding = bind(&first.address().to_string(), Transport::Plain).err().unwrap();
        assert_eq!(finding.at.as_str(), "/admin/bind");
    }

    #[tokio::test]
    async fn requests_are_answered_until_the_listener_stops() {
        let (address, stop, mut serving) = serve(bind("127.0.0.1:0", Transport::Plain).unwrap());
        let idle = TcpStream::connect(address).await.unwrap();

        let healthy = answer(TcpStream::connect(address).await.unwrap(), HEALTH).await;
        drop(stop);
        serving.join_next().await.unwrap().unwrap().unwrap();

        assert!(healthy.starts_with("HTTP/1.1 200 OK\r\n"), "{healthy}");
        assert_eq!(answer(idle, "").await, "");
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_http_is_refused() {
        let (address, _stop, _serving) = serve(bind("127.0.0.1:0", Transport::Plain).unwrap());
        let endless = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(BUFFER * 2));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(HEADERS + 1));
        for (request, status) in [("nonsense\r\n\r\n", "400"), (&endless, "431"), (&many, "431")] {
            let answer = answer(TcpStream::connect(address).await.unwrap(), request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        }
    }

    #[tokio::test]
    async fn tls_is_spoken_with_the_certificate_of_the_moment() {
        let [(first, _), (second, trusted)] = [certified(), certified()];
        let current = Arc::new(ArcSwap::from_pointee(first));
        let (address, _stop, _serving) = serve(bind("127.0.0.1:0", Transport::Tls(current.clone())).unwrap());

        current.store(Arc::new(second));

        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let name = ServerName::try_from("admin.example").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.unwrap();
        assert!(answer(stream, HEALTH).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }

    fn certified() -> (ServerConfig, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["admin.example".to_owned()]).unwrap();
        let certificate = CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        (config, certificate)
    }
}
