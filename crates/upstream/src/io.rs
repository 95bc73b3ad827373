//! A connection, plain or by TLS, and how it is read without a buffer of its own.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

pub use crate::held::Held;

/// What one read takes at most when it is not known how much comes.
const SCRATCH: usize = 32 * 1024;

/// What is reserved for the last piece of a body, at most. Measured with 100 KiB: larger ones cost the allocator more than
/// they save in calls of the kernel, smaller ones the other way round.
const PIECE: usize = 48 * 1024;

/// What is reserved for a piece of a body that is long, or may be. A client that takes nothing holds one or two.
const PIECE_OF_MANY: usize = 24 * 1024;

/// A body that is read in pieces as large as they may be.
const SHORT: usize = 256 * 1024;

/// A buffer for heads that is larger is not kept for the next one.
const LARGEST_HEAD: usize = 8 * 1024;

thread_local! {
    /// The buffer for a head that was written last.
    static SPARE_HEAD: Cell<Option<BytesMut>> = const { Cell::new(None) };
    static SCRATCH_PAD: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A connection, plain or by TLS.
#[derive(Debug)]
pub enum Io {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP, either side of it.
    Tls(Box<TlsStream<Held>>),
}

impl Io {
    /// The TCP connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0.tcp(),
        }
    }

    /// Holds back what is written last, so that the farewell of TLS goes out with it: see [`Self::poll_farewell`].
    pub fn hold(&mut self) {
        if let Self::Tls(tls) = self
            && let TlsStream::Server(tls) = &mut **tls
        {
            tls.get_mut().0.hold();
        }
    }

    /// Says that nothing more comes, and lets go what was held back.
    pub fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Tls(tls) = self
            && let TlsStream::Server(tls) = &mut **tls
        {
            tls.get_mut().1.send_close_notify();
            // First all that TLS has to say is brought together, then it goes out.
            ready!(Pin::new(&mut *tls).poll_flush(context))?;
            tls.get_mut().0.release();
        }
        Pin::new(self).poll_flush(context)
    }

    /// The address of the other end.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// Reads once into a pad that all connections of this thread share, and shows what came to `look`.
    ///
    /// An idle connection so holds no buffer. No bytes mean that the other end will send no more.
    pub fn poll_glance<T>(&mut self, context: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Poll<io::Result<T>> {
        SCRATCH_PAD.with_borrow_mut(|pad| {
            let mut pad = ReadBuf::new(pad);
            ready!(Pin::new(self).poll_read(context, &mut pad))?;
            Poll::Ready(Ok(look(pad.filled())))
        })
    }

    /// Reads a piece of a body to the end of `buffer`; at most `expected` bytes more are known to come.
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        expected: Option<u64>,
    ) -> Poll<io::Result<usize>> {
        // A byte more than is to come: a read that does not fill its buffer has seen all there is, and the runtime need
        // not ask again whether there is more.
        let room = expected.and_then(|expected| usize::try_from(expected).ok()?.checked_add(1));
        let room = room.filter(|room| *room <= SHORT).map_or(PIECE_OF_MANY, |room| room.clamp(1024, PIECE));
        if buffer.capacity() - buffer.len() < room.min(4096) {
            if !buffer.is_empty() {
                buffer.reserve(room);
            } else if !buffer.try_reclaim(room) {
                // A buffer grows to the largest size that it ever had, which need not be this one.
                *buffer = BytesMut::with_capacity(room);
            }
        }
        let read = pin!(self.read_buf(buffer)).poll(context);
        if read.is_pending() && buffer.is_empty() {
            // Who comes slowly is waited for without a buffer.
            *buffer = BytesMut::new();
        }
        read
    }

    /// Whether nothing is known to have come that was not read; the kernel is not asked.
    pub fn is_read(&self) -> bool {
        self.tcp().poll_read_ready(&mut Context::from_waker(std::task::Waker::noop())).is_pending()
    }

    /// Whether an idle connection is still of use: the other end neither closed it nor said something unasked.
    pub fn is_quiet(&self) -> bool {
        if self.is_read() {
            return true;
        }
        // The runtime believes that there may be more until somebody has looked.
        let looked = self.tcp().try_read(&mut [0]);
        matches!(looked, Err(cause) if cause.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(context, into),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(context, pieces),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
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

/// Bytes on their way out: a small buffer for heads and framing, a piece of a body behind it that is not copied, and
/// what ends the piece.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Goes first.
    head: BytesMut,
    piece: Bytes,
    tail: Bytes,
    unflushed: bool,
}

/// Pieces up to this size are copied behind the head: one buffer is cheaper than two.
const SMALL: usize = 2048;

impl Outbox {
    /// What goes first. Nothing may be added while a piece waits (see [`Self::has_piece`]).
    pub fn head(&mut self) -> &mut BytesMut {
        if self.head.capacity() == 0 {
            self.head = SPARE_HEAD.take().unwrap_or_default();
        }
        &mut self.head
    }

    /// Bytes of heads and small pieces that wait.
    pub fn gathered(&self) -> usize {
        self.head.len()
    }

    /// Queues a piece of a body.
    pub fn push(&mut self, piece: Bytes) {
        debug_assert!(!self.has_piece(), "a piece is never lost");
        if piece.len() <= SMALL { self.head().extend_from_slice(&piece) } else { self.piece = piece }
    }

    /// Queues a piece of a body as a chunk (RFC 9112, section 7.1).
    pub fn push_chunk(&mut self, piece: Bytes) {
        http1::write_chunk_size(self.head(), piece.len());
        self.push(piece);
        if self.piece.is_empty() {
            self.head().extend_from_slice(http1::CHUNK_END);
        } else {
            self.tail = Bytes::from_static(http1::CHUNK_END);
        }
    }

    /// Whether a piece waits that nothing may be queued behind.
    pub fn has_piece(&self) -> bool {
        !self.piece.is_empty() || !self.tail.is_empty()
    }

    /// Whether everything has been written.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && !self.has_piece() && !self.unflushed
    }

    /// Writes until everything is written; `wrote` is told of each step.
    pub fn poll_write(
        &mut self,
        io: &mut Io,
        context: &mut Context<'_>,
        mut wrote: impl FnMut(usize),
    ) -> Poll<io::Result<()>> {
        if self.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.head.is_empty() || self.has_piece() {
            self.unflushed = true;
            let io = Pin::new(&mut *io);
            let written = if self.has_piece() {
                let slices = [self.head.as_ref(), self.piece.as_ref(), self.tail.as_ref()].map(io::IoSlice::new);
                ready!(io.poll_write_vectored(context, &slices))?
            } else {
                ready!(io.poll_write(context, &self.head))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            wrote(written);
            self.advance(written);
        }
        ready!(Pin::new(io).poll_flush(context))?;
        self.unflushed = false;
        let mut head = std::mem::take(&mut self.head);
        if (1..=LARGEST_HEAD).contains(&head.capacity()) {
            // Whoever writes next finds it in the cache, and who waits keeps none.
            head.clear();
            SPARE_HEAD.set(Some(head));
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        let of_piece = (written - of_head).min(self.piece.len());
        self.piece.advance(of_piece);
        self.tail.advance(written - of_head - of_piece);
    }
}
