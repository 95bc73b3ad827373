//! A request's body, as a stream of HTTP/2 brings it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use pipeline::BoxError;

use super::guarded::State;
use super::stream::{Respond, Stream};
use crate::pace::{Pace, TooSlow};
use crate::refused::BodyError;

/// A request's body.
pub(super) struct Upload {
    recv: RecvStream,
    received: Arc<AtomicU64>,
    state: Arc<State>,
    pace: Pace,
    /// Bytes of the frame under way that the client was credited with already.
    credited: u64,
    /// Whom to tell to go on, if the client waits for that.
    waits: Option<Respond>,
    length: Option<u64>,
    limit: u64,
}

impl Upload {
    pub(super) fn new(
        recv: RecvStream,
        received: Arc<AtomicU64>,
        stream: &Stream,
        waits: Option<Respond>,
        length: Option<u64>,
    ) -> Self {
        let limits = &stream.listener.limits;
        let (pace, limit) = (Pace::new(limits), limits.body_bytes.bytes());
        Self { recv, received, state: stream.state.clone(), pace, credited: 0, waits, length, limit }
    }

    /// A piece of the body; none when only trailers may follow.
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if let Some(respond) = self.waits.take() {
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            // It fails only if the stream is gone, and then no body comes either.
            drop(respond.lock().send_informational(go_on));
        }
        let Poll::Ready(data) = self.recv.poll_data(context) else {
            let here = self.state.partial(self.recv.stream_id().as_u32());
            self.credit(here.saturating_sub(self.credited));
            self.credited = here;
            let TooSlow = ready!(self.pace.poll_wait(context));
            self.state.slow.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Some(Err(BodyError::TooSlow.into())));
        };
        self.pace.rest();
        let Some(data) = data else { return Poll::Ready(None) };
        let data = data.map_err(|_reset| BodyError::Gone)?;
        let length = data.len() as u64;
        self.credit(length.saturating_sub(self.credited));
        self.credited = 0;
        // It fails only if more is given back than was taken.
        drop(self.recv.flow_control().release_capacity(data.len()));
        if self.received.fetch_add(length, Ordering::Relaxed) + length > self.limit {
            return Poll::Ready(Some(Err(BodyError::TooLarge(self.limit).into())));
        }
        Poll::Ready(Some(Ok(data)))
    }

    fn credit(&mut self, bytes: u64) {
        self.pace.progress(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(data) = ready!(this.poll_data(context)) {
            return Poll::Ready(Some(data.map(Frame::data)));
        }
        let trailers = ready!(this.recv.poll_trailers(context)).map_err(|_reset| BodyError::Gone)?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.recv.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let received = self.received.load(Ordering::Relaxed);
        self.length.map_or_else(SizeHint::default, |length| SizeHint::with_exact(length.saturating_sub(received)))
    }
}
