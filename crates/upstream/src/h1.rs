//! One HTTP/1.1 connection to a target, and one exchange on it.
//!
//! No task stands behind a connection: the task that serves the client drives it, and an idle connection is only a
//! socket in a list.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use alarm::Alarm;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response, StatusCode, request};
use http_body::{Body as _, Frame, SizeHint};
use http1::{Decoded, Decoder, Framing, Limits, Refusal, ResponseHead};
use pipeline::{Body, BoxError};
use tokio::time::Instant;

use crate::connect::Time;
use crate::io::{Io, Outbox};
use crate::places::Counted;
use crate::target::{Lease, Target};
use crate::turn::Turn;

/// A connection between exchanges.
pub(crate) struct Connection {
    pub(crate) io: Io,
    /// What was read and not yet used. Empty whenever the connection is idle.
    input: BytesMut,
    pub(crate) idle_since: u64,
    /// Whether an exchange was made on it before: the target may have closed it meanwhile.
    pub(crate) is_used: bool,
    pub(crate) counted: Counted,
}

impl Connection {
    pub(crate) fn new(io: Io, counted: Counted) -> Self {
        Self { io, input: BytesMut::new(), idle_since: 0, is_used: false, counted }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("the target closed the connection before it answered")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    #[error("the target's answer is not valid HTTP/1.1: {0}")]
    Invalid(#[source] Refusal),
    #[error("the target switched protocols, though nobody asked it to")]
    Unasked,
    #[error("the request's body could not be read: {0}")]
    Body(#[source] BoxError),
    #[error("the target gave no answer in time")]
    Late,
    #[error("the client had not sent everything when the time was over")]
    ClientLate,
}

/// What a target says before its answer.
pub type Interim = Arc<dyn Fn(StatusCode, &HeaderMap) + Send + Sync>;

/// How long a body waits for `100 Continue`. A target that knows nothing of that waits for the body, so it comes then
/// (RFC 9110, section 10.1.1).
const HELD: Duration = Duration::from_secs(1);

/// The request's side of an exchange.
struct Sending {
    outbox: Outbox,
    body: Body,
    framing: Framing,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for `100 Continue`.
    Held,
    Flowing,
    Done,
}

/// How an exchange is made.
pub(crate) struct Terms<'a> {
    pub(crate) time: Time<'a>,
    pub(crate) first_byte: Duration,
    pub(crate) idle: Duration,
    pub(crate) limits: &'a Limits,
    pub(crate) interim: Option<&'a Interim>,
}

/// What came back: the answer, or the connection itself if the target switched protocols.
pub(crate) struct Answered {
    pub(crate) response: Response<Body>,
    pub(crate) tunnel: Option<(Io, Bytes)>,
}

/// Sends one request and reads the head of its answer.
pub(crate) async fn exchange(
    mut connection: Connection,
    head: &request::Parts,
    body: Body,
    lease: Lease,
    terms: Terms<'_>,
) -> Result<Answered, Trouble> {
    Turn::default().await;
    let mut sending = Sending::new(head, body);
    let Time { alarm, .. } = terms.time;
    let mut is_held = sending.state == State::Held;
    alarm.set(terms.time.left(if is_held { HELD.min(terms.first_byte) } else { terms.first_byte }));
    let answer = std::future::poll_fn(|context| {
        let mut polled = poll_answer(&mut connection, &mut sending, &head.method, &terms, context);
        if is_held && polled.is_pending() && (sending.state != State::Held || alarm.poll_expired(context).is_ready()) {
            is_held = false;
            alarm.set(terms.time.left(terms.first_byte));
            if sending.state == State::Held {
                sending.state = State::Flowing;
                polled = poll_answer(&mut connection, &mut sending, &head.method, &terms, context);
            }
        }
        match polled {
            // The target's time begins when it has everything that the client sent so far.
            Poll::Pending if sending.waits_for_client() => {
                let left = terms.time.left(terms.first_byte);
                if left.is_zero() {
                    return Poll::Ready(Err(Trouble::ClientLate));
                }
                alarm.set(left);
                alarm.poll_expired(context).map(|()| Err(Trouble::ClientLate))
            }
            Poll::Pending if alarm.poll_expired(context).is_ready() => Poll::Ready(Err(Trouble::Late)),
            poll => poll,
        }
    })
    .await;
    alarm.clear();
    let answer = answer?;
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        if !head.headers.contains_key(http::header::UPGRADE) {
            return Err(Trouble::Unasked);
        }
        let Connection { io, input, .. } = connection;
        let response = response(answer, Body::Empty);
        return Ok(Answered { response, tunnel: Some((io, input.freeze())) });
    }
    let body = receive(connection, sending, &answer, lease, &terms);
    Ok(Answered { response: response(answer, body), tunnel: None })
}

fn response(head: ResponseHead, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// What is left to read of an answer, and back with the connection as soon as nothing is.
fn receive(mut connection: Connection, sending: Sending, head: &ResponseHead, lease: Lease, terms: &Terms<'_>) -> Body {
    let whole = match head.framing {
        Framing::None => Some(0),
        Framing::Length(length) => usize::try_from(length).ok().filter(|length| *length <= connection.input.len()),
        Framing::Chunked | Framing::UntilClose => None,
    };
    let keep_alive = head.keep_alive;
    if let (Some(length), true) = (whole, sending.is_done()) {
        let body = connection.input.split_to(length).freeze();
        if keep_alive {
            give_back(connection, lease.target());
        }
        return Body::from(body);
    }
    Body::stream(Receiving {
        decoder: Decoder::new(head.framing, terms.limits),
        connection: Some(connection),
        sending,
        keep_alive,
        alarm: None,
        is_waiting: false,
        idle: terms.idle,
        until: terms.time.until,
        lease,
    })
}

fn give_back(mut connection: Connection, target: &Arc<Target>) {
    if connection.input.is_empty() {
        connection.input = BytesMut::new();
        connection.is_used = true;
        target.keep(connection);
    }
}

impl Sending {
    fn new(head: &request::Parts, body: Body) -> Self {
        let framing = match body.size_hint().exact() {
            Some(0) if needs_no_length(head) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        let mut outbox = Outbox::default();
        let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let target = if head.method == Method::OPTIONS && head.uri.path() == "*" { "*" } else { target };
        http1::write_request(outbox.head(), &head.method, target, &head.headers, framing);
        let expects = head.headers.get(http::header::EXPECT);
        let held = !body.is_end_stream()
            && expects.is_some_and(|expects| expects.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let state = match body {
            Body::Empty => State::Done,
            Body::Full(_) | Body::Stream(_) if held => State::Held,
            Body::Full(_) | Body::Stream(_) => State::Flowing,
        };
        Self { outbox, body, framing, state }
    }

    /// Whether the system has taken all of the request. Before that the connection is nobody else's: what is left of it would
    /// be missing, and the target would read the next request as the rest of this one.
    fn is_done(&self) -> bool {
        self.state == State::Done && self.outbox.is_empty()
    }

    /// Whether the target has got everything that the client sent so far, and more is to come.
    fn waits_for_client(&self) -> bool {
        self.state == State::Flowing && self.outbox.is_empty()
    }

    /// Writes what there is to write, as far as the target takes it.
    fn poll(&mut self, io: &mut Io, context: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            if self.state == State::Flowing && !self.outbox.has_piece() {
                // A body that has nothing yet must not hold back the head, so its wait is looked at after writing.
                match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Ready(frame) => {
                        self.queue(frame.transpose().map_err(Trouble::Body)?);
                        continue;
                    }
                    Poll::Pending => {
                        ready!(self.outbox.poll_write(io, context, drop)).map_err(Trouble::Io)?;
                        return Poll::Pending;
                    }
                }
            }
            ready!(self.outbox.poll_write(io, context, drop)).map_err(Trouble::Io)?;
            match self.state {
                State::Held => return Poll::Pending,
                State::Flowing => {}
                State::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    fn queue(&mut self, frame: Option<Frame<Bytes>>) {
        let chunked = self.framing == Framing::Chunked;
        let Some(frame) = frame else {
            if chunked {
                http1::write_last_chunk(self.outbox.head(), None);
            }
            self.state = State::Done;
            return;
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) if chunked => self.outbox.push_chunk(data),
            Ok(data) => {
                self.outbox.push(data);
                if self.body.is_end_stream() {
                    self.state = State::Done;
                }
            }
            Err(frame) => {
                if chunked {
                    http1::write_last_chunk(self.outbox.head(), frame.trailers_ref());
                }
                self.state = State::Done;
            }
        }
    }
}

/// Whether a request without a body says nothing about its length (RFC 9110, section 8.6).
fn needs_no_length(head: &request::Parts) -> bool {
    !head.headers.contains_key(http::header::CONTENT_LENGTH)
        && !matches!(head.method, Method::POST | Method::PUT | Method::PATCH)
}

/// Sends as much as it can and reads up to the head of the answer.
fn poll_answer(
    connection: &mut Connection,
    sending: &mut Sending,
    method: &Method,
    terms: &Terms<'_>,
    context: &mut Context<'_>,
) -> Poll<Result<ResponseHead, Trouble>> {
    // A target may answer and close before it has read everything; its answer counts, not our broken pipe.
    let broken = match sending.poll(&mut connection.io, context) {
        Poll::Ready(Err(Trouble::Io(error))) => Some(error),
        Poll::Ready(Err(trouble)) => return Poll::Ready(Err(trouble)),
        Poll::Ready(Ok(())) | Poll::Pending => None,
    };
    loop {
        match poll_head(connection, method, terms.limits, context) {
            Poll::Ready(Ok(head)) if head.status.is_informational() && head.status.as_u16() != 101 => {
                note_interim(&head, sending, terms);
                if sending.state == State::Flowing {
                    match sending.poll(&mut connection.io, context) {
                        Poll::Ready(Err(trouble)) => return Poll::Ready(Err(trouble)),
                        Poll::Ready(Ok(())) | Poll::Pending => {}
                    }
                }
            }
            Poll::Ready(answer) => return Poll::Ready(answer),
            Poll::Pending => {
                return match broken {
                    Some(error) => Poll::Ready(Err(Trouble::Io(error))),
                    None => Poll::Pending,
                };
            }
        }
    }
}

fn note_interim(head: &ResponseHead, sending: &mut Sending, terms: &Terms<'_>) {
    if head.status == StatusCode::CONTINUE {
        if sending.state == State::Held {
            sending.state = State::Flowing;
        }
        return;
    }
    if let Some(interim) = terms.interim {
        interim(head.status, &head.headers);
    }
}

fn poll_head(
    connection: &mut Connection,
    method: &Method,
    limits: &Limits,
    context: &mut Context<'_>,
) -> Poll<Result<ResponseHead, Trouble>> {
    let Connection { io, input, .. } = connection;
    loop {
        if !input.is_empty() {
            if let Some((head, used)) = http1::parse_response(input, method, limits).map_err(Trouble::Invalid)? {
                bytes::Buf::advance(input, used);
                return Poll::Ready(Ok(head));
            }
            let read = ready!(io.poll_glance(context, |bytes| {
                input.extend_from_slice(bytes);
                bytes.len()
            }));
            if read.map_err(broken)? == 0 {
                return Poll::Ready(Err(Trouble::Closed));
            }
            continue;
        }
        let glanced = ready!(io.poll_glance(context, |bytes| -> Result<_, Trouble> {
            if bytes.is_empty() {
                return Err(Trouble::Closed);
            }
            let parsed = http1::parse_response(bytes, method, limits).map_err(Trouble::Invalid)?;
            let used = parsed.as_ref().map_or(0, |(_, used)| *used);
            input.extend_from_slice(bytes.get(used..).unwrap_or_default());
            Ok(parsed.map(|(head, _)| head))
        }));
        if let Some(head) = glanced.map_err(broken)?? {
            return Poll::Ready(Ok(head));
        }
    }
}

fn broken(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Trouble::Closed,
        _ => Trouble::Io(error),
    }
}

/// The body of an answer as it comes, and what is left to send meanwhile.
struct Receiving {
    connection: Option<Connection>,
    sending: Sending,
    decoder: Decoder,
    keep_alive: bool,
    alarm: Option<Alarm>,
    is_waiting: bool,
    idle: Duration,
    until: Option<Instant>,
    lease: Lease,
}

/// The target sent nothing for longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("the target's answer stalled")]
struct Stalled;

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let left = this.until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            this.connection = None;
            return Poll::Ready(Some(Err(Stalled.into())));
        }
        let polled = this.poll_next(context);
        if polled.is_ready() {
            this.is_waiting = false;
            return polled;
        }
        // Set only while the target is waited for: a client that is slow to take what came is no fault of the target's.
        let alarm = this.alarm.get_or_insert_default();
        if !this.is_waiting {
            alarm.set(left.map_or(this.idle, |left| left.min(this.idle)));
            this.is_waiting = true;
        }
        ready!(alarm.poll_expired(context));
        this.connection = None;
        Poll::Ready(Some(Err(Stalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Receiving {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        if !self.sending.is_done()
            && let Poll::Ready(Err(trouble)) = self.sending.poll(&mut connection.io, context)
        {
            // The answer has begun; that the target does not want the rest is its right.
            tracing::debug!(%trouble, "the rest of a request was not taken");
            self.sending.state = State::Done;
            self.sending.outbox = Outbox::default();
            self.keep_alive = false;
        }
        loop {
            if !connection.input.is_empty() || self.decoder.is_done() {
                match self.decoder.decode(&mut connection.input)? {
                    Decoded::Data(data) => {
                        if self.decoder.is_done() {
                            self.finish();
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Decoded::Trailers(trailers) => {
                        self.finish();
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                    Decoded::Done => {
                        self.finish();
                        return Poll::Ready(None);
                    }
                    Decoded::More => {}
                }
            }
            let expected = self.decoder.remaining();
            if ready!(connection.io.poll_piece(context, &mut connection.input, expected))? == 0 {
                self.decoder.end_of_input()?;
                self.connection = None;
                return Poll::Ready(None);
            }
        }
    }

    /// Gives the connection back, now that the answer is read to its end.
    fn finish(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.keep_alive && self.sending.is_done() {
            give_back(connection, self.lease.target());
        }
    }
}
