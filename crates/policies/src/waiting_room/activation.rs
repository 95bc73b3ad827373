//! When visitors have to wait at all, and what becomes of them while the room cannot be asked.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use model::share::Share;
use model::units::Span;
use pipeline::{Failure, Flow, Outcome, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use rooms::{Activation, KeptRoom, PassEnding};
use schemars::JsonSchema;
use serde::Deserialize;

/// The room cannot be asked, and as many were let through as may be without it.
pub(super) static WAITING_ROOM_UNAVAILABLE: ProblemKind = ProblemKind {
    code: "waiting-room-unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The waiting room is not available at the moment",
};

/// When visitors have to wait: when one of these is reached. It is over once none was for ten seconds and nobody waits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Activates {
    /// So many requests that were let through are under way.
    in_flight: Option<u32>,
    /// One of twenty answers takes longer, to its first byte.
    latency: Option<Span>,
    /// A larger part of answers than this fails: by a status of 5xx, or because there is none.
    failures: Option<Share>,
    /// More requests than this come in a second.
    rate: Option<u32>,
}

/// What becomes of requests while the room cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unavailable {
    /// They are refused (503).
    Refuse,
    /// They pass.
    Pass,
    /// So many pass in a second; the others are refused.
    PassPerSecond(u32),
}

impl Activates {
    pub(super) fn compiled(&self, at: &Pointer) -> Result<Activation, Finding> {
        let Self { in_flight, latency, failures, rate } = self;
        if in_flight.is_none() && latency.is_none() && failures.is_none() && rate.is_none() {
            let message = "says nothing: name at least one of `in_flight`, `latency`, `failures` and `rate`";
            return Err(Finding::new(at, message));
        }
        Ok(Activation {
            in_flight: *in_flight,
            latency: latency.map(Span::duration),
            failures: failures.map(|share| u32::from(share.percent()) * 10),
            rate: *rate,
        })
    }
}

/// What becomes of a request whose room could not be asked.
pub(super) fn unasked(unavailable: Option<Unavailable>, room: &KeptRoom, now: u32, failure: Failure) -> Verdict {
    let passes = match unavailable {
        // The route says what its policies' trouble means.
        None => return Err(failure),
        Some(Unavailable::Refuse) => false,
        Some(Unavailable::Pass) => true,
        Some(Unavailable::PassPerSecond(most)) => room.passes_unasked(most, now),
    };
    if passes {
        return Ok(Flow::Next);
    }
    Ok(Problem::new(&WAITING_ROOM_UNAVAILABLE).header(RETRY_AFTER, HeaderValue::from_static("5")).into())
}

/// How a request ended that was let through.
pub(crate) fn ending(outcome: &Outcome) -> PassEnding {
    let first_byte = outcome.upstream.as_ref().and_then(|upstream| upstream.first_byte);
    let is_failed = outcome.status.is_none_or(|status| status.is_server_error());
    match (&outcome.upstream, first_byte) {
        // A later policy answered, or the client went away.
        (None, _) if outcome.problem != Some(UNAVAILABLE) => PassEnding::Unknown,
        (Some(_), None) if outcome.status.is_none() => PassEnding::Unknown,
        (None, _) => PassEnding::NotSent,
        (Some(upstream), None) if upstream.attempts == 0 => PassEnding::NotSent,
        (Some(_), took) if is_failed => PassEnding::Failed(took),
        (Some(_), Some(took)) => PassEnding::Answered(took),
        (Some(_), None) => PassEnding::Failed(None),
    }
}

/// The code of the proxy's problem when an upstream is not asked.
const UNAVAILABLE: &str = "upstream-unavailable";
