//! `quota`: so many requests in a calendar window.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{StatusCode, response};
use limits::{Brink, Calendar, Counters, Decision, Fallback, Ledger, Passage, Period, Plans, Reached, Shared, crossed};
use pipeline::{
    AskOnRequest, ChainBuilder, Exchange, Failure, Flow, OnGiveBack, OnRequest, OnResponse, Policy, Stage, Step,
    Verdict,
};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

use crate::counted_by::{CountBy, CountedBy, joined};
use crate::rate_limit_fields::{Allowance, Fields, name, plural, retry_after};

/// The caller's requests for this window are used up.
pub static QUOTA_EXCEEDED: ProblemKind =
    ProblemKind { code: "quota-exceeded", status: StatusCode::TOO_MANY_REQUESTS, title: "The quota is used up" };

/// Lets so many requests pass in a calendar window.
///
/// Windows begin with the clock and the calendar of a time zone: the minute, the day, the month. A quota is never exceeded, by
/// no request and on all nodes of a shared store together, and a request that this limit or another one refuses (`spike-arrest`, `quota`, `concurrency`) costs nothing. What
/// any later policy refuses counts: it has been let in. A request counts for 1, or for what the policy `cost` says of it. Answers carry the
/// `RateLimit-Policy` and `RateLimit` fields.
///
/// Where callers are counted (`key`, `app`, `company`, `product`) and a request has none, the policy cannot judge it: it is
/// refused, or passes if the policy's `on_failure` is `open`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many requests pass in a window.
    requests: Option<u64>,
    /// How long a window is.
    per: Option<Period>,
    /// Takes requests and window from here instead: with `product`, from the product by which the caller asks. Such a quota is
    /// one for all APIs of the product; a product without a quota passes.
    from: Option<From>,
    /// The time zone of the windows, such as `Europe/Berlin`.
    #[serde(default = "default_zone")]
    zone: String,
    /// Whom to count. Each has the whole quota. Must be written, but with `from: product` it is `app` if left out.
    by: Option<CountBy>,
    /// The name that clients read in `RateLimit`. Quotas of the same name, window and `by` count together, in whichever API.
    name: Option<String>,
    /// How many callers are told apart at a time; those beyond share one quota until the window ends.
    #[serde(default = "default_keys")]
    keys: usize,
}

/// Where a quota can come from.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum From {
    /// The product by which the caller asks.
    Product,
}

fn default_zone() -> String {
    "UTC".to_owned()
}

fn default_keys() -> usize {
    1 << 17
}

/// The compiled policy.
pub struct Quota {
    plan: Plan,
    counted_by: CountedBy,
    fields: Fields,
    zone: String,
    /// Where several nodes count together, if there are several.
    shared: Option<Arc<dyn Shared>>,
    /// Who is told when callers come near the end of it, and at which shares in hundredths.
    brink: Option<Near>,
    name: String,
}

/// Who is told of those that come near the end, and at which shares.
type Near = (Arc<dyn Brink>, Box<[u8]>);

enum Plan {
    /// The same for everybody.
    Fixed { limit: u64, counters: Arc<Counters> },
    /// As the caller's product has it; counters for each period.
    OfProduct { plans: Arc<dyn Plans>, counters: Vec<Arc<Counters>> },
}

/// A quota by product, for a request by no product.
#[derive(Debug, Error)]
#[error("the quota is the product's, and the request has none: place a policy before it that finds the product")]
struct NoProduct;

