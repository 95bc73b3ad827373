//! A route's policies, sorted by phase, and how an exchange passes through them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, response};
use problem::{Problem, ProblemKind};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::exchange::{Gates, Slots};
use crate::{
    AskOnAnswer, AskOnBodyBegun, AskOnRequest, AskOnRequestBody, Body, BoxError, Condition, Exchange, Failure, Flow,
    OnFailure, OnFinish, OnGiveBack, OnRequest, OnRequestBody, OnResponse, OnResponseBody, OnResponseChunk, Outcome,
    Stage, Step, Verdict,
};

/// A policy could not decide and its route fails closed.
pub static POLICY_FAILED: ProblemKind = ProblemKind {
    code: "policy-failed",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The request could not be checked",
};

/// A route's policies, sorted by phase. Immutable once built.
pub struct Chain {
    pub(crate) request: Vec<Placed<RequestHook>>,
    /// Each with the number of request hooks up to its own.
    pub(crate) give_back: Vec<(usize, Placed<Arc<dyn OnGiveBack>>)>,
    pub(crate) body_begun: Vec<Placed<Arc<dyn AskOnBodyBegun>>>,
    pub(crate) request_body: Vec<Placed<RequestBodyHook>>,
    pub(crate) answer: Vec<Placed<Arc<dyn AskOnAnswer>>>,
    pub(crate) response: Vec<Placed<Arc<dyn OnResponse>>>,
    pub(crate) response_body: Vec<Placed<Arc<dyn OnResponseBody>>>,
    pub(crate) response_chunk: Vec<Placed<Arc<dyn OnResponseChunk>>>,
    pub(crate) finish: Vec<Arc<dyn OnFinish>>,
    pub(crate) slots: usize,
    pub(crate) figures: usize,
    pub(crate) keeps_arrivals: bool,
    pub(crate) patience: Duration,
}

pub(crate) enum RequestHook {
    Plain(Arc<dyn OnRequest>),
    Asking(Arc<dyn AskOnRequest>),
}

pub(crate) enum RequestBodyHook {
    Plain(Arc<dyn OnRequestBody>),
    Asking(Arc<dyn AskOnRequestBody>),
}

pub(crate) struct Placed<H> {
    pub(crate) policy: &'static str,
    pub(crate) stage: Stage,
    pub(crate) on_failure: OnFailure,
    pub(crate) gate: Option<Gate>,
    pub(crate) hook: H,
}

/// A policy's condition, and its bit in [`Gates`].
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) bit: u64,
    pub(crate) condition: Arc<dyn Condition>,
}

/// A policy waited longer than its chain allows.
#[derive(Debug)]
struct TooSlow(Duration);

impl std::fmt::Display for TooSlow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no decision within {:?}", self.0)
    }
}

impl std::error::Error for TooSlow {}

/// What one policy did with a request, for people who ask why.
#[derive(Debug)]
pub struct Explained {
    /// The policy's name.
    pub policy: &'static str,
    /// Where it stands.
    pub stage: Stage,
    /// What it said: nothing if its condition did not hold.
    pub flow: Option<Flow>,
    /// How long it took to say so.
    pub took: Duration,
}

impl Chain {
    /// Gives an exchange its places for notes.
    pub fn slots(&self) -> Slots {
        Slots {
            notes: std::iter::repeat_with(|| None).take(self.slots).collect(),
            figures: SmallVec::from_elem(0, self.figures),
        }
    }

    /// Readies an exchange for this chain, once its route is known.
    pub fn adopt(&self, exchange: &mut Exchange) {
        exchange.slots = self.slots();
        exchange.gates = Gates::default();
    }

    /// Whether any policy wants to know requests as they came.
    pub fn keeps_arrivals(&self) -> bool {
        self.keeps_arrivals
    }

    /// Asks every request hook in order, up to the first that answers.
    pub async fn request(&self, exchange: &mut Exchange) -> Flow {
        for (number, placed) in self.request.iter().enumerate() {
            if let Flow::Respond(response) = self.ask(placed, exchange).await {
                self.give_back(number, placed.stage, exchange);
                return Flow::Respond(response);
            }
        }
        Flow::Next
    }

    /// Has limits take back what they counted for a request that one of them refuses: those before the one of this number.
    fn give_back(&self, number: usize, stage: Stage, exchange: &mut Exchange) {
        if stage != Stage::Meter {
            return;
        }
        for (_, placed) in self.give_back.iter().rev().filter(|(own, _)| *own <= number) {
            if placed.concerns(exchange) {
                placed.hook.on_give_back(exchange);
            }
        }
    }

    /// Who is asked about a request's head, in order.
    pub fn asked(&self) -> impl Iterator<Item = (Stage, &'static str)> {
        self.request.iter().map(|placed| (placed.stage, placed.policy))
    }

