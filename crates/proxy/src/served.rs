//! An answer on its way to the client, and the exchange that it belongs to.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header, response};
use http_body::{Body as _, Frame};
use http1::{Framing, ResponseFraming};
use pipeline::{Body, BoxError, Chain, Failure, Over};
use upstream::io::Io;

use crate::underway::Underway;

/// A connection to a target that switched protocols.
pub(crate) struct Tunnel {
    pub(crate) io: Io,
    /// What the target said already.
    pub(crate) said: Bytes,
}

/// An answer on its way to the client.
pub(crate) struct Served {
    pub(crate) head: response::Parts,
    pub(crate) tunnel: Option<Tunnel>,
    body: Body,
    underway: Box<Underway>,
    chain: Arc<Chain>,
    /// What is left of a body whose length is known.
    left: Option<u64>,
    /// What is left of a piece that is too long for policies to see at once.
    rest: Bytes,
    /// The last piece of a body whose length is known, until it is known whether trailers follow.
    held: Bytes,
    /// Trailers behind the last piece.
    trailing: Option<HeaderMap>,
    turn: Turn,
    state: State,
}

/// Policies see pieces of at most this size, so that no worker's thread is held for long.
const SEEN_AT_ONCE: usize = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Pieces come.
    Flowing,
    /// The last piece was given out; trailers or nothing may follow.
    Ended,
}

/// A long answer to a client whose kernel takes all at once goes out in parts of this size, others in between.
const SENT_AT_ONCE: u64 = 128 * 1024;

/// Who goes on. After each piece that policies have seen, others do: an answer that compresses well would otherwise hold
/// the thread until all of it has come to little.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    Others,
}

/// What the client gets next.
pub(crate) enum Piece {
    /// Some of the body; `is_last` if nothing follows.
    Data { data: Bytes, is_last: bool },
    /// Trailers, which end the body.
    Trailers(HeaderMap),
    /// The end.
    End,
}

impl Served {
    pub(crate) fn new(
        head: response::Parts,
        body: Body,
        underway: Box<Underway>,
        chain: Arc<Chain>,
        tunnel: Option<Tunnel>,
    ) -> Self {
        let mut served = Self {
            head,
            body,
            underway,
            chain,
            tunnel,
            left: None,
            rest: Bytes::new(),
            held: Bytes::new(),
            trailing: None,
            turn: Turn::Ours,
            state: State::Flowing,
        };
        served.left = served.length();
        if served.has_no_body() {
            served.body = Body::Empty;
            served.left = Some(0);
        }
        served
    }

    /// Notes that it ends early, because what it depends on is over.
    pub(crate) fn cut(&mut self, over: Over) {
        self.underway.cut(over);
    }

    /// The method of the request that it answers.
    pub(crate) fn method(&self) -> &Method {
        &self.underway.exchange.method
    }

    /// How its end is found by a client of HTTP/1.1.
    pub(crate) fn framing(&self) -> ResponseFraming {
        let status = self.head.status;
        if self.method() == Method::HEAD || status == StatusCode::NOT_MODIFIED {
            let length =
                self.head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
            return ResponseFraming::HeadOnly(length);
        }
        if status.is_informational() || status == StatusCode::NO_CONTENT {
            return Framing::None.into();
        }
        match self.left {
            Some(length) => Framing::Length(length).into(),
            None => Framing::Chunked.into(),
        }
    }

    /// How many bytes are left, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    /// The next piece, after the policies have seen it.
    ///
    /// The exchange is finished before its last piece is given out: what is written down then outlives a crash of any
    /// exchange that was answered in full.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, BoxError>> {
        if self.state == State::Ended {
            return Poll::Ready(Ok(self.trailing.take().map_or(Piece::End, Piece::Trailers)));
        }
        loop {
            if std::mem::replace(&mut self.turn, Turn::Ours) == Turn::Others {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let frame = if self.rest.is_empty() {
                match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                    Some(frame) => frame?,
                    None if self.held.is_empty() => return Poll::Ready(self.last(Bytes::new())),
                    None => {
                        let held = std::mem::take(&mut self.held);
                        return Poll::Ready(Ok(self.last_counted(held)));
                    }
                }
            } else {
                Frame::data(std::mem::take(&mut self.rest))
            };
            let data = match frame.into_data() {
                Ok(mut data) => {
                    if self.chain.sees_chunks() && data.len() > SEEN_AT_ONCE {
                        self.rest = data.split_off(SEEN_AT_ONCE);
                    }
                    data
                }
                Err(frame) => return Poll::Ready(Ok(self.trailers(frame))),
            };
            let data = if self.chain.sees_chunks() {
                self.turn = Turn::Others;
                self.chain.response_chunk(&mut self.underway.exchange, data).map_err(Failure::into_inner)?
            } else {
                data
            };
            if self.rest.is_empty() && self.body.is_end_stream() {
                return Poll::Ready(self.last(data));
            }
            if data.is_empty() {
                continue;
            }
            self.count(data.len());
            if self.left == Some(0) {
                // Trailers may follow a body of known length, too; there is no more to hold back than this piece.
                if !self.held.is_empty() {
                    return Poll::Ready(Err("an answer is longer than it says".into()));
                }
                self.held = data;
                continue;
            }
            return Poll::Ready(Ok(Piece::Data { data, is_last: false }));
        }
    }

    fn last(&mut self, data: Bytes) -> Result<Piece, BoxError> {
        let mut data = data;
        if self.chain.sees_chunks() && !self.has_no_body() {
            let rest = self.chain.response_end(&mut self.underway.exchange).map_err(Failure::into_inner)?;
            if !rest.is_empty() {
                data = if data.is_empty() { rest } else { [data, rest].concat().into() };
            }
        }
        self.count(data.len());
        if self.left.is_some_and(|left| left > 0) {
            return Err("an answer is shorter than it says".into());
        }
        Ok(self.last_counted(data))
    }

    fn last_counted(&mut self, data: Bytes) -> Piece {
        self.end();
        if data.is_empty() { Piece::End } else { Piece::Data { data, is_last: true } }
    }

    fn trailers(&mut self, frame: Frame<Bytes>) -> Piece {
        self.end();
        let trailers = frame.into_trailers().ok();
        if self.held.is_empty() {
            return trailers.map_or(Piece::End, Piece::Trailers);
        }
        self.trailing = trailers;
        Piece::Data { data: std::mem::take(&mut self.held), is_last: false }
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.underway.outcome.complete = true;
        self.underway.finish();
    }

    fn count(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let sent = &mut self.underway.outcome.sent;
        let rounds = *sent / SENT_AT_ONCE;
        *sent += bytes;
        if *sent / SENT_AT_ONCE > rounds {
            self.turn = Turn::Others;
        }
        self.left = self.left.map(|left| left.saturating_sub(bytes));
    }

    /// The body's length, unless a policy changes it on the way.
    fn length(&self) -> Option<u64> {
        let is_changed = self.chain.sees_chunks() && !self.head.headers.contains_key(header::CONTENT_LENGTH);
        if is_changed && !self.body.is_end_stream() { None } else { self.body.size_hint().exact() }
    }

    fn has_no_body(&self) -> bool {
        let status = self.head.status;
        self.method() == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}