impl Policy for Quota {
    const NAME: &'static str = "quota";
    const STAGE: Stage = Stage::Meter;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&QUOTA_EXCEEDED];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { requests, per, from, zone, by, name: written, keys } = config;
        let finding = |message: &str| Finding::new(at, message);
        let by = match (by, from) {
            (Some(by), _) => by,
            (None, Some(From::Product)) => CountBy::App,
            (None, None) => return Err(finding("does not say whom to count: write `by`, such as `by: app`")),
        };
        let counted_by = by.compile(chain, &at.at("by"))?;
        let name = name(written.as_deref(), Self::NAME, at, chain)?;
        let keeper = Keeper { zone: &zone, counted_by: &counted_by, keys, at };
        let (plan, fields) = match (requests, per, from) {
            (Some(limit), Some(period), None) => {
                let counters = keeper.counters(&written.unwrap_or_else(|| chain.place()), period, chain)?;
                let allowance = Allowance { quota: limit, seconds: period.seconds() };
                (Plan::Fixed { limit, counters }, Fields::fixed(&name, allowance, chain))
            }
            (None, None, Some(From::Product)) => {
                let plans = chain.service::<dyn Plans>();
                let plans = plans.ok_or_else(|| finding("there are no products here to take a quota from"))?;
                let counters = PERIODS.iter().map(|period| keeper.counters("products", *period, chain));
                let counters = counters.collect::<Result<_, _>>()?;
                (Plan::OfProduct { plans, counters }, Fields::varying(&name, chain))
            }
            _ => return Err(finding("needs either `requests` and `per`, or `from: product`")),
        };
        let brink = chain.service::<dyn Brink>().map(|brink| {
            let shares = brink.shares();
            (brink, shares)
        });
        let brink = brink.filter(|(_, shares)| !shares.is_empty());
        Ok(Self { plan, counted_by, fields, zone, shared: chain.service(), brink, name })
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

/// Finds or makes counters.
struct Keeper<'a> {
    zone: &'a str,
    counted_by: &'a CountedBy,
    keys: usize,
    at: &'a Pointer,
}

impl Keeper<'_> {
    fn counters(&self, owner: &str, period: Period, chain: &ChainBuilder) -> Result<Arc<Counters>, Finding> {
        let calendar = Calendar::new(period, self.zone)
            .map_err(|unknown| Finding::new(&self.at.at("zone"), unknown.to_string()))?;
        // Counts in other windows or of other things are other counters.
        let name = format!("{owner}/{period}/{}/{}", self.zone, self.counted_by.identity());
        let ledger = chain.service::<dyn Ledger>();
        Ok(chain.keep(Some(&name), || Counters::new(&name, calendar, self.keys, ledger)))
    }
}

impl OnRequest for Quota {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        let cost = exchange.cost;
        let now = exchange.began_at;
        let taken = self.counted(exchange, |counters, key, limit| counters.take(key, cost, limit, now))?;
        let Some((counters, decision)) = taken else { return Ok(Flow::Next) };
        Ok(self.settle(counters, &decision, exchange))
    }
}

impl AskOnRequest for Quota {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some(shared) = self.shared.as_deref() else { return Step::Now(self.on_request(exchange)) };
        let cost = exchange.cost;
        let now = exchange.began_at;
        let ask = |counters: &Counters, key: &str, limit: u64| (key.to_owned(), counters.ask(key, cost, limit, now));
        let (counters, (key, draw)) = match self.counted(exchange, ask) {
            Ok(Some(asked)) => asked,
            Ok(None) => return Step::Now(Ok(Flow::Next)),
            Err(failure) => return Step::Now(Err(failure)),
        };
        Step::Wait(Box::pin(async move {
            let decision = match shared.draw(draw.clone()).await {
                Ok(drawn) => counters.heed(&key, &draw, drawn, now),
                Err(away) if shared.fallback() == Fallback::Fail => return Err(away.into()),
                Err(_) => {
                    let decision = counters.take(&key, cost, draw.limit, now);
                    if decision.is_granted() {
                        let known = draw.limit.saturating_sub(decision.remaining);
                        shared.owe(&draw.counter, draw.window, cost.into(), known);
                    }
                    decision
                }
            };
            Ok(self.settle(counters, &decision, exchange))
        }))
    }
}

impl OnGiveBack for Quota {
    fn on_give_back(&self, exchange: &mut Exchange) {
        if !self.fields.has_decided(exchange) {
            return;
        }
        let (cost, then) = (exchange.cost, exchange.began_at);
        let left = self.counted(exchange, |counters, key, limit| {
            if let Some(shared) = &self.shared {
                let drawn = counters.ask(key, cost, limit, then);
                shared.return_to(&drawn.counter, drawn.window, cost);
            }
            counters.give_back(key, cost, limit, then)
        });
        if let Ok(Some((_, Some(left)))) = left {
            self.fields.correct(exchange, left);
        }
    }
}

