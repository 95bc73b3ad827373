//! `spike-arrest`: lets requests pass at a rate, with a burst.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{StatusCode, response};
use limits::{Arrivals, Decision, Fallback, Gcra, Passage, Shared};
use model::units::{Rate, Span};
use pipeline::{
    AskOnRequest, ChainBuilder, Exchange, Flow, OnGiveBack, OnRequest, OnResponse, Policy, Stage, Step, Verdict,
};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::counted_by::{CountBy, CountedBy};
use crate::rate_limit_fields::{Allowance, Fields, name, plural, retry_after};

/// Requests come faster than the route allows.
pub static RATE_LIMITED: ProblemKind =
    ProblemKind { code: "rate-limited", status: StatusCode::TOO_MANY_REQUESTS, title: "Requests come too fast" };

/// Lets requests pass at a rate, with a burst.
///
/// In any window of time `T`, at most `burst + rate * T` requests pass, exactly, however many come at once and on all nodes of a
/// shared store together. A request that this
/// limit or another one refuses (`spike-arrest`, `quota`, `concurrency`) costs nothing. Answers carry the `RateLimit-Policy` and
/// `RateLimit` fields.
///
/// Where callers are counted (`key`, `app`, `company`, `product`) and a request has none, the policy cannot judge it: it is
/// refused, or passes if the policy's `on_failure` is `open`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many requests in which time, in the long run: `100/s`, `10/m`, `500/15m`. A changed rate begins anew after a reload.
    rate: Rate,
    /// How many requests may come at once. Left out, a tenth of the rate's number, and at least one.
    burst: Option<u64>,
    /// Whom to count. Each has the whole rate.
    #[serde(default)]
    per: CountBy,
    /// The name that clients read in `RateLimit`. Limits of the same name, rate and `per` count together, in whichever API.
    name: Option<String>,
    /// How many callers are told apart at a time; those beyond share one allowance until others have gone idle.
    #[serde(default = "default_keys")]
    keys: usize,
}

fn default_keys() -> usize {
    1 << 16
}

/// The compiled policy.
pub struct SpikeArrest {
    rule: Gcra,
    counted_by: CountedBy,
    state: Arc<State>,
    fields: Fields,
    /// By which all nodes know what is counted here.
    name: String,
    /// Where several nodes count together, if there are several.
    shared: Option<Arc<dyn Shared>>,
    window: u64,
    /// What is allowed, in words.
    allowed: String,
}

/// What survives a reload.
struct State {
    epoch: Instant,
    arrivals: Arrivals,
}

impl State {
    /// A moment as the arrivals count time.
    fn nanos(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Policy for SpikeArrest {
    const NAME: &'static str = "spike-arrest";
    const STAGE: Stage = Stage::Meter;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&RATE_LIMITED];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { rate, burst, per, name: written, keys } = config;
        let counted_by = per.compile(chain, &at.at("per"))?;
        let burst = burst.unwrap_or_else(|| (rate.count() / 10).max(1));
        let rule = Gcra::new(rate.count(), rate.per(), burst).ok_or_else(|| {
            let message =
                format!("{burst} at `{rate}` cannot be: write at least 1, and no more than the rate gives in a year");
            Finding::new(&at.at("burst"), message)
        })?;
        let name = name(written.as_deref(), Self::NAME, at, chain)?;
        let allowance = allowance(&rule, rate);
        let fields = Fields::fixed(&name, allowance, chain);
        let owner = written.unwrap_or_else(|| chain.place());
        let name = format!("{owner}/{rate}/{}", counted_by.identity());
        let state = chain.keep(Some(&name), || State { epoch: Instant::now(), arrivals: Arrivals::new(keys) });
        let allowed = format!(
            "{} per {}, {burst} at once, are allowed {}",
            plural(rate.count(), "request"),
            in_words(rate.per()),
            counted_by.for_each()
        );
        let shared = chain.service();
        Ok(Self { rule, counted_by, state, fields, name, shared, window: allowance.seconds, allowed })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        match &self.shared {
            Some(_) => chain.ask_on_request(self.clone()),
            None => chain.on_request(self.clone()),
        }
        chain.on_give_back(self.clone());
        chain.on_response(self);
    }
}

impl OnRequest for SpikeArrest {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        let now = self.state.nanos(exchange.began);
        let take = |key: &str| self.state.arrivals.take(key, 1, &self.rule, now);
        let decision = self.counted_by.with_key(exchange, take)?;
        Ok(self.settle(&decision, exchange))
    }
}