    /// As [`Self::request`], and writes down what each policy said.
    pub async fn explain(&self, exchange: &mut Exchange) -> Vec<Explained> {
        let mut story = Vec::new();
        for (number, placed) in self.request.iter().enumerate() {
            let began = Instant::now();
            let applies = placed.applies(exchange);
            let flow = match applies {
                Ok(false) => None,
                Ok(true) | Err(_) => Some(self.ask(placed, exchange).await),
            };
            let answered = matches!(flow, Some(Flow::Respond(_)));
            story.push(Explained { policy: placed.policy, stage: placed.stage, flow, took: began.elapsed() });
            if answered {
                self.give_back(number, placed.stage, exchange);
                break;
            }
        }
        story
    }

    /// Shows every hook that wants it the beginning of a body, up to the first that answers. The body stays whole.
    pub async fn body_begun(&self, exchange: &mut Exchange, body: &mut Body) -> Result<Flow, BoxError> {
        for placed in &self.body_begun {
            match placed.applies(exchange) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(flow) => return Ok(flow),
            }
            let begun = match placed.hook.wants(exchange) {
                0 => Bytes::new(),
                wanted => body.begun(wanted).await?,
            };
            let verdict = match placed.hook.ask_on_body_begun(exchange, &begun) {
                Step::Now(verdict) => verdict,
                Step::Wait(answer) => self.wait(answer).await,
            };
            if let Flow::Respond(response) = placed.settle(verdict) {
                return Ok(Flow::Respond(response));
            }
            if !placed.hook.lets_trailers_pass(exchange) {
                body.drop_trailers();
            }
        }
        Ok(Flow::Next)
    }

    /// Whether any hook judges beginnings of bodies.
    pub fn sees_beginnings(&self) -> bool {
        !self.body_begun.is_empty()
    }

    /// How much of this request's body to hold back, if any hook asks for it.
    pub fn request_body_limit(&self, exchange: &Exchange) -> Option<usize> {
        let asked = self.request_body.iter().filter(|placed| !placed.is_out(exchange));
        asked
            .filter_map(|placed| match &placed.hook {
                RequestBodyHook::Plain(hook) => hook.concerns(exchange).then(|| hook.limit()),
                RequestBodyHook::Asking(hook) => hook.concerns(exchange).then(|| hook.limit()),
            })
            .min()
    }

    /// Asks every request-body hook in order, up to the first that answers.
    pub async fn request_body(&self, exchange: &mut Exchange, body: &mut Bytes) -> Flow {
        for placed in &self.request_body {
            match placed.applies(exchange) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(flow) => return flow,
            }
            let verdict = match &placed.hook {
                RequestBodyHook::Plain(hook) => hook.on_request_body(exchange, body),
                RequestBodyHook::Asking(hook) => match hook.ask_on_request_body(exchange, body) {
                    Step::Now(verdict) => verdict,
                    Step::Wait(answer) => self.wait(answer).await,
                },
            };
            if let Flow::Respond(response) = placed.settle(verdict) {
                return Flow::Respond(response);
            }
        }
        Flow::Next
    }

    /// Whether any hook wants to know of answers before they go on.
    pub fn asks_on_answers(&self) -> bool {
        !self.answer.is_empty()
    }

    /// Tells every hook that wants to know what is answered, last policy first, up to the first that answers otherwise.
    ///
    /// Holds back as much of the body as one of them has to see.
    pub async fn answer(
        &self,
        exchange: &mut Exchange,
        head: &response::Parts,
        body: &mut Body,
    ) -> Result<Flow, BoxError> {
        for placed in self.answer.iter().rev() {
            if !placed.concerns(exchange) {
                continue;
            }
            let seen = match placed.hook.wants(exchange, head) {
                Some(most) if placed.hook.sees_beginnings() => Some(body.begun(most.saturating_add(1)).await?),
                Some(most) => body.held(most).await?,
                None => None,
            };
            let verdict = match placed.hook.ask_on_answer(exchange, head, seen.as_ref()) {
                Step::Now(verdict) => verdict,
                Step::Wait(answer) => self.wait(answer).await,
            };
            if let Flow::Respond(response) = placed.settle(verdict) {
                return Ok(Flow::Respond(response));
            }
        }
        Ok(Flow::Next)
    }

    /// Lets every response hook edit the head, last policy first.
    pub fn response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        for placed in self.response.iter().rev() {
            if placed.concerns(exchange) {
                placed.hook.on_response(exchange, head);
            }
        }
    }

    /// How much of a response body to hold back, if any hook asks for it.
    pub fn response_body_limit(&self) -> Option<usize> {
        self.response_body.iter().map(|placed| placed.hook.limit()).min()
    }

    /// Lets every response-body hook change the whole body, last policy first.
    pub fn response_body(&self, exchange: &mut Exchange, body: &mut Bytes) -> Result<(), Failure> {
        for placed in self.response_body.iter().rev() {
            if placed.concerns(exchange) {
                placed.hook.on_response_body(exchange, body)?;
            }
        }
        Ok(())
    }

    /// Whether any hook wants to see the pieces of a response body.
    pub fn sees_chunks(&self) -> bool {
        !self.response_chunk.is_empty()
    }

    /// Passes a piece of the response body through every chunk hook, last policy first.
    pub fn response_chunk(&self, exchange: &mut Exchange, mut chunk: Bytes) -> Result<Bytes, Failure> {
        for placed in self.response_chunk.iter().rev() {
            if placed.concerns(exchange) {
                chunk = placed.hook.on_response_chunk(exchange, chunk)?;
            }
        }
        Ok(chunk)
    }

    /// Collects what the chunk hooks still hold; what an inner one lets go passes through the outer ones.
    pub fn response_end(&self, exchange: &mut Exchange) -> Result<Bytes, Failure> {
        let mut rest = Bytes::new();
        for placed in self.response_chunk.iter().rev() {
            if !placed.concerns(exchange) {
                continue;
            }
            if !rest.is_empty() {
                rest = placed.hook.on_response_chunk(exchange, rest)?;
            }
            let last = placed.hook.on_response_end(exchange)?;
            rest = if rest.is_empty() { last } else { [rest, last].concat().into() };
        }
        Ok(rest)
    }

    /// Tells every finish hook how it ended. A hook that panics silences only itself.
    pub fn finish(&self, exchange: &Exchange, outcome: &Outcome) {
        tell(&self.finish, exchange, outcome);
    }

    async fn ask(&self, placed: &Placed<RequestHook>, exchange: &mut Exchange) -> Flow {
        match placed.applies(exchange) {
            Ok(true) => {}
            Ok(false) => return Flow::Next,
            Err(flow) => return flow,
        }
        let verdict = match &placed.hook {
            RequestHook::Plain(hook) => hook.on_request(exchange),
            RequestHook::Asking(hook) => match hook.ask_on_request(exchange) {
                Step::Now(verdict) => verdict,
                Step::Wait(answer) => self.wait(answer).await,
            },
        };
        placed.settle(verdict)
    }

    async fn wait(&self, answer: futures::future::BoxFuture<'_, Verdict>) -> Verdict {
        match tokio::time::timeout(self.patience, answer).await {
            Ok(verdict) => verdict,
            Err(_) => Err(TooSlow(self.patience).into()),
        }
    }
}

