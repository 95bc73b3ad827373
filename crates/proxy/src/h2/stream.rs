//! One stream of a connection of HTTP/2: a request and its answer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use alarm::{Alarm, Over};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request, response};
use parking_lot::Mutex;
use pipeline::{Body, Connection};
use upstream::Interim;

use super::body::Upload;
use super::guarded::State;
use super::tunnelled::Tunnelled;
use super::{CUT, MALFORMED, SLOW};
use crate::accept::Listener;
use crate::handle::{Incoming, Service};
use crate::pace::{Pace, TooSlow};
use crate::served::{Piece, Served};
use crate::{clock, extended_connect, tunnel};

/// Where an answer goes: taken by whoever sends it, and meanwhile by answers before it.
pub(super) type Respond = Arc<Mutex<SendResponse<Bytes>>>;

/// A stream, and all that it has in common with others of its connection.
#[derive(Clone)]
pub(super) struct Stream {
    pub(super) state: Arc<State>,
    pub(super) listener: Arc<Listener>,
    pub(super) service: Arc<Service>,
    pub(super) connection: Arc<Connection>,
}

/// A stream that counts as open while it is there.
struct Open(Arc<State>);

impl Open {
    fn new(state: &Arc<State>) -> Self {
        state.open.fetch_add(1, Ordering::Relaxed);
        Self(state.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why an answer is not sent to its end.
enum Broken {
    /// The client has reset the stream, or is gone.
    Gone,
    Slow,
    /// What the answer depends on is over.
    Cut(Over),
    /// The answer itself has no end.
    Short,
}

impl Stream {
    /// Serves a request, in a task of its own.
    #[expect(clippy::disallowed_methods, reason = "a stream ends when its connection does, which is waited for")]
    pub(super) fn start(self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        if is_malformed(&request) {
            self.service.note_refusal(&self.connection, StatusCode::BAD_REQUEST);
            respond.send_reset(MALFORMED);
            return;
        }
        tokio::spawn(async move { self.serve(request, respond).await });
    }

    #[expect(clippy::disallowed_methods, reason = "a stream ends when its connection does, which is waited for")]
    async fn serve(self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let open = Open::new(&self.state);
        let respond: Respond = Arc::new(Mutex::new(respond));
        let (mut head, recv) = request.into_parts();
        head.version = Version::HTTP_2;
        let switches = extended_connect::begin(&mut head);
        let (body, received, recv) = self.body(&head, recv, &respond, switches);
        let interim = Some(interim(&respond));
        let incoming = Incoming { head, body, received, upgrade: switches, interim };
        let alarm = Alarm::new();
        // Apart from the stream, whose task is small then. It is given back before the answer goes out.
        let handled = Box::pin(self.handle(incoming, &respond, &alarm));
        let Some(mut served) = handled.await else { return };
        let (parts, ()) = Response::new(()).into_parts();
        let mut head = std::mem::replace(&mut served.head, parts);
        let tunnel = served.tunnel.take();
        if tunnel.is_some() {
            extended_connect::agree(&mut head);
        }
        complete(&mut head, &served);
        let is_done = tunnel.is_none() && served.left() == Some(0);
        // It fails only if the stream is gone.
        let Ok(send) = respond.lock().send_response(Response::from_parts(head, ()), is_done) else { return };
        if let (Some(tunnel), Some(recv)) = (tunnel, recv) {
            let idle = self.listener.limits.tunnel_idle_time.duration();
            if let Err(over) = tunnel::relay(Tunnelled::new(recv, send), tunnel, idle, &alarm).await {
                served.cut(over);
            }
            return;
        }
        let mut sending = Sending {
            served,
            send,
            is_done,
            rest: None,
            credit: 0,
            pace: Pace::new(&self.listener.limits),
            alarm,
            open,
        };
        if poll_fn(|context| Poll::Ready(Pin::new(&mut sending).poll(context))).await.is_pending() {
            // An answer may take long, such as a stream of events. What handling its request has needed is not kept for it.
            tokio::spawn(sending);
        }
    }

    /// The body of a request; of an extended CONNECT, the stream that is left to become a tunnel.
    fn body(
        &self,
        head: &request::Parts,
        recv: RecvStream,
        respond: &Respond,
        switches: bool,
    ) -> (Body, Arc<AtomicU64>, Option<RecvStream>) {
        let received = Arc::<AtomicU64>::default();
        if switches {
            return (Body::Empty, received, Some(recv));
        }
        if recv.is_end_stream() {
            return (Body::Empty, received, None);
        }
        let expects = head.headers.get(header::EXPECT);
        let waits = expects.is_some_and(|expects| expects.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let upload = Upload::new(recv, received.clone(), self, waits.then(|| respond.clone()), length);
        (Body::stream(upload), received, None)
    }

    /// Awaits an answer while the client waits for it; none if the client resets the stream.
    async fn handle(&self, incoming: Incoming, respond: &Respond, alarm: &Alarm) -> Option<Served> {
        let mut handled = pin!(self.service.handle(&self.connection, incoming, alarm));
        poll_fn(|context| {
            if let Poll::Ready(served) = handled.as_mut().poll(context) {
                return Poll::Ready(Some(served));
            }
            respond.lock().poll_reset(context).map(|_| None)
        })
        .await
    }
}

/// The body of an answer on its way, to its end.
struct Sending {
    served: Served,
    send: SendStream<Bytes>,
    /// Whether all was sent with the head.
    is_done: bool,
    /// What is left of a piece that there was no room for, and whether it is the last one.
    rest: Option<(Bytes, bool)>,
    /// Bytes that the client had room for when that was looked at last, and that may be handed on without looking again.
    credit: usize,
    pace: Pace,
    alarm: Alarm,
    open: Open,
}

impl Future for Sending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let sent = match this.poll_sent(context) {
            Poll::Pending => this.alarm.poll_over(context).map(|over| Err(Broken::Cut(over))),
            ready @ Poll::Ready(_) => ready,
        };
        match ready!(sent) {
            Ok(()) | Err(Broken::Gone) => {}
            Err(Broken::Slow) => {
                this.open.0.slow.fetch_add(1, Ordering::Relaxed);
                this.send.send_reset(SLOW);
            }
            Err(Broken::Cut(over)) => {
                this.served.cut(over);
                this.send.send_reset(CUT);
            }
            // The client sees that the end is missing.
            Err(Broken::Short) => this.send.send_reset(h2::Reason::INTERNAL_ERROR),
        }
        Poll::Ready(())
    }
}

impl Sending {
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.is_done {
            // The exchange still has to be finished.
            return self.served.poll_piece(context).map(|_| Ok(()));
        }
        match self.poll_pieces(context) {
            // Errors of the connection come here, too.
            Poll::Pending => self.send.poll_reset(context).map(|_| Err(Broken::Gone)),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn poll_pieces(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            let (mut data, is_last) = if let Some(rest) = self.rest.take() {
                rest
            } else {
                // Nothing is asked of the backend before the client has room for it.
                if self.credit == 0 {
                    self.credit = ready!(self.poll_room(PIECE, context))?.min(CREDIT);
                }
                match self.served.poll_piece(context) {
                    Poll::Ready(Ok(Piece::Data { data, is_last })) => (data, is_last),
                    Poll::Ready(Ok(Piece::Trailers(trailers))) => {
                        return Poll::Ready(self.send.send_trailers(trailers).map_err(|_reset| Broken::Gone));
                    }
                    Poll::Ready(Ok(Piece::End)) => return Poll::Ready(self.put(Bytes::new(), true)),
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Short)),
                    Poll::Pending => {
                        // A stream with nothing to send must not keep room that others of its connection need.
                        self.send.reserve_capacity(0);
                        return Poll::Pending;
                    }
                }
            };
            // Nobody waits for the client after the last piece, so that one always looks. An empty one needs no room.
            if let Some(left) = self.credit.checked_sub(data.len()).filter(|_| !is_last || data.is_empty()) {
                self.credit = left;
            } else {
                let Poll::Ready(room) = self.poll_room(data.len(), context) else {
                    self.rest = Some((data, is_last));
                    return Poll::Pending;
                };
                self.credit = 0;
                let beyond = data.split_off(room?.min(data.len()));
                self.rest = Some((beyond, is_last)).filter(|(rest, _)| !rest.is_empty());
            }
            let is_end = is_last && self.rest.is_none();
            self.put(data, is_end)?;
            if is_end {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Hands on what there is room for.
    fn put(&mut self, data: Bytes, is_end: bool) -> Result<(), Broken> {
        self.pace.progress(data.len());
        self.send.send_data(data, is_end).map_err(|_reset| Broken::Gone)
    }

    /// How many bytes the client has room for, of so many.
    fn poll_room(&mut self, wanted: usize, context: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        self.send.reserve_capacity(wanted.max(PIECE));
        loop {
            let room = self.send.capacity();
            if room > 0 {
                self.pace.rest();
                return Poll::Ready(Ok(room));
            }
            match self.send.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Broken::Gone)),
                Poll::Pending => return self.pace.poll_wait(context).map(|TooSlow| Err(Broken::Slow)),
            }
        }
    }
}

