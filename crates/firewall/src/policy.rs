//! The policy: where in the way of an exchange its phases run, and what comes of their verdicts.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Response, StatusCode, response};
use parking_lot::Mutex;
use pipeline::{
    AskOnAnswer, AskOnBodyBegun, AskOnRequest, Body, ChainBuilder, Exchange, Flow, OnFinish, Outcome, Policy, Reached,
    Slot, Stage, Step,
};
use problem::{Finding, Pointer, Problem, ProblemKind};
use waf::{Engine, Intervention, Persistence, Transaction, Verdict};

use crate::audit::{Record, Seen};
use crate::exclusions::Excluded;
use crate::inspection::{begin, expected, judge_answer, judge_answer_body, judge_body, judge_head, size, tell_time};
use crate::rule_set::{Answers, RuleSet};
use crate::settings::{Config, Mode};
use crate::shelf::Shelf;
use crate::workshop::{INLINE, Workshop};

/// A rule of the firewall stopped the request.
pub static REQUEST_BLOCKED: ProblemKind =
    ProblemKind { code: "request-blocked", status: StatusCode::FORBIDDEN, title: "The request was blocked" };

/// A rule of the firewall stopped the answer.
pub static ANSWER_BLOCKED: ProblemKind =
    ProblemKind { code: "answer-blocked", status: StatusCode::BAD_GATEWAY, title: "The answer was blocked" };

/// The body is larger than the firewall looks at.
pub static BODY_UNINSPECTABLE: ProblemKind = ProblemKind {
    code: "body-uninspectable",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    title: "The body is larger than can be inspected",
};

/// The compiled policy; nothing if it is off.
pub struct Waf(Option<Arc<Active>>);

/// The firewall of a route.
struct Active {
    set: Arc<RuleSet>,
    mode: Mode,
    excluded: Excluded,
    workshop: Arc<Workshop>,
    /// Where rules keep what they remember. Without it, they remember nothing from one request to the next.
    persistence: Option<Arc<dyn Persistence>>,
    inspection: Slot<Inspection>,
    /// Held so that the next configuration finds the sets of this one.
    _shelf: Arc<Shelf>,
}

/// How far the inspection of an exchange is.
struct Inspection(Mutex<State>);

struct State {
    /// None while it is judged on another thread.
    transaction: Option<Transaction>,
    /// What the third phase said, which runs before it is known how much of an answer must be seen.
    third: Verdict,
    blocked: Option<Reached>,
    answer: Option<HeaderMap>,
}

impl Policy for Waf {
    const NAME: &'static str = "waf";
    const STAGE: Stage = Stage::Inspect;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&REQUEST_BLOCKED, &ANSWER_BLOCKED, &BODY_UNINSPECTABLE];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        if config.mode == Mode::Off {
            return Ok(Self(None));
        }
        let shelf = Shelf::of(chain);
        let active = shelf.set(&config, at).and_then(|set| {
            set.left_out.iter().for_each(|left_out| chain.remark(left_out.clone()));
            let excluded = Excluded::compile(&config.exclusions, &set.rules, chain.scope(), &at.at("exclusions"))?;
            Ok((set, excluded))
        });
        match active {
            Ok((set, excluded)) => Ok(Self(Some(Arc::new(Active {
                set,
                mode: config.mode,
                excluded,
                persistence: chain.service::<dyn Persistence>(),
                workshop: chain.keep(Some("workshop"), Workshop::default),
                inspection: chain.slot(),
                _shelf: shelf,
            })))),
            Err(found) => {
                let mut found = found.into_iter();
                let first = found.next();
                found.for_each(|finding| chain.found(finding));
                Err(first.unwrap_or_else(|| Finding::new(at, "cannot be compiled")))
            }
        }
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        let Some(active) = &self.0 else { return };
        chain.keep_arrivals();
        chain.ask_on_request(active.clone());
        chain.ask_on_body_begun(active.clone());
        chain.ask_on_answer(active.clone());
        chain.on_finish(active.clone());
    }
}

