//! One request from its head to the head of its answer.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alarm::Alarm;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Response, StatusCode, request};
use http_body_util::{BodyExt, Limited};
use pipeline::{Body, Connection, Flow};
use problem::{Problem, ProblemKind};
use snapshot::Live;
use telemetry::traceparent::Sampler;
use upstream::Interim;

use crate::arrival::Arrival;
use crate::served::{Served, Tunnel};
use crate::underway::Underway;
use crate::{cut, forward, refused};

/// No API wants the request.
pub(crate) static NO_ROUTE: ProblemKind =
    ProblemKind { code: "no-route", status: StatusCode::NOT_FOUND, title: "There is nothing at this address" };

/// APIs want the path, but not by this method.
pub(crate) static METHOD_NOT_ALLOWED: ProblemKind = ProblemKind {
    code: "method-not-allowed",
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "The method is not allowed at this address",
};

/// No policy answered, and the API has no upstream.
pub(crate) static NO_ANSWER: ProblemKind =
    ProblemKind { code: "no-answer", status: StatusCode::NOT_FOUND, title: "Nothing answers at this address" };

/// A policy panicked.
pub(crate) static INTERNAL_ERROR: ProblemKind = ProblemKind {
    code: "internal-error",
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "The gateway failed to handle the request",
};

/// A request as it came from a client, whichever protocol it came by.
pub(crate) struct Incoming {
    pub(crate) head: request::Parts,
    pub(crate) body: Body,
    /// Counts what has been read of the body.
    pub(crate) received: Arc<AtomicU64>,
    /// Whether the client wants to switch protocols.
    pub(crate) upgrade: bool,
    /// Who wants to hear of 1xx answers.
    pub(crate) interim: Option<Interim>,
}

/// What requests are handled by.
pub struct Service {
    pub(crate) live: Arc<Live>,
    pub(crate) sampler: Option<Sampler>,
    refusals: AtomicU64,
}

impl Service {
    /// Handles requests by whatever is live when they begin. Without a sampler, trace context passes untouched.
    pub fn new(live: Arc<Live>, sampler: Option<Sampler>) -> Self {
        Self { live, sampler, refusals: AtomicU64::new(0) }
    }

    /// Messages that were refused before an exchange could be made of them.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    pub(crate) fn note_refusal(&self, connection: &Connection, status: StatusCode) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = %connection.peer, listener = &*connection.listener, %status, "a message was refused");
    }

    /// One request from its head to the head of its answer. Read this function first.
    pub(crate) async fn handle(&self, connection: &Arc<Connection>, incoming: Incoming, alarm: &Alarm) -> Served {
        let Incoming { head, body, received, upgrade, interim } = incoming;
        let snapshot = self.live.current();
        let (arrival, refusal) = Arrival::of(&snapshot, connection, head, upgrade);
        let mut underway = Underway::begin(self, snapshot, connection, arrival, received);
        underway.exchange.has_body = !matches!(body, Body::Empty);
        let full = underway.announce();
        if let Some(problem) = full.or(refusal) {
            return underway.answer_with(problem.into_response(), None, alarm).await;
        }

        let handled = AssertUnwindSafe(Self::answer(&mut underway, body, interim, alarm)).catch_unwind().await;
        let Ok((response, tunnel)) = handled else {
            tracing::error!(exchange = %underway.exchange.id, "a policy panicked; its exchange ends here");
            return underway.answer_with(Problem::new(&INTERNAL_ERROR).into_response(), None, alarm).await;
        };
        underway.answer_with(response, tunnel, alarm).await
    }

    async fn answer(
        underway: &mut Underway,
        mut body: Body,
        interim: Option<Interim>,
        alarm: &Alarm,
    ) -> (Response<Body>, Option<Tunnel>) {
        let chain = underway.chain();
        if let Flow::Respond(response) = chain.request(&mut underway.exchange).await {
            return (*response, None);
        }
        alarm.watch(std::mem::take(&mut underway.exchange.lives));
        let answer = {
            let work = pin!(async {
                match hold_body(underway, &mut body).await {
                    Ok(()) => forward::forward(underway, body, interim, alarm).await,
                    Err(response) => (*response, None),
                }
            });
            cut::unless_over(alarm, work).await
        };
        match answer {
            Ok(answer) => answer,
            Err(over) => (Problem::new(underway.cut(over)).into_response(), None),
        }
    }
}

/// Lets the body hooks judge the body, if the chain has any.
async fn hold_body(underway: &mut Underway, body: &mut Body) -> Result<(), Box<Response<Body>>> {
    let chain = underway.chain();
    if let Some(limit) = underway.exchange.body_limit {
        if let Some(problem) = refused::body_over(body, limit) {
            return Err(Box::new(problem.into_response()));
        }
        if let Body::Stream(_) = body {
            *body = Body::stream(refused::Capped::new(std::mem::take(body), limit));
        }
    }
    if chain.sees_beginnings() && !matches!(body, Body::Empty) {
        match chain.body_begun(&mut underway.exchange, body).await {
            // Who waited to be told to go on has been.
            Ok(Flow::Next) => drop(underway.exchange.head.headers.remove(http::header::EXPECT)),
            Ok(Flow::Respond(response)) => return Err(response),
            Err(error) => return Err(Box::new(refused::body(error.as_ref(), usize::MAX).into_response())),
        }
    }
    let Some(limit) = chain.request_body_limit(&underway.exchange) else { return Ok(()) };
    if matches!(body, Body::Empty) {
        return Ok(());
    }
    let mut whole = match std::mem::take(body) {
        Body::Empty => Bytes::new(),
        Body::Full(bytes) if bytes.len() <= limit => bytes,
        body => match Limited::new(body, limit).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) => return Err(Box::new(refused::body(error.as_ref(), limit).into_response())),
        },
    };
    if let Flow::Respond(response) = chain.request_body(&mut underway.exchange, &mut whole).await {
        return Err(response);
    }
    let headers = &mut underway.exchange.head.headers;
    headers.remove(http::header::EXPECT);
    headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    *body = Body::from(whole);
    Ok(())
}
