//! An exchange that has begun, and the promise that it ends exactly once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use alarm::Alarm;
use futures::FutureExt;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use pipeline::{Body, BoxError, Chain, Connection, Exchange, Failure, Flow, Lives, Outcome, Over, Room, Trace};
use problem::{Problem, ProblemKind};
use snapshot::{Route, Snapshot};
use watch::begin_trace;

use crate::arrival::Arrival;
use crate::handle::{INTERNAL_ERROR, Service};
use crate::served::{Served, Tunnel};
use crate::{clock, cut};

/// What happens could not be written down, so nothing may happen.
pub(crate) static NO_ROOM: ProblemKind = ProblemKind {
    code: "no-room-to-count",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The gateway cannot count requests right now",
};

/// A policy could not change an answer as it must.
pub(crate) static ANSWER_UNFIT: ProblemKind = ProblemKind {
    code: "answer-unfit",
    status: StatusCode::BAD_GATEWAY,
    title: "The service's answer could not be processed",
};

/// An exchange that has begun. Dropping it, on whatever path, ends it.
pub(crate) struct Underway {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) exchange: Exchange,
    pub(crate) outcome: Outcome,
    route: Option<usize>,
    received: Arc<AtomicU64>,
    is_finished: bool,
}

impl Underway {
    pub(crate) fn begin(
        service: &Service,
        snapshot: Arc<Snapshot>,
        connection: &Arc<Connection>,
        arrival: Arrival,
        received: Arc<AtomicU64>,
    ) -> Box<Self> {
        let trace = service.sampler.as_ref();
        let trace = trace.map_or_else(Trace::default, |sampler| begin_trace(&arrival.head.headers, sampler));
        let route = arrival.route;
        let exchange = exchange(&snapshot, connection, arrival, trace);
        // It is large and handed on several times, so it stays where it is.
        Box::new(Self { snapshot, exchange, outcome: Outcome::default(), route, received, is_finished: false })
    }

    pub(crate) fn route_number(&self) -> Option<usize> {
        self.route
    }

    pub(crate) fn route(&self) -> &Route {
        self.snapshot.route(self.route)
    }

    pub(crate) fn chain(&self) -> Arc<Chain> {
        self.route().chain.clone()
    }

    /// Tells the observers that the exchange begins; the problem if one of them could not tell its end.
    pub(crate) fn announce(&self) -> Option<Problem> {
        let full = self.snapshot.observers.iter().filter(|observer| observer.on_begin() == Room::None).count();
        (full > 0).then(|| {
            Problem::new(&NO_ROOM)
                .detail("Try again in a moment.")
                .header(header::RETRY_AFTER, HeaderValue::from_static("5"))
        })
    }

