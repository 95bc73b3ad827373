//! One connection of a client that speaks HTTP/2: a task for each stream, and one that looks after them all.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use alarm::Alarm;
use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pipeline::{Body, BoxError, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use upstream::io::Io;

use crate::accept::{Listener, Stop};
use crate::extended_connect;
use crate::handle::{Incoming, Service};
use crate::pace::{Pace, TooSlow};
use crate::refused::BodyError;
use crate::served::{Piece, Served};

/// How often the connection as a whole is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Serves a connection until it ends.
pub(crate) async fn serve(
    io: Io,
    early: BytesMut,
    connection: Arc<Connection>,
    listener: &Arc<Listener>,
    service: &Arc<Service>,
) {
    let state = Arc::new(State::default());
    let limits = &listener.limits;
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.head_bytes.bytes()).unwrap_or(u32::MAX))
        .max_send_buf_size(64 * 1024)
        .initial_stream_window_size(128 * 1024)
        .initial_connection_window_size(512 * 1024)
        .max_pending_accept_reset_streams(usize::try_from(limits.http2_resets_per_second).unwrap_or(usize::MAX))
        .max_local_error_reset_streams(usize::try_from(limits.http2_resets_per_second).ok())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .enable_connect_protocol();
    let answer = {
        let (state, listener, service, peer) = (state.clone(), listener.clone(), service.clone(), connection.clone());
        service_fn(move |request| {
            let exchange = Stream { state: state.clone(), listener: listener.clone(), service: service.clone() };
            exchange.answer(request, peer.clone())
        })
    };
    let io = TokioIo::new(Watched { io, early, state: state.clone() });
    let mut served = pin!(builder.serve_connection(io, answer));
    let alarm = Alarm::new();
    alarm.set(LOOK);
    let mut watch = Watch { state: &state, listener, silent: 0, moved: 0, slow: 0, is_leaving: false };
    let ended = poll_fn(|context| {
        if let Poll::Ready(result) = served.as_mut().poll(context) {
            return Poll::Ready(result.map_err(BoxError::from));
        }
        while alarm.poll_expired(context).is_ready() {
            alarm.set(LOOK);
            match watch.look() {
                Sight::Well => {}
                Sight::Leave => served.as_mut().graceful_shutdown(),
                Sight::Cut => return Poll::Ready(Err("the client is too slow".into())),
            }
        }
        Poll::Pending
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, %error, "an HTTP/2 connection ended early");
    }
}

/// What the streams of a connection tell whoever looks after it.
#[derive(Default)]
struct State {
    /// Streams that are open.
    open: AtomicU32,
    /// Streams that wait for the client to send or to take something.
    waiting: AtomicU32,
    /// Bytes that came and went.
    moved: AtomicU64,
}

struct Watch<'a> {
    state: &'a State,
    listener: &'a Listener,
    /// Looks in a row without a stream.
    silent: u64,
    moved: u64,
    /// Looks in a row at which streams waited and too little moved.
    slow: u64,
    is_leaving: bool,
}

enum Sight {
    Well,
    /// No new streams; the connection ends when the last one does.
    Leave,
    /// The connection ends now.
    Cut,
}

impl Watch<'_> {
    fn look(&mut self) -> Sight {
        let limits = &self.listener.limits;
        let moved = self.state.moved.load(Ordering::Relaxed);
        let since = moved - std::mem::replace(&mut self.moved, moved);
        let waits = self.state.waiting.load(Ordering::Relaxed) > 0;
        self.slow = if waits && since < limits.min_rate.bytes() { self.slow + 1 } else { 0 };
        self.silent = if self.state.open.load(Ordering::Relaxed) == 0 { self.silent + 1 } else { 0 };
        if self.slow > limits.min_rate_grace.duration().as_secs() {
            return Sight::Cut;
        }
        let is_idle = self.silent > limits.idle_time.duration().as_secs();
        if self.is_leaving && self.silent > 5 {
            return Sight::Cut;
        }
        if !self.is_leaving && (is_idle || self.listener.stop.get() != Stop::No) {
            self.is_leaving = true;
            return Sight::Leave;
        }
        Sight::Well
    }
}

struct Stream {
    state: Arc<State>,
    listener: Arc<Listener>,
    service: Arc<Service>,
}

/// A stream that counts as open while it is there.
struct Open(Arc<State>);