impl AskOnRequest for SpikeArrest {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some(shared) = self.shared.as_deref() else { return Step::Now(self.on_request(exchange)) };
        let name = match self.counted_by.with_key(exchange, |key| self.shared_name(key)) {
            Ok(name) => name,
            Err(failure) => return Step::Now(Err(failure)),
        };
        Step::Wait(Box::pin(async move {
            match shared.step(name, 1, self.rule).await {
                Ok(decision) => Ok(self.settle(&decision, exchange)),
                Err(away) if shared.fallback() == Fallback::Fail => Err(away.into()),
                Err(_) => self.on_request(exchange),
            }
        }))
    }
}

impl OnGiveBack for SpikeArrest {
    fn on_give_back(&self, exchange: &mut Exchange) {
        if !self.fields.has_decided(exchange) {
            return;
        }
        let held = self.state.nanos(exchange.began)..self.state.nanos(Instant::now());
        let give_back = |key: &str| {
            if let Some(shared) = &self.shared {
                let held = Duration::from_nanos(held.end.saturating_sub(held.start));
                shared.step_back(&self.shared_name(key), 1, self.rule, held);
            }
            self.state.arrivals.give_back(key, 1, &self.rule, held)
        };
        if let Ok(Some(stands)) = self.counted_by.with_key(exchange, give_back) {
            self.fields.keep(exchange, &stands, self.window);
        }
    }
}

impl OnResponse for SpikeArrest {
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        self.fields.write(exchange, &mut head.headers);
    }
}

impl SpikeArrest {
    fn settle(&self, decision: &Decision, exchange: &mut Exchange) -> Flow {
        self.fields.keep(exchange, decision, self.window);
        match decision.passage {
            Passage::Granted => Flow::Next,
            Passage::Refused { retry_after } => self.refusal(retry_after.unwrap_or(decision.resets_in)).into(),
        }
    }

    fn shared_name(&self, key: &str) -> String {
        [&self.name, ":", key].concat()
    }

    #[cold]
    fn refusal(&self, wait: Duration) -> Problem {
        let (seconds, value) = retry_after(wait);
        Problem::new(&RATE_LIMITED)
            .detail(format!("{}. Try again in {}.", self.allowed, plural(seconds, "second")))
            .header(RETRY_AFTER, value)
    }
}

/// What clients are told. Each of the two is true in the long run; the larger one has room for the burst.
fn allowance(rule: &Gcra, rate: Rate) -> Allowance {
    let seconds = |time: Duration| crate::rate_limit_fields::whole_seconds(time).max(1);
    if rule.burst() > rate.count() {
        return Allowance { quota: rule.burst(), seconds: seconds(rule.refill()) };
    }
    Allowance { quota: rate.count(), seconds: seconds(rate.per()) }
}

