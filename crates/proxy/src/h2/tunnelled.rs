//! A stream of HTTP/2 as a stream of bytes, for what is inside an extended CONNECT.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of HTTP/2 as a stream of bytes.
pub(super) struct Tunnelled {
    recv: RecvStream,
    send: SendStream<Bytes>,
    /// What came and was not read yet.
    rest: Bytes,
}

/// The most that is sent at once.
const PIECE: usize = 16 * 1024;

impl Tunnelled {
    pub(super) fn new(recv: RecvStream, send: SendStream<Bytes>) -> Self {
        Self { recv, send, rest: Bytes::new() }
    }
}

impl AsyncRead for Tunnelled {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            let Some(data) = ready!(this.recv.poll_data(context)) else { return Poll::Ready(Ok(())) };
            this.rest = data.map_err(io::Error::other)?;
        }
        let take = this.rest.len().min(into.remaining());
        into.put_slice(this.rest.get(..take).unwrap_or_default());
        this.rest.advance(take);
        // It fails only if more is given back than was taken.
        drop(this.recv.flow_control().release_capacity(take));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnelled {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let wanted = bytes.len().min(PIECE);
        self.send.reserve_capacity(wanted);
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let take = wanted.min(self.send.capacity());
        let piece = Bytes::copy_from_slice(bytes.get(..take).unwrap_or_default());
        self.send.send_data(piece, false).map_err(io::Error::other)?;
        Poll::Ready(Ok(take))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task writes what was handed to it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It fails only if the stream has ended already.
        drop(self.send.send_data(Bytes::new(), true));
        Poll::Ready(Ok(()))
    }
}