    /// Passes any answer through the response hooks.
    pub(crate) async fn answer_with(
        mut self: Box<Self>,
        response: Response<Body>,
        tunnel: Option<Tunnel>,
        alarm: &Alarm,
    ) -> Served {
        let chain = self.chain();
        let response = if chain.asks_on_answers() { self.told(&chain, response).await } else { response };
        let (mut head, mut body) = response.into_parts();
        if let Some(kind) = head.extensions.get::<&'static ProblemKind>() {
            self.outcome.problem = Some(kind.code);
            sign(&mut head, &self.exchange);
        }
        if catch_unwind(AssertUnwindSafe(|| chain.response(&mut self.exchange, &mut head))).is_err() {
            tracing::error!(exchange = %self.exchange.id, "a policy panicked; its exchange ends here");
            (head, body) = Problem::new(&INTERNAL_ERROR).into_response::<Body>().into_parts();
            self.outcome.problem = Some(INTERNAL_ERROR.code);
            sign(&mut head, &self.exchange);
        }
        if let Some(limit) = chain.response_body_limit() {
            let unfit = self.held(&chain, &mut body, limit, alarm).await;
            if let Some(kind) = unfit {
                (head, body) = Problem::new(kind).into_response::<Body>().into_parts();
                self.outcome.problem = Some(kind.code);
                sign(&mut head, &self.exchange);
            }
            head.headers.remove(header::CONTENT_LENGTH);
        }
        self.outcome.status = Some(head.status);
        Served::new(head, body, self, chain, tunnel)
    }

    /// Tells the policies that want to know what is answered, before the client knows.
    async fn told(&mut self, chain: &Chain, response: Response<Body>) -> Response<Body> {
        let (head, mut body) = response.into_parts();
        let told = AssertUnwindSafe(chain.answer(&mut self.exchange, &head, &mut body)).catch_unwind().await;
        match told {
            Ok(Ok(Flow::Next)) => Response::from_parts(head, body),
            Ok(Ok(Flow::Respond(response))) => *response,
            Ok(Err(cause)) => {
                tracing::warn!(exchange = %self.exchange.id, %cause, "an answer could not be read");
                Problem::new(&ANSWER_UNFIT).into_response()
            }
            Err(_panic) => {
                tracing::error!(exchange = %self.exchange.id, "a policy panicked; its exchange ends here");
                Problem::new(&INTERNAL_ERROR).into_response()
            }
        }
    }

    /// Lets the body hooks change a whole answer; the problem to answer with instead, if they cannot.
    async fn held(
        &mut self,
        chain: &Chain,
        body: &mut Body,
        limit: usize,
        alarm: &Alarm,
    ) -> Option<&'static ProblemKind> {
        let held = {
            let work = pin!(AssertUnwindSafe(hold(chain, &mut self.exchange, body, limit)).catch_unwind());
            cut::unless_over(alarm, work).await
        };
        match held {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(cause))) => {
                tracing::warn!(exchange = %self.exchange.id, %cause, "an answer could not be changed");
                Some(&ANSWER_UNFIT)
            }
            Ok(Err(_panic)) => {
                tracing::error!(exchange = %self.exchange.id, "a policy panicked; its exchange ends here");
                Some(&INTERNAL_ERROR)
            }
            Err(over) => Some(self.cut(over)),
        }
    }

    /// Notes that the exchange ends early, because what it depended on is over.
    pub(crate) fn cut(&mut self, over: Over) -> &'static ProblemKind {
        let kind = cut::problem(over);
        (self.outcome.cut, self.outcome.problem) = (Some(over), Some(kind.code));
        kind
    }

    /// Ends the exchange, as far as it got.
    pub(crate) fn finish(&mut self) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        self.outcome.took = self.exchange.began.elapsed();
        self.outcome.received = self.received.load(Ordering::Relaxed);
        let chain = self.chain();
        chain.finish(&self.exchange, &self.outcome);
        pipeline::tell(&self.snapshot.observers, &self.exchange, &self.outcome);
    }
}

/// What begins when a request has arrived.
pub(crate) fn exchange(snapshot: &Snapshot, connection: &Arc<Connection>, arrival: Arrival, trace: Trace) -> Exchange {
    let (began, began_at) = clock::now();
    let Arrival { head, host, client, scheme, route, parameters, arrived } = arrival;
    let target = snapshot.route(route);
    Exchange {
        id: pipeline::RequestId(telemetry::ids::request_id(began_at)),
        began,
        began_at,
        client,
        scheme,
        connection: connection.clone(),
        method: head.method.clone(),
        target: head.uri.clone(),
        host,
        head,
        arrived,
        route: target.names.clone(),
        parameters,
        caller: None,
        record: None,
        session: None,
        product: None,
        cost: 1,
        has_body: false,
        body_limit: None,
        trace,
        audited: OnceLock::new(),
        lives: Lives::new(),
        slots: target.chain.slots(),
        gates: pipeline::Gates::default(),
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Lets the body hooks change a whole answer.
async fn hold(chain: &Chain, exchange: &mut Exchange, body: &mut Body, limit: usize) -> Result<(), BoxError> {
    if matches!(body, Body::Empty) {
        return Ok(());
    }
    let mut whole = Limited::new(std::mem::take(body), limit).collect().await?.to_bytes();
    chain.response_body(exchange, &mut whole).map_err(Failure::into_inner)?;
    *body = Body::from(whole);
    Ok(())
}

/// Says on an answer of the gateway's own that it is one (RFC 9209), and by which name the log knows it.
fn sign(head: &mut http::response::Parts, exchange: &Exchange) {
    const STATUS: http::HeaderName = http::HeaderName::from_static("proxy-status");
    if !head.headers.contains_key(&STATUS) {
        let error = match head.status.as_u16() {
            400 | 408 | 413 | 414 | 417 | 431 => "vestibule; error=http_request_error",
            500 => "vestibule; error=proxy_internal_error",
            404 | 503 => "vestibule; error=destination_unavailable",
            _ => "vestibule; error=http_request_denied",
        };
        head.headers.insert(STATUS, HeaderValue::from_static(error));
    }
    if let Ok(id) = HeaderValue::try_from(exchange.id.to_string()) {
        head.headers.insert(http::HeaderName::from_static("x-request-id"), id);
    }
    head.headers.remove(header::CONTENT_LENGTH);
}