/// What a stream hands on at most, of the room that it found, before it looks again.
///
/// To look wakes the stream itself: the library tells it of room that it gets, even while it asks. A stream that looked each
/// time before it waits for its next piece would never rest.
const CREDIT: usize = 4 * 1024;

/// What is asked for while it is not known how large the next piece is.
const PIECE: usize = 16 * 1024;

/// A request that must not be passed on, and is no more to be answered than one that cannot be read (RFC 9113,
/// sections 8.2.1, 8.3.1 and 8.5).
fn is_malformed<B>(request: &Request<B>) -> bool {
    let authority = request.uri().authority();
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let has_blank = |value: &HeaderValue| is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last());
    let contradicts = |host: &HeaderValue| {
        authority.is_some_and(|authority| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()))
    };
    let is_no_host = |host: &[u8]| !http1::is_host(host);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    request.method() == Method::CONNECT && authority.is_none()
        || authority.is_some_and(|authority| is_no_host(authority.as_str().as_bytes()))
        || hosts.any(|host| contradicts(host) || is_no_host(host.as_bytes()))
        || request.headers().get_all(header::HOST).iter().count() > 1
        || request.headers().values().any(has_blank)
}

/// Adds to the head of an answer what it must have, and takes out what it must not have.
fn complete(head: &mut response::Parts, served: &Served) {
    head.version = Version::HTTP_2;
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        head.headers.remove(name);
    }
    if let Ok(date) = HeaderValue::from_bytes(&clock::date()) {
        head.headers.entry(header::DATE).or_insert(date);
    }
    // Statuses without a body have none to speak of.
    if let (Some(length @ 1..), false) = (served.left(), served.method() == Method::HEAD) {
        head.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
}

/// What passes 1xx answers on to the client.
fn interim(respond: &Respond) -> Interim {
    let respond = Arc::downgrade(respond);
    Arc::new(move |status: StatusCode, headers: &HeaderMap| {
        let Some(respond) = respond.upgrade() else { return };
        let mut hint = Response::new(());
        (*hint.status_mut(), *hint.headers_mut()) = (status, headers.clone());
        crate::arrival::strip_answer(hint.headers_mut(), false);
        // It fails only if the stream is gone, which whoever answers it finds, too.
        drop(respond.lock().send_informational(hint));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_contradict_themselves_are_malformed() {
        let request = |host: &'static str, value: &'static str| {
            Request::get("http://a.example/").header("host", host).header("x-y", value).body(()).unwrap()
        };

        assert!(!is_malformed(&request("A.example", "a b")));
        assert!(is_malformed(&request("b.example", "a")));
        assert!(is_malformed(&request("a.example", " a")));
        assert!(is_malformed(&request("a.example", "a\t")));
        assert!(is_malformed(&Request::builder().method("CONNECT").uri("/").body(()).unwrap()));
    }
}
