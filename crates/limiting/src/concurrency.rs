//! `concurrency`: lets so many requests be underway at once.

use std::sync::Arc;

use http::header::{HeaderValue, RETRY_AFTER};
use http::{StatusCode, response};
use limits::{Count, InFlight, Permit};
use pipeline::{ChainBuilder, Exchange, Flow, OnFinish, OnRequest, OnResponse, Outcome, Policy, Slot, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::counted_by::{CountBy, CountedBy};
use crate::rate_limit_fields::{Fields, name, plural};

/// The caller has too many requests underway.
pub static TOO_MANY_IN_FLIGHT: ProblemKind = ProblemKind {
    code: "too-many-in-flight",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "Too many of your requests are underway",
};

/// Too many requests are underway, whoever sent them.
pub static BUSY: ProblemKind =
    ProblemKind { code: "busy", status: StatusCode::SERVICE_UNAVAILABLE, title: "Too many requests are underway" };

/// Lets so many requests be underway at once.
///
/// A request is underway until its answer has been sent to the end or its client has gone. One too many is refused at once and not
/// queued: with 429 `too-many-in-flight` where callers are counted, else with 503 `busy`.
///
/// Where callers are counted (`key`, `app`, `company`, `product`) and a request has none, the policy cannot judge it: it is
/// refused, or passes if the policy's `on_failure` is `open`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many requests may be underway at once.
    requests: u32,
    /// Whom to count. Each may have so many underway.
    #[serde(default)]
    per: CountBy,
    /// The name that clients read in `RateLimit`. Limits of the same name and `per` count together, in whichever API.
    name: Option<String>,
}

/// The compiled policy.
pub struct Concurrency {
    limit: u32,
    counted_by: CountedBy,
    underway: Arc<InFlight>,
    permit: Slot<Permit>,
    fields: Fields,
}

impl Policy for Concurrency {
    const NAME: &'static str = "concurrency";
    const STAGE: Stage = Stage::Meter;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&TOO_MANY_IN_FLIGHT, &BUSY];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { requests: limit, per, name: written } = config;
        if limit == 0 {
            return Err(Finding::new(&at.at("requests"), "lets nothing pass: write at least 1"));
        }
        let counted_by = per.compile(chain, &at.at("per"))?;
        let name = name(written.as_deref(), Self::NAME, at, chain)?;
        let owner = written.unwrap_or_else(|| chain.place());
        let underway = chain.keep(Some(&format!("{owner}/{}", counted_by.identity())), InFlight::default);
        let fields = Fields::in_units(&name, u64::from(limit), "concurrent-requests", chain);
        Ok(Self { limit, counted_by, underway, permit: chain.slot(), fields })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self.clone());
        chain.on_response(self.clone());
        chain.on_finish(self);
    }
}

impl OnRequest for Concurrency {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        let entered = self.counted_by.with_key(exchange, |key| self.underway.enter(key, self.limit))?;
        let Ok((permit, Count(count))) = entered else {
            self.fields.keep_remaining(exchange, 0);
            return Ok(self.refusal().into());
        };
        exchange.note(self.permit, permit);
        self.fields.keep_remaining(exchange, u64::from(self.limit.saturating_sub(count)));
        Ok(Flow::Next)
    }
}

impl OnResponse for Concurrency {
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        self.fields.write(exchange, &mut head.headers);
    }
}

impl OnFinish for Concurrency {
    fn on_finish(&self, exchange: &Exchange, _: &Outcome) {
        // Whoever holds on to the exchange any longer does not hold others up.
        if let Some(permit) = exchange.noted(self.permit) {
            permit.release();
        }
    }
}

impl Concurrency {
    #[cold]
    fn refusal(&self) -> Problem {
        let kind = if self.counted_by.is_about_the_caller() { &TOO_MANY_IN_FLIGHT } else { &BUSY };
        let most = plural(u64::from(self.limit), "request");
        let detail =
            format!("At most {most} can be underway at once {}. Try again in a second.", self.counted_by.for_each());
        Problem::new(kind).detail(detail).header(RETRY_AFTER, HeaderValue::from_static("1"))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use http::Response;
    use pipeline::Body;
    use pipeline::tester::policy;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_exchange_is_over() {
        let limit = policy::<Concurrency>(json!({ "requests": 1 }));

        // The tester finishes each exchange before the next begins.
        let first = limit.request().passes();
        let second = limit.request().passes();
        drop((first, second));
        limit.request().passes();
    }

    #[test]
    fn one_too_many_is_refused_until_an_exchange_is_dropped() {
        let limit = policy_of(json!({ "requests": 1, "per": "address" }));
        let chain = limit.build();
        let begin = || {
            let mut exchange = pipeline::tester::exchange(http::Request::get("/"));
            chain.adopt(&mut exchange);
            let flow = chain.request(&mut exchange).now_or_never().unwrap();
            (exchange, flow)
        };

        let (first, flow) = begin();
        assert!(matches!(flow, Flow::Next));
        let (_, Flow::Respond(refused)) = begin() else { panic!("the second passed") };
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()[RETRY_AFTER], "1");

        // As when the client goes away: no hook is called any more.
        drop(first);
        let (second, flow) = begin();
        assert!(matches!(flow, Flow::Next));

        // As when the answer is out, and the exchange is kept for a while.
        chain.finish(&second, &Outcome::default());
        assert!(matches!(begin().1, Flow::Next));
    }

    fn policy_of(settings: serde_json::Value) -> ChainBuilder {
        let mut chain = ChainBuilder::new("test", Arc::default(), Arc::default());
        chain.enter(Concurrency::NAME, Concurrency::STAGE, pipeline::OnFailure::Close, None);
        (pipeline::Entry::of::<Concurrency>().install)(settings, &Pointer::default(), &mut chain).unwrap();
        chain
    }

    #[test]
    fn answers_say_what_is_allowed_and_what_is_left() {
        let limit = policy::<Concurrency>(json!({ "requests": 5 }));

        let answer = limit.request().answered(Response::new(Body::Empty));

        assert_eq!(answer.headers["ratelimit-policy"], "\"concurrency\";q=5;qu=\"concurrent-requests\"");
        assert_eq!(answer.headers["ratelimit"], "\"concurrency\";r=4");
    }

    #[test]
    fn a_gateway_that_is_full_says_503_and_not_429() {
        let chain = policy_of(json!({ "requests": 1 })).build();
        let ask = |exchange: &mut Exchange| {
            chain.adopt(exchange);
            chain.request(exchange).now_or_never().unwrap()
        };
        let mut first = pipeline::tester::exchange(http::Request::get("/"));
        let mut second = pipeline::tester::exchange(http::Request::get("/"));

        assert!(matches!(ask(&mut first), Flow::Next));
        let Flow::Respond(refused) = ask(&mut second) else { panic!("the second passed") };
        assert_eq!(refused.status(), 503);
    }

    #[test]
    fn a_limit_of_nothing_is_a_mistake() {
        let finding = policy::<Concurrency>(json!({ "requests": 0 })).finding();
        assert_eq!(finding, "/with/requests: lets nothing pass: write at least 1");
    }
}