/// Tells hooks how an exchange ended. One that panics silences only itself.
pub fn tell(hooks: &[Arc<dyn OnFinish>], exchange: &Exchange, outcome: &Outcome) {
    for hook in hooks {
        if catch_unwind(AssertUnwindSafe(|| hook.on_finish(exchange, outcome))).is_err() {
            tracing::error!(exchange = %exchange.id, "a finish hook panicked");
        }
    }
}

impl<H> Placed<H> {
    /// Whether the policy's condition holds, or the answer to give because it could not be asked.
    /// Whether its condition was asked and did not hold.
    fn is_out(&self, exchange: &Exchange) -> bool {
        self.gate
            .as_ref()
            .is_some_and(|gate| exchange.gates.asked & gate.bit != 0 && exchange.gates.held & gate.bit == 0)
    }

    fn applies(&self, exchange: &mut Exchange) -> Result<bool, Flow> {
        let Some(gate) = &self.gate else { return Ok(true) };
        if exchange.gates.asked & gate.bit != 0 {
            return Ok(exchange.gates.held & gate.bit != 0);
        }
        let answer = gate.condition.holds(exchange);
        exchange.gates.asked |= gate.bit;
        match answer {
            Ok(false) => Ok(false),
            Ok(true) => {
                exchange.gates.held |= gate.bit;
                Ok(true)
            }
            Err(failure) => match self.settle(Err(failure)) {
                Flow::Next => Ok(false),
                refusal @ Flow::Respond(_) => Err(refusal),
            },
        }
    }

    /// As [`Self::applies`] on the way back, where nothing can be refused any more.
    fn concerns(&self, exchange: &mut Exchange) -> bool {
        self.gate.is_none() || self.applies(exchange).unwrap_or(false)
    }

    /// Turns a policy's own trouble into what its route wants done about it.
    fn settle(&self, verdict: Verdict) -> Flow {
        let cause = match verdict {
            Ok(flow) => return flow,
            Err(failure) => failure.into_inner(),
        };
        match self.on_failure {
            OnFailure::Close => {
                tracing::warn!(policy = self.policy, %cause, "refused unchecked");
                Problem::new(&POLICY_FAILED).into()
            }
            OnFailure::Open => {
                tracing::warn!(policy = self.policy, %cause, "passed unchecked");
                Flow::Next
            }
        }
    }
}
