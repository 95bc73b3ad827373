//! What a policy may do, one trait a phase.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Response, response};
use problem::Problem;

use crate::{Body, Exchange, Outcome};

/// Where a request goes next.
#[derive(Debug)]
#[must_use]
pub enum Flow {
    /// To the next policy, and after the last one to the upstream.
    Next,
    /// Back to the client, with this answer.
    Respond(Box<Response<Body>>),
}

impl From<Problem> for Flow {
    fn from(problem: Problem) -> Self {
        Self::Respond(Box::new(problem.into_response()))
    }
}

/// A policy's decision, or the reason why it has none.
///
/// An `Err` is the policy's own trouble, never a verdict on the request: whether such a request
/// passes is up to the route's [`OnFailure`].
pub type Verdict = Result<Flow, Failure>;

/// Why a policy could not decide. Any error converts into it with `?`.
#[derive(Debug)]
pub struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl Failure {
    /// The error behind it.
    pub fn into_inner(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.0
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

/// What becomes of a request that a policy could not judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused.
    #[default]
    Close,
    /// It passes.
    Open,
}

/// A decision now, or the promise of one.
pub enum Step<'a> {
    /// The policy knew.
    Now(Verdict),
    /// The policy has to ask somebody.
    Wait(BoxFuture<'a, Verdict>),
}

/// Says whether a policy applies to an exchange (`when:` in the configuration).
pub trait Condition: Send + Sync {
    /// Called at most once per exchange, before the policy's first hook.
    fn holds(&self, exchange: &Exchange) -> Result<bool, Failure>;
}

/// Decides from the request head alone. Runs on the proxy's threads, so it must not block.
pub trait OnRequest: Send + Sync {
    /// Called once per request.
    fn on_request(&self, exchange: &mut Exchange) -> Verdict;
}

/// As [`OnRequest`], for policies that may have to ask another service.
pub trait AskOnRequest: Send + Sync {
    /// Called once per request; answer [`Step::Now`] whenever a cached answer will do.
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a>;
}

/// Takes back what a limit has counted for a request that another limit then refuses: what is refused costs nothing.
///
/// A refusal by any later stage costs what it costs: the request has had its turn by then, and work was done for it.
pub trait OnGiveBack: Send + Sync {
    /// Called after this policy let the request pass, before the answer of the one that did not.
    fn on_give_back(&self, exchange: &mut Exchange);
}

/// Judges, and may change, a whole request body. A chain with such a hook buffers bodies, up to the smallest limit.
pub trait OnRequestBody: Send + Sync {
    /// Bodies longer than this are refused before any hook sees them.
    fn limit(&self) -> usize;
    /// Whether it looks at the body of this request at all; others stream on.
    fn concerns(&self, _exchange: &Exchange) -> bool {
        true
    }
    /// Called once per request that has a body.
    fn on_request_body(&self, exchange: &mut Exchange, body: &mut Bytes) -> Verdict;
}

/// As [`OnRequestBody`], for work too dear for a worker's thread (more than about 200 µs).
pub trait AskOnRequestBody: Send + Sync {
    /// Bodies longer than this are refused before any hook sees them.
    fn limit(&self) -> usize;
    /// Whether it looks at the body of this request at all; others stream on.
    fn concerns(&self, _exchange: &Exchange) -> bool {
        true
    }
    /// Called once per request that has a body.
    fn ask_on_request_body<'a>(&'a self, exchange: &'a mut Exchange, body: &'a mut Bytes) -> Step<'a>;
}

/// Judges the beginning of a request's body, all of which then goes on as it came, however long it is, but for trailers.
///
/// It is asked for every request that has a body, before those who judge whole bodies.
pub trait AskOnBodyBegun: Send + Sync {
    /// How many bytes it has to see; all of a shorter body is shown.
    fn wants(&self, exchange: &Exchange) -> usize;
    /// Whether trailers may follow, which it never sees.
    fn lets_trailers_pass(&self, exchange: &Exchange) -> bool;
    /// Called once per request that has a body.
    fn ask_on_body_begun<'a>(&'a self, exchange: &'a mut Exchange, begun: &'a Bytes) -> Step<'a>;
}

/// Learns what is answered before the client does, and may have to tell others first.
///
/// It sees an answer as the upstream gave it, or the gateway itself: before any [`OnResponse`].
pub trait AskOnAnswer: Send + Sync {
    /// How much of the answer's body it has to see, if any of it: that much is held back, and longer ones are not shown.
    fn wants(&self, exchange: &Exchange, head: &response::Parts) -> Option<usize>;
    /// Whether of a longer body the beginning is shown: as much as it wants, and at least one byte more.
    fn sees_beginnings(&self) -> bool {
        false
    }
    /// Called once per answer. [`Flow::Respond`] takes the answer's place.
    fn ask_on_answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        head: &'a response::Parts,
        body: Option<&'a Bytes>,
    ) -> Step<'a>;
}

/// Edits the head of any response, the upstream's and the gateway's own.
pub trait OnResponse: Send + Sync {
    /// Called once per response.
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts);
}

/// Changes a whole response body. A chain with such a hook buffers responses, up to the smallest limit.
pub trait OnResponseBody: Send + Sync {
    /// Bodies longer than this end the exchange with a problem.
    fn limit(&self) -> usize;
    /// Called once per response that has a body, before any [`OnResponseChunk`].
    fn on_response_body(&self, exchange: &mut Exchange, body: &mut Bytes) -> Result<(), Failure>;
}

/// Sees, and may change, each piece of a response body as it passes.
///
/// A hook that changes lengths removes `content-length` in its [`OnResponse`].
pub trait OnResponseChunk: Send + Sync {
    /// Called once per piece. An `Err` cuts the response short: its head is gone already.
    fn on_response_chunk(&self, exchange: &mut Exchange, chunk: Bytes) -> Result<Bytes, Failure>;

    /// Called once after the last piece; what it returns is sent before the end.
    fn on_response_end(&self, exchange: &mut Exchange) -> Result<Bytes, Failure> {
        let _ = exchange;
        Ok(Bytes::new())
    }
}

/// Learns how an exchange ended. Must neither block nor fail: hand the facts to a journal or a channel.
///
/// It runs before the last bytes of the answer are given to the socket, so that what it wrote down
/// outlives a crash of any exchange that was answered in full.
pub trait OnFinish: Send + Sync {
    /// Called when an exchange begins, if this hook belongs to all exchanges and not to a policy.
    fn on_begin(&self) -> Room {
        Room::Enough
    }

    /// Called exactly once per exchange, also when the client went away.
    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome);
}

/// Whether the end of an exchange that begins now can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It can.
    Enough,
    /// It cannot, so the exchange must not begin.
    None,
}
