//! From the gateway to the backend and back.

use alarm::Alarm;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use pipeline::{Body, Upstreamed};
use problem::{Problem, ProblemKind};
use upstream::{Failed, Interim, Kind, Outgoing};
use watch::hand_on_trace;

use crate::arrival::strip_answer;
use crate::forwarded;
use crate::handle::NO_ANSWER;
use crate::refused;
use crate::served::Tunnel;
use crate::underway::Underway;

/// No backend could be asked.
pub(crate) static UPSTREAM_UNAVAILABLE: ProblemKind = ProblemKind {
    code: "upstream-unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The service is not available right now",
};

/// The backend could not be reached, or its answer was not valid.
pub(crate) static UPSTREAM_FAILED: ProblemKind =
    ProblemKind { code: "upstream-failed", status: StatusCode::BAD_GATEWAY, title: "The service gave no valid answer" };

/// The backend gave no answer in time.
pub(crate) static UPSTREAM_LATE: ProblemKind = ProblemKind {
    code: "upstream-late",
    status: StatusCode::GATEWAY_TIMEOUT,
    title: "The service gave no answer in time",
};

/// Sends the request where its route says, and returns what came back, or the problem that nothing did.
pub(crate) async fn forward(
    underway: &mut Underway,
    body: Body,
    interim: Option<Interim>,
    alarm: &Alarm,
) -> (Response<Body>, Option<Tunnel>) {
    let snapshot = underway.snapshot.clone();
    let route = snapshot.route(underway.route_number());
    let Some(upstream) = route.destination.next() else {
        return (Problem::new(&NO_ANSWER).into_response(), None);
    };
    let exchange = &mut underway.exchange;
    forwarded::tell(route.forwarded, exchange);
    if exchange.trace.trace_id != 0 {
        hand_on_trace(&exchange.trace, &mut exchange.head.headers);
    }
    if let Some(mirror) = route.mirror.as_ref().filter(|mirror| mirror.wants()) {
        crate::mirror::copy(&mirror.upstream, exchange, &body);
    }
    let client = exchange.client;
    let outgoing = Outgoing { head: &mut exchange.head, body, client, alarm, interim };
    match upstream.send(outgoing).await {
        Ok(answer) => {
            underway.outcome.upstream = Some(Upstreamed {
                name: upstream.name.clone(),
                target: answer.target,
                first_byte: Some(answer.first_byte),
                attempts: answer.attempts,
            });
            let mut response = answer.response;
            strip_answer(response.headers_mut(), answer.tunnel.is_some());
            let tunnel = answer.tunnel.map(|(io, said)| Tunnel { io, said });
            (response, tunnel)
        }
        Err(failed) => {
            underway.outcome.upstream = failed.target.clone().map(|target| Upstreamed {
                name: upstream.name.clone(),
                target,
                first_byte: None,
                attempts: failed.attempts,
            });
            (problem(&upstream.name, failed).into_response(), None)
        }
    }
}

/// The problem that a failure is, with the reason by RFC 9209.
fn problem(upstream: &str, failed: Failed) -> Problem {
    let Failed { kind, target, again, cause, .. } = failed;
    if kind == Kind::ClientBody {
        return match cause {
            Some(cause) => refused::body(cause.as_ref(), usize::MAX),
            None => Problem::new(&refused::BAD_REQUEST),
        };
    }
    if let Some(cause) = cause {
        let target = target.as_deref().unwrap_or_default();
        tracing::warn!(upstream, target, ?kind, %cause, "no answer from an upstream");
    }
    let problem = match kind.status() {
        StatusCode::SERVICE_UNAVAILABLE => {
            // Whole seconds, and never too few.
            let again = again.map_or(1, |again| again.as_millis().div_ceil(1000).max(1));
            let seconds = HeaderValue::from_str(&again.to_string()).unwrap_or(HeaderValue::from_static("1"));
            Problem::new(&UPSTREAM_UNAVAILABLE).header(header::RETRY_AFTER, seconds)
        }
        StatusCode::GATEWAY_TIMEOUT => Problem::new(&UPSTREAM_LATE),
        _ => Problem::new(&UPSTREAM_FAILED),
    };
    let problem = problem.detail(advice(kind));
    let status = HeaderValue::try_from(format!("vestibule; error={}", kind.proxy_error()));
    match status {
        Ok(status) => problem.header(HeaderName::from_static("proxy-status"), status),
        Err(_) => problem,
    }
}

/// What a client can make of a failure. The cause is for the log.
fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::CircuitOpen | Kind::NoTarget => "It failed again and again and is given a rest. Try again in a moment.",
        Kind::Full => "It has as much to do as it may have. Try again in a moment.",
        Kind::Exhausted => "The gateway has no room for a further connection. Try again in a moment.",
        Kind::Name | Kind::Connect | Kind::ConnectLate | Kind::Tls => {
            "No connection to it could be made, so nothing was sent. Try again in a moment; if it stays like this, tell \
             whoever runs this gateway the value of `x-request-id`."
        }
        Kind::Closed => {
            "It ended the connection before it answered. What you asked for may have been done: look before you send it \
             again, unless it may be done twice."
        }
        Kind::Late => {
            "It took too long. What you asked for may still be done: look before you send it again, unless it may be \
             done twice."
        }
        Kind::ClientLate => "The time for the whole exchange was over before the request had come to its end.",
        Kind::Invalid => {
            "What it answered is not valid HTTP. Trying again will hardly help; tell whoever runs this gateway the value \
             of `x-request-id`."
        }
        Kind::ClientBody => "The body did not come to its end.",
    }
}
