//! One connection of a client that speaks HTTP/1.1: request after request, by one task.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use alarm::{Alarm, Over};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version};
use http1::{Decoded, Decoder, Framing, Persistence, Refusal, RequestHead};
use parking_lot::Mutex;
use pipeline::{Body, Connection};
use problem::Problem;
use tokio::io::AsyncWrite;
use upstream::io::{Io, Outbox};
use upstream::{Interim, Turn};

use crate::accept::{Listener, Stop};
use crate::handle::{Incoming, Service};
use crate::pace::{Pace, TooSlow};
use crate::refused::{BODY_TOO_LARGE, TOO_SLOW};
use crate::served::{Piece, Served};
use crate::upload::Upload;
use crate::{clock, refused, tunnel};

/// A client's connection, shared by the task that serves it and the body that is read from it.
pub(crate) struct Client {
    pub(crate) io: Io,
    pub(crate) input: BytesMut,
    pub(crate) outbox: Outbox,
    pub(crate) decoder: Decoder,
    /// Whether the client waits for `100 Continue` before it sends a body.
    pub(crate) waits: bool,
    /// Whether somebody may still read the body.
    pub(crate) is_read: bool,
}

pub(crate) type Shared = Arc<Mutex<Client>>;

/// How long an idle connection stays when its listener stops. A request may be on its way, and would fail; the answer
/// to it says that the connection closes.
pub(crate) const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);

/// What comes next on a connection.
enum Next {
    Request(RequestHead),
    Refused(Refusal),
    /// The head did not come in time.
    Late,
    /// Nothing more: the client closed, or was idle for too long, or the gateway stops.
    Nothing,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Again,
    Close,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    io: Io,
    early: BytesMut,
    connection: Arc<Connection>,
    listener: &Listener,
    service: &Service,
) {
    let client = Client {
        io,
        input: early,
        outbox: Outbox::default(),
        decoder: Decoder::new(Framing::None, &listener.heads),
        waits: false,
        is_read: false,
    };
    let client = Arc::new(Mutex::new(client));
    let session = Session { interim: interim(&client), client, connection, listener, service, alarm: Alarm::new() };
    if let Err(error) = session.run().await {
        tracing::debug!(peer = %session.connection.peer, %error, "a connection broke");
        if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::ConnectionAborted) {
            // A client that takes nothing would keep what it was sent in the kernel for as long as it likes, and one that
            // is cut must not take what it has for all there is.
            drop(socket2::SockRef::from(session.client.lock().io.tcp()).set_linger(Some(std::time::Duration::ZERO)));
        }
    }
}

struct Session<'a> {
    client: Shared,
    interim: Interim,
    connection: Arc<Connection>,
    listener: &'a Listener,
    service: &'a Service,
    alarm: Alarm,
}

