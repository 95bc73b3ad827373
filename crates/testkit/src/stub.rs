//! A backend that says exactly what the test wants, and remembers what it was told.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::reply::header;
use crate::{Wire, eventually};

/// A request as a backend saw it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The request line and the header lines, byte for byte, without the empty line.
    pub head: String,
    /// Its body, without transfer coding.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Vec<String>,
}

impl Request {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The request line.
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }
}

/// A backend that says exactly what the test wants.
pub struct Stub {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    task: Option<AbortHandle>,
    /// A port that is taken and refuses everybody.
    _taken: Option<socket2::Socket>,
}

impl Stub {
    /// Answers each request with these bytes.
    pub async fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes: Arc<[u8]> = bytes.into().into();
        Self::replying(move |_| bytes.to_vec()).await
    }

    /// Answers each request with status 200 and this text.
    pub async fn saying(text: &str) -> Self {
        Self::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await
    }

    /// Answers each request with the bytes that the function makes of it. No bytes end the connection.
    pub async fn replying(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::talking(move |mut talk| {
            let answer = answer.clone();
            async move {
                while let Some(request) = talk.request().await {
                    let bytes = answer(&request);
                    if bytes.is_empty() || talk.wire.try_send(bytes).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Has a conversation on each connection.
    pub async fn talking<F: Future<Output = ()> + Send + 'static>(
        conversation: impl Fn(Talk) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::wrapped(conversation, |tcp| async { Wire::over_tcp(tcp) }).await
    }

    /// Has a conversation on each connection, after `wrap` made it what it is.
    pub(crate) async fn wrapped<F, W>(
        conversation: impl Fn(Talk) -> F + Send + Sync + 'static,
        wrap: impl Fn(tokio::net::TcpStream) -> W + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        W: Future<Output = Wire> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there are ports");
        let address = listener.local_addr().expect("it is bound");
        let (requests, connections, open): (Arc<Mutex<Vec<Request>>>, Arc<AtomicUsize>, Arc<AtomicUsize>) =
            Default::default();
        let seen = (requests.clone(), connections.clone(), open.clone());
        let accept = async move {
            let (requests, connections, open) = seen;
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (wire, requests, open) = (wrap(tcp), requests.clone(), Open::new(open.clone()));
                let conversation_of = |wire| conversation(Talk { wire, requests });
                // The handshake of one connection must not hold up the next, but none of the tests needs that.
                let talk = conversation_of(wire.await);
                tokio::spawn(async move {
                    talk.await;
                    drop(open);
                });
            }
        };
        let task = Some(tokio::spawn(accept).abort_handle());
        Self { address, requests, connections, open, task, _taken: None }
    }

    /// Answers each request that comes by TLS with these bytes.
    pub async fn secured(tls: rustls::ServerConfig, answer: &'static str) -> Self {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let conversation = move |mut talk: Talk| async move {
            while talk.request().await.is_some() {
                talk.wire.send(answer).await;
            }
        };
        let wrap = move |tcp| {
            let handshake = acceptor.accept(tcp);
            async move {
                match handshake.await {
                    Ok(tls) => Wire::over(tls),
                    Err(_) => Wire::over(tokio::io::empty()),
                }
            }
        };
        Self::wrapped(conversation, wrap).await
    }

    /// Refuses each connection.
    pub fn refusing() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("there are ports");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
        let (requests, connections, open) = Default::default();
        Self { address, requests, connections, open, task: None, _taken: Some(socket) }
    }

    /// The requests that came, in the order of their heads.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.requests.lock().len()
    }

    /// The only request that came.
    pub fn request(&self) -> Request {
        let requests = self.requests.lock();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until there was a connection, and all are closed.
    pub async fn is_left_alone(&self) {
        let is_alone = || self.connections() > 0 && self.open.load(Ordering::SeqCst) == 0;
        eventually("a backend was left alone", is_alone).await;
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// One connection to a backend, whose requests are remembered.
pub struct Talk {
    /// The connection.
    pub wire: Wire,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Talk {
    /// Reads the head of a request and remembers it; none if there is no more.
    pub async fn head(&mut self) -> Option<Request> {
        let head = self.wire.block_or_never().await?;
        let request = Request { head: head.trim_end().to_owned(), ..Request::default() };
        self.requests.lock().push(request.clone());
        Some(request)
    }

    /// Reads a request to its end and remembers it; none if there is no more.
    pub async fn request(&mut self) -> Option<Request> {
        let head = self.wire.block_or_never().await?;
        let mut request = Request { head: head.trim_end().to_owned(), ..Request::default() };
        if request.header("transfer-encoding").is_some() {
            (request.body, request.trailers) = self.wire.chunks().await;
        } else if let Some(length) = request.header("content-length") {
            request.body = self.wire.exactly(length.parse().expect("a length")).await;
        }
        self.requests.lock().push(request.clone());
        Some(request)
    }
}

/// A connection that counts while it is there.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
