//! A connection whose frames are looked at on their way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use h2::Reason;
use model::limits::Settled;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use upstream::io::Io;

use super::frames::Inspector;
use crate::pace::{Pace, TooSlow};

/// What a connection, its streams and whoever looks after them tell each other.
#[derive(Debug)]
pub(super) struct State {
    /// Streams that are open.
    pub(super) open: AtomicU32,
    /// Streams that were cut because their client was too slow.
    pub(super) slow: AtomicU32,
    /// Bytes that came.
    pub(super) came: AtomicU64,
    /// When the head began that is not complete yet, in ticks.
    head_since: AtomicU64,
    /// What is wrong with what the client sent: the code and one, or zero if nothing is.
    fault: AtomicU64,
    /// The stream whose data are on their way, and how many bytes of the frame are here.
    underway: AtomicU32,
    underway_bytes: AtomicU64,
}

/// No head is awaited.
const NO_HEAD: u64 = u64::MAX;
const TICKS_PER_SECOND: u64 = 10;
/// What is read after the end, at most, so that the client hears of it.
const MOST_THROWN: usize = 1024 * 1024;

impl State {
    pub(super) fn new() -> Self {
        Self {
            open: AtomicU32::new(0),
            slow: AtomicU32::new(0),
            came: AtomicU64::new(0),
            head_since: AtomicU64::new(alarm::now()),
            fault: AtomicU64::new(0),
            underway: AtomicU32::new(0),
            underway_bytes: AtomicU64::new(0),
        }
    }

    /// Since when a head has been coming, in ticks, if one is.
    pub(super) fn head_since(&self) -> Option<u64> {
        Some(self.head_since.load(Ordering::Relaxed)).filter(|since| *since != NO_HEAD)
    }

    pub(super) fn fault(&self) -> Option<Reason> {
        let fault = self.fault.load(Ordering::Relaxed).checked_sub(1)?;
        Some(u32::try_from(fault).unwrap_or_default().into())
    }

    fn blame(&self, reason: Reason) {
        self.fault.store(u64::from(u32::from(reason)) + 1, Ordering::Relaxed);
    }

    /// Bytes of a stream's data that are here, but not as a whole frame.
    pub(super) fn partial(&self, stream: u32) -> u64 {
        let is_it = self.underway.load(Ordering::Relaxed) == stream;
        if is_it { self.underway_bytes.load(Ordering::Relaxed) } else { 0 }
    }

    fn note(&self, inspector: &Inspector) {
        let (stream, bytes) = inspector.underway().unwrap_or_default();
        self.underway.store(stream, Ordering::Relaxed);
        self.underway_bytes.store(bytes, Ordering::Relaxed);
        if !inspector.awaits_a_head() {
            self.head_since.store(NO_HEAD, Ordering::Relaxed);
        } else if self.head_since.load(Ordering::Relaxed) == NO_HEAD {
            self.head_since.store(alarm::now(), Ordering::Relaxed);
        }
    }
}

/// A connection whose frames are looked at on their way, with what was read of it already in front.
pub(super) struct Guarded {
    io: Io,
    early: BytesMut,
    state: Arc<State>,
    inspector: Inspector,
    taking: Pace,
    has_ended: bool,
    /// Bytes that came after the end and were thrown away.
    thrown: usize,
}

impl Guarded {
    pub(super) fn new(io: Io, early: BytesMut, state: Arc<State>, limits: &Settled) -> Self {
        let (inspector, taking) = (Inspector::new(limits), Pace::new(limits));
        Self { io, early, state, inspector, taking, has_ended: false, thrown: 0 }
    }

    /// Looks at what was read; what follows something wrong is never seen by anybody.
    fn inspect(&mut self, into: &mut ReadBuf<'_>, before: usize) {
        let came = into.filled().get(before..).unwrap_or_default();
        self.state.came.fetch_add(came.len() as u64, Ordering::Relaxed);
        if let Err((good, reason)) = self.inspector.came(came, second()) {
            into.set_filled(before + good);
            self.state.blame(reason);
        }
        self.state.note(&self.inspector);
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.taking.rest();
        self.taking.progress(bytes.len());
        if let Err(reason) = self.inspector.goes(bytes, second()) {
            self.state.blame(reason);
        }
    }

    /// Until the client takes something; an error if it takes too little.
    fn poll_taken(&mut self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        self.taking.poll_wait(context).map(|TooSlow| {
            // A client that takes nothing would keep what it was sent in the kernel for as long as it likes.
            drop(socket2::SockRef::from(self.io.tcp()).set_linger(Some(std::time::Duration::ZERO)));
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

fn second() -> u64 {
    alarm::now() / TICKS_PER_SECOND
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        if this.state.fault().is_some() {
            // Whoever serves the connection looks for it after each turn.
            return Poll::Pending;
        }
        if this.early.is_empty() {
            ready!(Pin::new(&mut this.io).poll_read(context, into))?;
            if into.filled().len() == before {
                this.has_ended = true;
                return Poll::Ready(Ok(()));
            }
        } else {
            let take = this.early.len().min(into.remaining());
            into.put_slice(this.early.get(..take).unwrap_or_default());
            this.early.advance(take);
            if this.early.is_empty() {
                this.early = BytesMut::new();
            }
        }
        this.inspect(into, before);
        if into.filled().len() == before { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Poll::Ready(written) = Pin::new(&mut this.io).poll_write(context, bytes)? else {
            return this.poll_taken(context);
        };
        this.wrote(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Poll::Ready(written) = Pin::new(&mut this.io).poll_write_vectored(context, pieces)? else {
            return this.poll_taken(context);
        };
        let mut left = written;
        for piece in pieces {
            let take = left.min(piece.len());
            this.wrote(piece.get(..take).unwrap_or_default());
            left -= take;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.io).poll_flush(context) {
            Poll::Pending => this.poll_taken(context).map_ok(drop),
            flushed @ Poll::Ready(_) => flushed,
        }
    }

    /// Says that nothing more comes, and then reads to the end: a connection that is closed with unread bytes is
    /// reset, and the client would not hear why. Whoever serves the connection limits the time for that.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
        while !this.has_ended && this.thrown < MOST_THROWN {
            let read = ready!(this.io.poll_glance(context, <[u8]>::len)).unwrap_or(0);
            this.has_ended = read == 0;
            this.thrown += read;
        }
        Poll::Ready(Ok(()))
    }
}