impl AskOnRequest for Active {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let take = |environment| self.set.spares.take(&self.set.rules, environment);
        let mut transaction = begin(take, exchange, self.persistence.clone());
        transaction.set_engine(if self.mode == Mode::Detect { Engine::DetectionOnly } else { Engine::On });
        self.excluded.apply(exchange, &mut transaction);
        if self.set.answers == Answers::Plain {
            // What is compressed cannot be looked at; `compress` knows already what the client would like.
            exchange.head.headers.remove(ACCEPT_ENCODING);
        }
        let state = State { transaction: None, third: Verdict::Pass, blocked: None, answer: None };
        exchange.note(self.inspection, Inspection(Mutex::new(state)));
        let body = expected(exchange);
        let long = size(exchange);
        self.judge(exchange, transaction, (long, Reached::BlockedRequest), move |transaction| {
            judge_head(transaction, body)
        })
    }
}

impl AskOnBodyBegun for Active {
    fn wants(&self, exchange: &Exchange) -> usize {
        let Some(inspection) = exchange.noted(self.inspection) else { return 0 };
        let state = inspection.0.lock();
        // One byte more shows that there is more.
        let most = |transaction: &Transaction| {
            let limit = usize::try_from(transaction.request_body_limit()).unwrap_or(usize::MAX);
            if transaction.wants_request_body() { limit.saturating_add(1) } else { 0 }
        };
        state.transaction.as_ref().map_or(0, most)
    }

    /// Some backends take trailers for headers, and no rule sees them; calls of gRPC have their own.
    fn lets_trailers_pass(&self, exchange: &Exchange) -> bool {
        let kind = exchange.head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        self.mode == Mode::Detect || kind.starts_with(b"application/grpc")
    }

    fn ask_on_body_begun<'a>(&'a self, exchange: &'a mut Exchange, begun: &'a Bytes) -> Step<'a> {
        let Some(transaction) = self.taken(exchange) else { return Step::Now(Ok(Flow::Next)) };
        let most = usize::try_from(transaction.request_body_limit()).unwrap_or(usize::MAX).saturating_add(1);
        let begun = begun.slice(..begun.len().min(most));
        self.judge(exchange, transaction, (begun.len(), Reached::BlockedRequest), move |transaction| {
            judge_body(transaction, begun)
        })
    }
}

impl AskOnAnswer for Active {
    fn wants(&self, exchange: &Exchange, head: &response::Parts) -> Option<usize> {
        let inspection = exchange.noted(self.inspection)?;
        let mut state = inspection.0.lock();
        if state.blocked.is_some() {
            // It is the firewall's own answer.
            return None;
        }
        let mut transaction = state.transaction.take()?;
        tell_time(&mut transaction, exchange);
        state.third = judge_answer(&mut transaction, exchange.head.version, head);
        let is_plain = head.headers.get(CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
        let wants = state.third == Verdict::Pass && is_plain && transaction.wants_response_body();
        let limit = usize::try_from(transaction.response_body_limit()).unwrap_or(usize::MAX);
        state.answer = Some(head.headers.clone());
        state.transaction = Some(transaction);
        wants.then_some(limit)
    }

    fn sees_beginnings(&self) -> bool {
        true
    }

    fn ask_on_answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        _: &'a response::Parts,
        begun: Option<&'a Bytes>,
    ) -> Step<'a> {
        let Some(inspection) = exchange.noted(self.inspection) else { return Step::Now(Ok(Flow::Next)) };
        let (third, is_blocked) = {
            let state = inspection.0.lock();
            (state.third.clone(), state.blocked.is_some())
        };
        if is_blocked {
            return Step::Now(Ok(Flow::Next));
        }
        let Some(transaction) = self.taken(exchange) else { return Step::Now(Ok(Flow::Next)) };
        if let Verdict::Interrupt(_) = third {
            return Step::Now(Ok(self.judged(exchange, transaction, &third, Reached::BlockedAnswer)));
        }
        let begun = begun.cloned();
        let long = begun.as_ref().map_or(0, Bytes::len);
        self.judge(exchange, transaction, (long, Reached::BlockedAnswer), move |transaction| {
            judge_answer_body(transaction, begun.as_ref())
        })
    }
}

