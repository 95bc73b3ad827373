//! One connection of a client that speaks HTTP/2: a task for each stream, and one that looks after them all.

mod body;
mod frames;
mod guarded;
mod stream;
mod tunnelled;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use ::h2::server::{self, Builder};
use ::h2::{Ping, PingPong, Reason};
use alarm::{Alarm, Over};
use bytes::{Bytes, BytesMut};
use model::limits::Settled;
use pipeline::{BoxError, Connection};
use upstream::io::Io;

use self::guarded::{Guarded, State};
use self::stream::Stream;
use crate::accept::{Listener, Stop};
use crate::cut;
use crate::handle::Service;

/// How often the connection as a whole is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long nothing may come from a client that waits for something, before it is asked whether it is there; as long
/// again until it is taken to be gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a connection that is cut has to say so.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long a client has to agree that its connection ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves a connection until it ends.
pub(crate) async fn serve(
    io: Io,
    early: BytesMut,
    connection: Arc<Connection>,
    listener: &Arc<Listener>,
    service: &Arc<Service>,
) {
    let peer = connection.peer;
    let alarm = Alarm::new();
    // What the handshake needs is not kept for as long as the connection.
    let begun = Box::pin(begin(io, early, connection, (listener, service), &alarm)).await;
    let mut session = match begun {
        Ok(session) => session,
        Err(error) => return tracing::debug!(%peer, %error, "an HTTP/2 connection did not begin well"),
    };
    if let Err(error) = session.run(&alarm).await {
        tracing::debug!(%peer, %error, "an HTTP/2 connection ended early");
    }
}

/// Exchanges the prefaces.
async fn begin(
    io: Io,
    early: BytesMut,
    connection: Arc<Connection>,
    (listener, service): (&Arc<Listener>, &Arc<Service>),
    alarm: &Alarm,
) -> Result<Session, BoxError> {
    let limits = &listener.limits;
    let state = Arc::new(State::new());
    let io = Guarded::new(io, early, state.clone(), limits);
    let stream = Stream { state, listener: listener.clone(), service: service.clone(), connection };
    alarm.watch(stream.connection.depends_on.get().cloned().unwrap_or_default());
    let handshake = pin!(alarm.limit(limits.head_time.duration(), builder(limits).handshake(io)));
    let h2 = cut::unless_over(alarm, handshake).await.map_err(|_over| OVER)???;
    Ok(Session::new(h2, stream))
}

fn builder(limits: &Settled) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.head_bytes.bytes()).unwrap_or(u32::MAX))
        .header_table_size(u32::try_from(limits.http2_header_table.bytes()).unwrap_or(u32::MAX))
        .max_send_buffer_size(32 * 1024)
        .initial_window_size(128 * 1024)
        .initial_connection_window_size(512 * 1024)
        .max_pending_accept_reset_streams(usize::try_from(limits.http2_resets_per_second).unwrap_or(usize::MAX))
        .enable_connect_protocol();
    builder
}

/// A connection whose handshake is done.
struct Session {
    h2: server::Connection<Guarded, Bytes>,
    pings: Option<PingPong>,
    /// What is common to all streams.
    stream: Stream,
    /// Streams so far.
    streams: u32,
    /// Since when there is no stream, in ticks.
    silent: u64,
    /// Since when nothing has come, in ticks.
    quiet: u64,
    /// Whether the client was asked since then whether it is there.
    is_asked: bool,
    /// Bytes that had come at the last look.
    came: u64,
    leaving: Leaving,
    /// Whether the alarm watches what the connection depends on.
    is_watched: bool,
}

/// How a connection comes to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// No new streams; the connection ends when the last one does.
    InOrder,
    /// Because of what the client sent: it is told why, and no more.
    AtOnce,
    /// What the connection depends on is over: the client is told, and given no time.
    Cut,
}

/// Whether a connection goes on.
enum Sight {
    Well,
    Cut(&'static str),
}

impl Session {
    fn new(mut h2: server::Connection<Guarded, Bytes>, stream: Stream) -> Self {
        let pings = h2.ping_pong();
        let now = alarm::now();
        Self {
            h2,
            pings,
            stream,
            streams: 0,
            silent: now,
            quiet: now,
            is_asked: false,
            came: 0,
            leaving: Leaving::No,
            is_watched: false,
        }
    }