impl Session<'_> {
    async fn run(&self) -> io::Result<()> {
        let received = Arc::new(AtomicU64::new(0));
        for number in 1.. {
            let Some(head) = self.request(number == 1).await? else { return Ok(()) };
            received.store(0, Ordering::Relaxed);
            let keeps = head.keep_alive
                && number < u64::from(self.listener.limits.requests_per_connection)
                && self.listener.stop.get() == Stop::No;
            let is_last = !head.keep_alive;
            let after = self.exchange(head, keeps, &received).await?;
            if after == After::Close {
                return if is_last && self.has_read_all() { Ok(()) } else { self.linger().await };
            }
        }
        Ok(())
    }

    /// The next request; none if there is no other one, or what came is answered already and the connection closed.
    ///
    /// It is a function of its own so that what it has in hand takes no memory while requests are answered or waited for.
    async fn request(&self, is_first: bool) -> io::Result<Option<RequestHead>> {
        let problem = match self.next(is_first).await? {
            Next::Request(head) => return Ok(Some(head)),
            Next::Nothing => return Ok(None),
            Next::Refused(refusal) => refused::message(&refusal),
            Next::Late => Problem::new(&TOO_SLOW).detail("The head took too long."),
        };
        Box::pin(self.say_goodbye(problem)).await.map(|()| None)
    }

    /// Waits for the next head.
    async fn next(&self, is_first: bool) -> io::Result<Next> {
        let limits = &self.listener.limits;
        // The head's time begins with its first byte, and on a new connection with the connection.
        let mut has_begun = is_first || !self.client.lock().input.is_empty();
        let mut is_leaving = false;
        self.alarm.set(if has_begun { limits.head_time } else { limits.idle_time }.duration());
        self.alarm.watch(self.connection.depends_on.get().cloned().unwrap_or_default());
        let next = poll_fn(|context| {
            if self.alarm.poll_over(context).is_ready() {
                return Poll::Ready(Ok(Next::Nothing));
            }
            let client = &mut *self.client.lock();
            match poll_head(client, &self.listener.heads, context) {
                Poll::Ready(next) => return Poll::Ready(next),
                Poll::Pending if !has_begun && !client.input.is_empty() => {
                    has_begun = true;
                    self.alarm.set(limits.head_time.duration());
                }
                Poll::Pending => {}
            }
            let is_idle = client.input.is_empty();
            if is_idle && !is_leaving && self.listener.stop.get() != Stop::No {
                is_leaving = true;
                self.alarm.set(FAREWELL);
            }
            let late = if is_idle { Next::Nothing } else { Next::Late };
            self.alarm.poll_expired(context).map(|()| Ok(late))
        })
        .await;
        self.alarm.clear();
        next
    }

    /// One request and its answer.
    async fn exchange(&self, head: RequestHead, keeps: bool, received: &Arc<AtomicU64>) -> io::Result<After> {
        let version = head.version;
        let limit = self.listener.limits.body_bytes.bytes();
        if matches!(head.framing, Framing::Length(length) if length > limit) {
            let problem = Problem::new(&BODY_TOO_LARGE)
                .detail(format!("At most {limit} bytes are taken here."))
                .member("limit", limit);
            Box::pin(self.say_goodbye(problem)).await?;
            return Ok(After::Close);
        }
        let body = self.body(&head, received);
        let interim = (version == Version::HTTP_11).then(|| self.interim.clone());
        let upgrade = head.upgrade;
        let incoming = Incoming { head: parts(head), body, received: received.clone(), upgrade, interim };
        // Apart from the connection, so that more of these fit into the cache: with 256 of them, a static answer takes 7 % less
        // processor time. It is given back before the answer goes out, which may take long.
        let handled = Box::pin(self.service.handle(&self.connection, incoming, &self.alarm));
        let Some(served) = self.watch(handled, keeps).await else { return Ok(After::Close) };
        self.send(served, version, keeps).await
    }

    /// The body of a request: whole if it is here already, else read as it comes.
    fn body(&self, head: &RequestHead, received: &Arc<AtomicU64>) -> Body {
        let client = &mut *self.client.lock();
        client.decoder = Decoder::new(head.framing, &self.listener.heads);
        client.waits = false;
        client.is_read = false;
        match head.framing {
            Framing::None | Framing::Length(0) => Body::Empty,
            Framing::Length(length) if length <= client.input.len() as u64 => {
                received.store(length, Ordering::Relaxed);
                match client.decoder.decode(&mut client.input) {
                    Ok(Decoded::Data(data)) => Body::Full(data),
                    Ok(_) | Err(_) => Body::Empty,
                }
            }
            Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
                client.waits = head.expect_continue;
                client.is_read = true;
                let limit = self.listener.limits.body_bytes.bytes();
                let length = if let Framing::Length(length) = head.framing { Some(length) } else { None };
                let pace = Pace::new(&self.listener.limits);
                Body::stream(Upload::new(self.client.clone(), received.clone(), pace, length, limit))
            }
        }
    }

    /// Awaits an answer while the client waits for it; none if the client goes away.
    async fn watch(&self, mut handled: Pin<Box<impl Future<Output = Served>>>, keeps: bool) -> Option<Served> {
        poll_fn(|context| {
            if let Poll::Ready(served) = handled.as_mut().poll(context) {
                return Poll::Ready(Some(served));
            }
            let client = &mut *self.client.lock();
            // What a backend says before its answer goes out while the answer is waited for.
            if let Poll::Ready(Err(_)) = client.outbox.poll_write(&mut client.io, context, drop) {
                return Poll::Ready(None);
            }
            // While a body is read, its reader notices when the client goes. A client that has closed its side and
            // asked for nothing more may still wait for this answer.
            let may_look = !client.is_read && client.input.len() < self.listener.heads.head_bytes;
            if may_look && keeps {
                let input = &mut client.input;
                let glance = client.io.poll_glance(context, |bytes| {
                    input.extend_from_slice(bytes);
                    bytes.len()
                });
                if let Poll::Ready(Ok(0) | Err(_)) = glance {
                    return Poll::Ready(None);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Sends an answer to its end.
    async fn send(&self, mut served: Served, version: Version, keeps: bool) -> io::Result<After> {
        Turn::default().await;
        let framing = served.framing();
        let tunnel = served.tunnel.take();
        let is_chunked = framing == Framing::Chunked.into() && version == Version::HTTP_11;
        let after = {
            let client = &mut *self.client.lock();
            // A body that nobody will read, or that was never asked for, stands between this request and the next one.
            let is_left = !client.decoder.is_done() && (!client.is_read || client.waits);
            let is_open = framing == Framing::Chunked.into() && !is_chunked;
            let closes = !keeps || is_left || is_open && tunnel.is_none() || self.listener.stop.get() != Stop::No;
            let persistence = match (closes, version) {
                (true, _) => Some(Persistence::Close),
                (false, Version::HTTP_10) => Some(Persistence::KeepAlive),
                (false, _) => None,
            };
            let (status, headers) = (served.head.status, &served.head.headers);
            http1::write_response(client.outbox.head(), status, version, headers, framing, persistence, &clock::date());
            if closes { After::Close } else { After::Again }
        };
        if let Some(tunnel) = tunnel {
            let idle = self.listener.limits.tunnel_idle_time.duration();
            let ended = Box::pin(tunnel::run(&self.client, tunnel, idle, &self.alarm)).await;
            return ended.map(|()| After::Close).map_err(|over| cut(&mut served, over));
        }
        let pace = Pace::new(&self.listener.limits);
        let closes = after == After::Close;
        let mut sending = Sending { served, is_chunked, closes, ended: false, broken: None, pace };
        poll_fn(|context| match poll_send(&self.client, &mut sending, context) {
            Poll::Pending => self.alarm.poll_over(context).map(|over| Err(cut(&mut sending.served, over))),
            ready @ Poll::Ready(_) => ready,
        })
        .await?;
        drop(sending);
        let client = &mut *self.client.lock();
        Ok(if client.decoder.is_done() { after } else { After::Close })
    }

    /// Answers a request that no exchange was made of, and closes.
    async fn say_goodbye(&self, problem: Problem) -> io::Result<()> {
        self.say(problem.into_response::<Bytes>()).await
    }

    async fn say(&self, response: http::Response<Bytes>) -> io::Result<()> {
        let (mut head, body) = response.into_parts();
        self.service.note_refusal(&self.connection, head.status);
        head.headers.insert(
            http::HeaderName::from_static("proxy-status"),
            HeaderValue::from_static("vestibule; error=http_request_error"),
        );
        let framing = Framing::Length(body.len() as u64);
        {
            let outbox = &mut self.client.lock().outbox;
            let close = Some(Persistence::Close);
            http1::write_response(
                outbox.head(),
                head.status,
                Version::HTTP_11,
                &head.headers,
                framing,
                close,
                &clock::date(),
            );
            outbox.push(body);
        }
        let write = poll_fn(|context| {
            let client = &mut *self.client.lock();
            client.outbox.poll_write(&mut client.io, context, drop)
        });
        self.alarm.limit(self.listener.limits.min_rate_grace.duration(), write).await.map_err(io::Error::other)??;
        self.linger().await
    }

    /// Whether the client has sent nothing that would be thrown away, so that the connection can be closed at once.
    fn has_read_all(&self) -> bool {
        let client = self.client.lock();
        client.decoder.is_done() && client.input.is_empty() && client.io.is_read()
    }

    /// Closes so that the client can still read the answer: what it sends is thrown away for a moment, because a
    /// connection that is closed with unread bytes is reset.
    async fn linger(&self) -> io::Result<()> {
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
        const MOST: usize = 1024 * 1024;
        let mut thrown = 0;
        let close = async {
            poll_fn(|context| Pin::new(&mut self.client.lock().io).poll_shutdown(context)).await?;
            while thrown < MOST {
                let read = poll_fn(|context| self.client.lock().io.poll_glance(context, <[u8]>::len)).await?;
                if read == 0 {
                    break;
                }
                thrown += read;
            }
            Ok(())
        };
        self.alarm.limit(PATIENCE, close).await.unwrap_or(Ok(()))
    }
}

/// Reads up to the end of a head.
fn poll_head(client: &mut Client, limits: &http1::Limits, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
    let Client { io, input, .. } = client;
    loop {
        if !input.is_empty() {
            match http1::parse_request(input, limits) {
                Ok(Some((head, used))) => {
                    input.advance(used);
                    if input.is_empty() {
                        *input = BytesMut::new();
                    }
                    return Poll::Ready(Ok(Next::Request(head)));
                }
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Ok(Next::Refused(refusal))),
            }
            let read = ready!(io.poll_glance(context, |bytes| {
                input.extend_from_slice(bytes);
                bytes.len()
            }))?;
            if read == 0 {
                return Poll::Ready(Ok(Next::Nothing));
            }
            continue;
        }
        let glanced = ready!(io.poll_glance(context, |bytes| {
            if bytes.is_empty() {
                return Some(Next::Nothing);
            }
            match http1::parse_request(bytes, limits) {
                Ok(Some((head, used))) => {
                    input.extend_from_slice(bytes.get(used..).unwrap_or_default());
                    Some(Next::Request(head))
                }
                Ok(None) => {
                    input.extend_from_slice(bytes);
                    None
                }
                Err(refusal) => Some(Next::Refused(refusal)),
            }
        }))?;
        if let Some(next) = glanced {
            return Poll::Ready(Ok(next));
        }
    }
}

/// Pieces are gathered up to this size before they are written.
const GATHERED: usize = 16 * 1024;

/// Writes pieces as they come, and cuts a client that does not take them.
///
/// The client is never locked while a piece is asked for: the piece may depend on the request's body, which locks it.
fn poll_send(client: &Shared, sending: &mut Sending, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        let waits_for_more = match gather(client, sending, context) {
            Poll::Ready(Ok(())) => false,
            // What came before the end that is missing still goes out.
            Poll::Ready(Err(error)) => {
                (sending.broken, sending.ended) = (Some(error), true);
                false
            }
            Poll::Pending => true,
        };
        let Client { io, outbox, .. } = &mut *client.lock();
        let says_farewell = sending.closes && sending.ended && sending.broken.is_none();
        if says_farewell {
            io.hold();
        }
        let mut written = outbox.poll_write(io, context, |bytes| sending.pace.progress(bytes))?;
        if says_farewell && written.is_ready() {
            written = io.poll_farewell(context)?;
        }
        if written.is_pending() {
            return sending.pace.poll_wait(context).map(|TooSlow| Err(io::ErrorKind::TimedOut.into()));
        }
        sending.pace.rest();
        if sending.ended {
            return Poll::Ready(sending.broken.take().map_or(Ok(()), Err));
        }
        if waits_for_more {
            return Poll::Pending;
        }
    }
}

/// Queues pieces until it is worth writing.
fn gather(client: &Shared, sending: &mut Sending, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let Sending { served, is_chunked, ended, .. } = sending;
    let is_full = |outbox: &Outbox| outbox.has_piece() || outbox.gathered() >= GATHERED;
    while !*ended && !is_full(&client.lock().outbox) {
        // An error reaches the client as a missing end.
        let piece = ready!(served.poll_piece(context)).map_err(io::Error::other)?;
        let outbox = &mut client.lock().outbox;
        match piece {
            Piece::Data { data, .. } if *is_chunked => outbox.push_chunk(data),
            Piece::Data { data, is_last } => {
                outbox.push(data);
                *ended = is_last;
            }
            Piece::Trailers(trailers) => {
                if *is_chunked {
                    http1::write_last_chunk(outbox.head(), Some(&trailers));
                }
                *ended = true;
            }
            Piece::End => {
                if *is_chunked {
                    http1::write_last_chunk(outbox.head(), None);
                }
                *ended = true;
            }
        }
    }
    Poll::Ready(Ok(()))
}

/// Notes why an answer is cut, as the reason why its connection ends.
fn cut(served: &mut Served, over: Over) -> io::Error {
    served.cut(over);
    io::Error::new(io::ErrorKind::ConnectionAborted, "what an answer depends on is over")
}

/// An answer that is being sent.
struct Sending {
    served: Served,
    is_chunked: bool,
    /// The connection ends with it.
    closes: bool,
    ended: bool,
    /// Why it ends early.
    broken: Option<io::Error>,
    pace: Pace,
}

fn parts(head: RequestHead) -> http::request::Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.version, parts.headers) = (head.method, head.uri, head.version, head.headers);
    parts.extensions = head.extensions;
    parts
}

/// What passes 1xx answers on to the client.
fn interim(client: &Shared) -> Interim {
    let client = Arc::downgrade(client);
    Arc::new(move |status: StatusCode, headers: &HeaderMap| {
        let Some(client) = client.upgrade() else { return };
        http1::write_interim(client.lock().outbox.head(), status, headers);
    })
}