impl OnFinish for Active {
    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        let Some(inspection) = exchange.noted(self.inspection) else { return };
        let mut state = inspection.0.lock();
        // Of one that was being judged when its client went away, nothing is known.
        let Some(mut transaction) = state.transaction.take() else { return };
        tell_time(&mut transaction, exchange);
        transaction.phase(waf::Phase::Logging);
        transaction.finish();
        let (mode, blocked, answer) = (self.mode, state.blocked, state.answer.take());
        let seen = Seen { exchange, outcome, transaction: &transaction, mode, blocked, answer };
        if let Some(record) = Record::of(seen) {
            // The first firewall of a chain that has something to tell tells it.
            exchange.audited.set(Box::new(record)).ok();
        }
        self.set.spares.give(transaction);
    }
}

impl Active {
    fn taken(&self, exchange: &Exchange) -> Option<Transaction> {
        exchange.noted(self.inspection)?.0.lock().transaction.take()
    }

    /// Runs phases here if there is little to look at, and elsewhere if there is much.
    fn judge<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        mut transaction: Transaction,
        (long, reached): (usize, Reached),
        run: impl FnOnce(&mut Transaction) -> Verdict + Send + 'static,
    ) -> Step<'a> {
        tell_time(&mut transaction, exchange);
        if long <= INLINE {
            let verdict = run(&mut transaction);
            return Step::Now(Ok(self.judged(exchange, transaction, &verdict, reached)));
        }
        Step::Wait(Box::pin(async move {
            let judged = self.workshop.run(move || {
                let verdict = run(&mut transaction);
                (transaction, verdict)
            });
            let (transaction, verdict) = judged.await?;
            Ok(self.judged(exchange, transaction, &verdict, reached))
        }))
    }

    /// Notes a verdict, and does what it wants unless that is only written down.
    fn judged(&self, exchange: &Exchange, transaction: Transaction, verdict: &Verdict, reached: Reached) -> Flow {
        let Some(inspection) = exchange.noted(self.inspection) else { return Flow::Next };
        let mut state = inspection.0.lock();
        state.transaction = Some(transaction);
        match verdict {
            Verdict::Interrupt(intervention) if self.mode == Mode::Block => {
                state.blocked = Some(reached);
                refusal(intervention, reached, exchange)
            }
            Verdict::Interrupt(_) | Verdict::Pass => Flow::Next,
        }
    }
}

/// The answer in place of what was stopped. It names no rule: whoever attacks must not learn from it what to try next.
fn refusal(intervention: &Intervention, reached: Reached, exchange: &Exchange) -> Flow {
    let kind: &'static ProblemKind = match (reached, intervention.rule) {
        (Reached::BlockedAnswer, _) => &ANSWER_BLOCKED,
        (Reached::BlockedRequest | Reached::Detected, None) => &BODY_UNINSPECTABLE,
        (Reached::BlockedRequest | Reached::Detected, Some(_)) => &REQUEST_BLOCKED,
    };
    if let Some(location) = intervention.redirect.as_deref().and_then(|to| HeaderValue::from_bytes(to).ok()) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::from_u16(intervention.status).unwrap_or(StatusCode::FOUND);
        response.headers_mut().insert(LOCATION, location);
        // It is the gateway's own answer, and gets the id that finds its record as problems do.
        response.extensions_mut().insert(kind);
        return Flow::Respond(Box::new(response));
    }
    let wanted = StatusCode::from_u16(intervention.status).ok().filter(|_| intervention.rule.is_some());
    let status = wanted.filter(|status| status.as_u16() >= 400).unwrap_or(kind.status);
    let problem = Problem::new(kind)
        .member("status", status.as_u16())
        .member("id", exchange.id.to_string())
        .detail("If it should have passed, tell whoever runs this gateway the value of `id`.");
    let mut response: Response<Body> = problem.into_response();
    *response.status_mut() = status;
    Flow::Respond(Box::new(response))
}

#[cfg(test)]
mod tests;