    async fn run(&mut self, alarm: &Alarm) -> Result<(), BoxError> {
        alarm.set(LOOK);
        poll_fn(|context| {
            loop {
                if let Poll::Ready(ended) = self.poll_streams(context) {
                    return Poll::Ready(ended);
                }
                if !matches!(self.leaving, Leaving::AtOnce | Leaving::Cut)
                    && let Some(reason) = self.stream.state.fault()
                {
                    self.leaving = Leaving::AtOnce;
                    self.silent = alarm::now();
                    self.h2.abrupt_shutdown(reason);
                    continue;
                }
                if self.leaving != Leaving::Cut && self.poll_over(alarm, context).is_ready() {
                    self.leaving = Leaving::Cut;
                    alarm.set(LAST_WORDS);
                    self.h2.abrupt_shutdown(Reason::NO_ERROR);
                    continue;
                }
                if alarm.poll_expired(context).is_pending() {
                    return Poll::Pending;
                }
                if self.leaving == Leaving::Cut {
                    return Poll::Ready(Err(OVER.into()));
                }
                alarm.set(LOOK);
                if let Sight::Cut(why) = self.look() {
                    return Poll::Ready(Err(why.into()));
                }
            }
        })
        .await
    }

    /// Starts streams as they come; ready when the connection has ended.
    fn poll_streams(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            match self.h2.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.streams += 1;
                    if self.streams == self.stream.listener.limits.requests_per_connection {
                        self.leave();
                    }
                    self.stream.clone().start(request, respond);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Ready when what the connection as a whole depends on is over. Where its certificate does not, its first request
    /// says what that is.
    fn poll_over(&mut self, alarm: &Alarm, context: &Context<'_>) -> Poll<Over> {
        if !self.is_watched
            && let Some(lives) = self.stream.connection.depends_on.get()
        {
            self.is_watched = true;
            alarm.watch(lives.clone());
        }
        alarm.poll_over(context)
    }

    fn leave(&mut self) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::InOrder;
            self.silent = alarm::now();
            self.h2.graceful_shutdown();
        }
    }

    /// Looks at the connection as a whole.
    fn look(&mut self) -> Sight {
        let state = &self.stream.state;
        let listener = &self.stream.listener;
        let is_open = state.open.load(Ordering::Relaxed) > 0;
        let came = state.came.load(Ordering::Relaxed);
        let now = alarm::now();
        let lasts = |since: u64, limit: Duration| now.saturating_sub(since) > ticks(limit);
        if is_open && self.leaving != Leaving::AtOnce {
            self.silent = now;
        }
        if came != std::mem::replace(&mut self.came, came) {
            (self.quiet, self.is_asked) = (now, false);
        }
        if self.leaving != Leaving::No && lasts(self.silent, FAREWELL) {
            return Sight::Cut("the client does not let its connection end");
        }
        if state.head_since().is_some_and(|since| lasts(since, listener.limits.head_time.duration())) {
            return Sight::Cut("a head took too long");
        }
        if is_open && lasts(self.quiet, 2 * PATIENCE) {
            return Sight::Cut("the client is gone");
        }
        let is_idle = !is_open && lasts(self.silent, listener.limits.idle_time.duration());
        // Whoever was too slow on every stream has no claim to the time that idle clients have.
        let was_slow = !is_open && state.slow.load(Ordering::Relaxed) > 0;
        if is_idle || was_slow || listener.stop.get() != Stop::No {
            self.leave();
        } else if is_open && lasts(self.quiet, PATIENCE) && !std::mem::replace(&mut self.is_asked, true) {
            self.ask_whether_it_is_there();
        }
        Sight::Well
    }

    fn ask_whether_it_is_there(&mut self) {
        if let Some(pings) = &mut self.pings {
            // It fails only while another ping is under way.
            drop(pings.send_ping(Ping::opaque()));
        }
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / alarm::TICK.as_millis()).unwrap_or(u64::MAX)
}

/// Why a connection ends that is cut.
const OVER: &str = "what the connection depends on is over";

/// What becomes of a stream that is cut, whose client is too slow, or says what cannot be.
const CUT: Reason = Reason::CANCEL;
const SLOW: Reason = Reason::CANCEL;
const MALFORMED: Reason = Reason::PROTOCOL_ERROR;