impl Open {
    fn new(state: Arc<State>) -> Self {
        state.open.fetch_add(1, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream {
    async fn answer(
        self,
        mut request: Request<hyper::body::Incoming>,
        connection: Arc<Connection>,
    ) -> Result<Response<Download>, Infallible> {
        let Self { state, listener, service } = self;
        let open = Open::new(state.clone());
        let switch = extended_connect::begin(&mut request);
        let (mut head, body) = request.into_parts();
        head.version = http::Version::HTTP_2;
        let received = Arc::<AtomicU64>::default();
        let body = if body.is_end_stream() || switch.is_some() {
            Body::Empty
        } else {
            Body::stream(Upload {
                body,
                received: received.clone(),
                pace: Pace::new(&listener.limits),
                waiting: Waiting::new(state.clone()),
                limit: listener.limits.body_bytes.bytes(),
            })
        };
        let incoming = Incoming { head, body, received, upgrade: switch.is_some(), interim: None };
        let mut served = Box::pin(service.handle(&connection, incoming, &Alarm::new())).await;
        let (parts, ()) = Response::new(()).into_parts();
        let mut head = std::mem::replace(&mut served.head, parts);
        if let (Some(switch), Some(tunnel)) = (switch, served.tunnel.take()) {
            extended_connect::agree(&mut head);
            let idle = listener.limits.tunnel_idle_time.duration();
            extended_connect::relay(switch, tunnel, idle, (served, open));
            let waiting = Waiting::new(state.clone());
            let download = Download { served: None, is_done: true, waiting, _open: Open::new(state) };
            return Ok(Response::from_parts(head, download));
        }
        if let (Some(length), false) = (served.left(), served.method() == http::Method::HEAD) {
            // Statuses without a body have none to speak of.
            if length > 0 {
                head.headers.entry(http::header::CONTENT_LENGTH).or_insert(length.into());
            }
        }
        head.version = http::Version::HTTP_2;
        let is_done = served.left() == Some(0);
        let download = Download { served: Some(served), is_done, waiting: Waiting::new(state), _open: open };
        Ok(Response::from_parts(head, download))
    }
}

/// Says that a stream waits for its client, while it does.
struct Waiting {
    state: Arc<State>,
    waits: bool,
}

impl Waiting {
    fn new(state: Arc<State>) -> Self {
        Self { state, waits: false }
    }

    fn set(&mut self, waits: bool) {
        if std::mem::replace(&mut self.waits, waits) == waits {
            return;
        }
        if waits {
            self.state.waiting.fetch_add(1, Ordering::Relaxed);
        } else {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// A request's body.
struct Upload {
    body: hyper::body::Incoming,
    received: Arc<AtomicU64>,
    pace: Pace,
    waiting: Waiting,
    limit: u64,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            this.waiting.set(true);
            let TooSlow = ready!(this.pace.poll_wait(context));
            return Poll::Ready(Some(Err(BodyError::TooSlow.into())));
        };
        this.waiting.set(false);
        this.pace.rest();
        let Some(frame) = frame.transpose()? else { return Poll::Ready(None) };
        let length = frame.data_ref().map_or(0, Bytes::len);
        this.pace.progress(length);
        if this.received.fetch_add(length as u64, Ordering::Relaxed) + length as u64 > this.limit {
            return Poll::Ready(Some(Err(BodyError::TooLarge(this.limit).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. Between two pieces the client is waited for: the next one is asked for when there is room.
struct Download {
    served: Option<Served>,
    is_done: bool,
    waiting: Waiting,
    _open: Open,
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        this.waiting.set(false);
        let Some(served) = &mut this.served else { return Poll::Ready(None) };
        let frame = match ready!(served.poll_piece(context))? {
            Piece::Data { data, is_last } => {
                this.is_done = is_last;
                this.waiting.set(!is_last);
                Frame::data(data)
            }
            Piece::Trailers(trailers) => {
                this.is_done = true;
                Frame::trailers(trailers)
            }
            Piece::End => {
                this.is_done = true;
                this.served = None;
                return Poll::Ready(None);
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_done
    }

    fn size_hint(&self) -> SizeHint {
        self.served.as_ref().and_then(Served::left).map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A connection whose bytes are counted, with what was read of it already in front.
struct Watched {
    io: Io,
    early: BytesMut,
    state: Arc<State>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.early.is_empty() {
            let take = this.early.len().min(into.remaining());
            into.put_slice(this.early.get(..take).unwrap_or_default());
            this.early.advance(take);
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(context, into))?;
        this.state.moved.fetch_add((into.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
        self.state.moved.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(context, pieces))?;
        self.state.moved.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
