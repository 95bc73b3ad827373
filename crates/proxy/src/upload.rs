//! A request's body, read from a client's connection as it is asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http1::Decoded;
use pipeline::BoxError;

use crate::h1::{Client, Shared};
use crate::pace::{Pace, TooSlow};
use crate::refused::BodyError;

/// What tells a client to go on (RFC 9110, section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request's body.
pub(crate) struct Upload {
    client: Shared,
    received: Arc<AtomicU64>,
    pace: Pace,
    length: Option<u64>,
    read: u64,
    limit: u64,
    is_done: bool,
}

impl Upload {
    pub(crate) fn new(client: Shared, received: Arc<AtomicU64>, pace: Pace, length: Option<u64>, limit: u64) -> Self {
        Self { client, received, pace, length, read: 0, limit, is_done: false }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        let client = &mut *self.client.lock();
        if std::mem::take(&mut client.waits) {
            client.outbox.head().extend_from_slice(CONTINUE);
        }
        if let Poll::Ready(Err(_)) = client.outbox.poll_write(&mut client.io, context, drop) {
            return Poll::Ready(Err(BodyError::Gone));
        }
        loop {
            match client.decoder.decode(&mut client.input).map_err(BodyError::Malformed)? {
                Decoded::Data(data) => {
                    self.pace.rest();
                    self.pace.progress(data.len());
                    self.read += data.len() as u64;
                    self.received.store(self.read, Ordering::Relaxed);
                    if self.read > self.limit {
                        return Poll::Ready(Err(BodyError::TooLarge(self.limit)));
                    }
                    self.is_done = client.decoder.is_done();
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                Decoded::Trailers(trailers) => {
                    self.is_done = true;
                    return Poll::Ready(Ok(Some(Frame::trailers(trailers))));
                }
                Decoded::Done => {
                    self.is_done = true;
                    return Poll::Ready(Ok(None));
                }
                Decoded::More => {}
            }
            match client.poll_more(context) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(BodyError::Gone)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    let TooSlow = ready!(self.pace.poll_wait(context));
                    return Poll::Ready(Err(BodyError::TooSlow));
                }
            }
        }
    }
}

impl Client {
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let expected = self.decoder.remaining();
        self.io.poll_piece(context, &mut self.input, expected)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_next(context));
        Poll::Ready(next.map_err(BoxError::from).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.is_done
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, |length| SizeHint::with_exact(length - self.read.min(length)))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let client = &mut *self.client.lock();
        client.is_read = false;
        if client.decoder.is_done() && client.input.is_empty() {
            client.input = BytesMut::new();
        }
    }
}