impl OnResponse for Quota {
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        self.fields.write(exchange, &mut head.headers);
    }
}

impl Quota {
    fn settle(&self, counters: &Counters, decision: &Decision, exchange: &mut Exchange) -> Flow {
        self.fields.keep(exchange, decision, counters.calendar().period().seconds());
        if let Some((brink, shares)) = &self.brink {
            let cost = exchange.cost;
            if let Some(share) = crossed(decision, cost, shares) {
                self.tell(&**brink, share, (counters, decision), exchange);
            }
        }
        match decision.passage {
            Passage::Granted => Flow::Next,
            Passage::Refused { retry_after } => self.refusal(counters, decision, retry_after, exchange).into(),
        }
    }

    /// Says that a caller has used so much, by a name that is no secret.
    #[cold]
    fn tell(&self, brink: &dyn Brink, share: u8, (counters, decision): (&Counters, &Decision), exchange: &Exchange) {
        let calendar = counters.calendar();
        let window = calendar.window(exchange.began_at);
        let whom = self.counted_by.shown(exchange);
        brink.reached(&Reached {
            quota: &self.name,
            whom: &whom,
            share,
            limit: decision.limit,
            lasts: calendar.period().seconds(),
            ends: window.end,
            now: exchange.began_at,
            is_refused: !decision.is_granted(),
        });
    }

    /// Hands counters, key and limit of the exchange to `judge`; nothing, if its product has no quota.
    fn counted<T>(
        &self,
        exchange: &Exchange,
        judge: impl FnOnce(&Counters, &str, u64) -> T,
    ) -> Result<Option<(&Counters, T)>, Failure> {
        match &self.plan {
            Plan::Fixed { limit, counters } => {
                let judged = self.counted_by.with_key(exchange, |key| judge(counters, key, *limit))?;
                Ok(Some((counters, judged)))
            }
            Plan::OfProduct { plans, counters } => {
                let product = exchange.product.as_deref().ok_or(NoProduct)?;
                let Some((limit, period)) = plans.quota(product) else { return Ok(None) };
                let of_period = |counters: &&Arc<Counters>| counters.calendar().period() == period;
                let counters = counters.iter().find(of_period).ok_or(NoProduct)?;
                // The product first: the names of products are the operator's.
                let judge = |key: &str| judge(counters, joined(product, key).as_str(), limit);
                Ok(Some((counters, self.counted_by.with_key(exchange, judge)?)))
            }
        }
    }

    #[cold]
    fn refusal(
        &self,
        counters: &Counters,
        decision: &Decision,
        wait: Option<Duration>,
        exchange: &Exchange,
    ) -> Problem {
        let calendar = counters.calendar();
        let quota = format!(
            "The quota is {} per {} ({}) {}",
            plural(decision.limit, "request"),
            calendar.period(),
            self.zone,
            self.counted_by.for_each()
        );
        let Some(wait) = wait else {
            let detail = format!("{quota}, and this request counts for more than that.");
            return Problem::new(&QUOTA_EXCEEDED).detail(detail);
        };
        let (seconds, value) = retry_after(wait);
        let resets_at = calendar.written(calendar.window(exchange.began_at).end);
        let left = match decision.remaining {
            0 => "It is used up".to_owned(),
            left => format!("{left} are left, which is less than this request counts for"),
        };
        let detail = format!("{quota}. {left}; it resets at {resets_at}, in {}.", plural(seconds, "second"));
        Problem::new(&QUOTA_EXCEEDED).detail(detail).header(RETRY_AFTER, value)
    }
}

const PERIODS: [Period; 7] =
    [Period::Second, Period::Minute, Period::Hour, Period::Day, Period::Week, Period::Month, Period::Year];

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