fn in_words(time: Duration) -> String {
    match time.as_micros() {
        1_000_000 => "second".to_owned(),
        60_000_000 => "minute".to_owned(),
        3_600_000_000 => "hour".to_owned(),
        86_400_000_000 => "day".to_owned(),
        _ => Span::new(time).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use pipeline::tester::{PolicyUnderTest, policy};
    use pipeline::{Body, Caller};
    use serde_json::json;

    use super::*;

    fn app(name: &str) -> Caller {
        Caller { by: "api-key", company: Some("acme".into()), app: Some(name.into()), ..Caller::default() }
    }

    /// A policy, and a moment after its making from which tests count time.
    fn made(settings: serde_json::Value) -> (PolicyUnderTest<SpikeArrest>, Instant) {
        (policy(settings), Instant::now())
    }

    fn at(moment: Instant) -> impl FnOnce(&mut Exchange) {
        move |exchange| exchange.began = moment
    }

    #[test]
    fn a_burst_passes_and_the_next_is_told_when_to_try_again() {
        let (arrest, start) = made(json!({ "rate": "10/m", "burst": 2 }));

        arrest.request().with(at(start)).passes();
        arrest.request().with(at(start)).passes();
        let answer = arrest.request().with(at(start)).is_refused_with("rate-limited");

        assert_eq!(answer.status, 429);
        assert_eq!(answer.headers["retry-after"], "6");
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = "10 requests per minute, 2 at once, are allowed for the whole API. Try again in 6 seconds.";
        assert_eq!(document["detail"], expected);
        arrest.request().with(at(start + Duration::from_secs(6))).passes();
    }

    #[test]
    fn answers_say_what_is_allowed_and_what_is_left() {
        let (arrest, start) = made(json!({ "rate": "10/m", "burst": 2, "name": "burst" }));

        let answer = arrest.request().with(at(start)).answered(Response::new(Body::Empty));
        assert_eq!(answer.headers["ratelimit-policy"], "\"burst\";q=10;w=60");
        assert_eq!(answer.headers["ratelimit"], "\"burst\";r=1;t=6");

        arrest.request().with(at(start)).passes();
        let answer = arrest.request().with(at(start)).is_refused_with("rate-limited");
        assert_eq!(answer.headers["ratelimit-policy"], "\"burst\";q=10;w=60");
        assert_eq!(answer.headers["ratelimit"], "\"burst\";r=0;t=12");
    }

    #[test]
    fn a_burst_larger_than_the_rate_is_the_allowance_that_clients_read() {
        let (arrest, start) = made(json!({ "rate": "1/s", "burst": 30 }));
        let answer = arrest.request().with(at(start)).answered(Response::new(Body::Empty));
        assert_eq!(answer.headers["ratelimit-policy"], "\"spike-arrest\";q=30;w=30");
    }

    #[test]
    fn a_field_that_the_upstream_sent_stays_in_the_list() {
        let (arrest, start) = made(json!({ "rate": "10/m" }));
        let upstream = Response::builder().header("ratelimit", "\"a\";r=1").header("ratelimit", "\"b\";r=2");

        let answer = arrest.request().with(at(start)).answered(upstream.body(Body::Empty).unwrap());

        let lines: Vec<_> = answer.headers.get_all("ratelimit").iter().collect();
        assert_eq!(lines, ["\"spike-arrest\";r=0;t=6, \"a\";r=1, \"b\";r=2"]);
    }

    #[test]
    fn every_app_has_its_own_rate() {
        let (arrest, start) = made(json!({ "rate": "10/m", "per": "app" }));

        arrest.request().with(at(start)).called_by(app("shop")).passes();
        arrest.request().with(at(start)).called_by(app("shop")).is_refused_with("rate-limited");
        arrest.request().with(at(start)).called_by(app("desk")).passes();
    }

    #[test]
    fn every_value_of_a_header_has_its_own_rate_and_those_without_share_one() {
        let (arrest, start) = made(json!({ "rate": "10/m", "per": { "header": "x-tenant" } }));

        arrest.request().with(at(start)).header("x-tenant", "blue").passes();
        arrest.request().with(at(start)).header("x-tenant", "blue").is_refused_with("rate-limited");
        arrest.request().with(at(start)).passes();
        arrest.request().with(at(start)).is_refused_with("rate-limited");
    }

    #[test]
    fn a_request_of_nobody_cannot_be_judged_where_apps_are_counted() {
        let settings = json!({ "rate": "10/m", "per": "app" });

        policy::<SpikeArrest>(settings.clone()).request().is_refused_with("policy-failed");
        policy::<SpikeArrest>(settings).failing_open().request().passes();
    }

    #[test]
    fn a_reload_gives_no_second_burst() {
        let (arrest, start) = made(json!({ "rate": "10/m" }));
        arrest.request().with(at(start)).passes();

        let arrest = arrest.reloaded(json!({ "rate": "10/m", "burst": 1 }));

        arrest.request().with(at(start)).is_refused_with("rate-limited");
    }

    #[test]
    fn settings_that_make_no_sense_are_findings() {
        let finding = |settings| policy::<SpikeArrest>(settings).finding();
        assert_eq!(
            finding(json!({ "rate": "10/s", "burst": 0 })),
            "/with/burst: 0 at `10/s` cannot be: write at least 1, and no more than the rate gives in a year"
        );
        assert_eq!(
            finding(json!({ "rate": "10/s", "per": { "header": "a b" } })),
            "/with/per/header: `a b` is no header's name"
        );
        assert_eq!(
            finding(json!({ "rate": "10/s", "name": "a\"b" })),
            "/with/name: `a\"b` is no name: write 1 to 64 letters, digits, `-`, `_` or `.`"
        );
        assert!(finding(json!({ "rate": 10 })).contains("`10` has no unit"));
    }
}
