//! One connection, on which exactly those bytes are sent that the test names.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::reply::{self, Reply};
use crate::within;

/// A byte stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection, on either side of the gateway.
pub struct Wire {
    stream: Box<dyn Stream>,
    /// The same socket, to be reset.
    socket: Option<socket2::Socket>,
    input: BytesMut,
}

impl Wire {
    /// Connects to an address.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.expect("it is listened on");
        Self::over_tcp(stream)
    }

    /// A connection that is open.
    pub fn over_tcp(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("it is a TCP socket");
        let socket = SockRef::from(&stream).try_clone().expect("there are descriptors");
        Self { stream: Box::new(stream), socket: Some(socket), input: BytesMut::new() }
    }

    /// A connection of another kind, such as TLS.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), socket: None, input: BytesMut::new() }
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the other side takes them");
    }

    /// Sends bytes, unless the other side does not take them.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("the other side to read", self.stream.write_all(bytes.as_ref())).await?;
        within("the other side to read", self.stream.flush()).await
    }

    /// Sends a request and reads its answer.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        let head_only = request.as_ref().starts_with(b"HEAD ");
        self.send(request).await;
        if head_only { self.head().await } else { self.reply().await }
    }

    /// Reads one answer with its body, 1xx answers being answers of their own.
    pub async fn reply(&mut self) -> Reply {
        let mut reply = self.head().await;
        match reply.framing() {
            reply::Framing::None => {}
            reply::Framing::Length(length) => reply.body = self.exactly(length).await,
            reply::Framing::Chunked => (reply.body, reply.trailers) = self.chunks().await,
            reply::Framing::UntilClose => reply.body = self.rest().await,
        }
        reply
    }

    /// Reads the head of an answer.
    pub async fn head(&mut self) -> Reply {
        let head = self.block().await;
        Reply::parse(&head.unwrap_or_else(|| panic!("closed before an answer")))
    }

    /// Reads up to an empty line, and it; none if the connection ends before its first byte.
    pub async fn block(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = self.input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if self.more().await == 0 {
                assert!(self.input.is_empty(), "ended within a head: {:?}", self.input);
                return None;
            }
        };
        let head = self.input.split_to(end);
        Some(head.iter().map(|byte| char::from(*byte)).collect())
    }

    /// As [`Wire::block`], without a limit, and none if the connection breaks: a backend waits for what comes.
    pub(crate) async fn block_or_never(&mut self) -> Option<String> {
        while !self.input.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        }
        self.block().await
    }

    /// Reads a line without its end.
    pub async fn line(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.input.windows(2).position(|bytes| bytes == b"\r\n") {
                break at;
            }
            assert_ne!(self.more().await, 0, "ended within a line: {:?}", self.input);
        };
        let line = self.input.split_to(end);
        self.input.advance(2);
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Reads so many bytes.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.input.len() < length {
            assert_ne!(self.more().await, 0, "ended after {} of {length} bytes", self.input.len());
        }
        self.input.split_to(length).to_vec()
    }

    /// Reads one chunk of a chunked body; an empty one is the last.
    pub async fn chunk(&mut self) -> Vec<u8> {
        let line = self.line().await;
        let size = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
        let data = self.exactly(size).await;
        if size > 0 {
            assert_eq!(self.line().await, "", "a chunk ends with its data");
        }
        data
    }

    /// Reads all chunks and the trailers, which are returned line by line.
    pub async fn chunks(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk().await;
            if chunk.is_empty() {
                break;
            }
            body.extend(chunk);
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return (body, trailers);
            }
            trailers.push(line);
        }
    }

    /// Reads to the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        self.input.split().to_vec()
    }

    /// Waits for the other side to end the connection, and returns what it said before. A reset is an end too.
    pub async fn end(&mut self) -> Vec<u8> {
        while within("the end of a connection", self.stream.read_buf(&mut self.input)).await.unwrap_or(0) > 0 {}
        self.input.split().to_vec()
    }

    /// Whether the other side says nothing for a moment. Only to be asked where something wrong would be said at once.
    pub async fn is_silent(&mut self) -> bool {
        const MOMENT: Duration = Duration::from_millis(150);
        self.input.is_empty() && tokio::time::timeout(MOMENT, self.stream.read_buf(&mut self.input)).await.is_err()
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.expect("the connection is open");
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        let socket = self.socket.as_ref().expect("it is a TCP socket");
        socket.set_linger(Some(Duration::ZERO)).expect("it is a TCP socket");
    }

    async fn more(&mut self) -> usize {
        let read = within("more bytes", self.stream.read_buf(&mut self.input)).await;
        read.unwrap_or_else(|error| panic!("{error} after {:?}", self.input))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.input.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, into);
        }
        let known = this.input.split_to(this.input.len().min(into.remaining()));
        into.put_slice(&known);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
