//! `waiting-room-visit`: ends visits of a waiting room by what is answered.

use std::sync::Arc;

use attributes::places::Answer;
use bytes::Bytes;
use http::response;
use model::units::Size;
use pipeline::{AskOnAnswer, ChainBuilder, Exchange, Flow, Policy, Stage, Step, Verdict};
use problem::{Finding, Pointer, ProblemKind};
use rooms::{KeptRoom, Sessions, Trouble};
use schemars::JsonSchema;
use serde::Deserialize;
use waiting_room::{Ending, RequestId};

use crate::sessions::{EndRule, Ends};
use crate::waiting_room::{token, visitor};
use crate::waiting_room_api::room;

/// Ends visits of a waiting room by what is answered: a visitor has bought something, or signed out.
///
/// It stands beside `waiting-room` or `waiting-room-token`, and knows visitors by what they show there: the cookie, or an access
/// token in `authorization`. A visit that has ended is counted and told as `session_updated`; an inlet of `max-size` lets in
/// the next, unless the room is strict. Whoever then opens a page behind `waiting-room` joins anew, so let the page that ends a visit be its last one, or
/// lead out of the room. What cannot be written down is logged, and the answer goes out nevertheless.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of a room in `rooms`.
    room: String,
    /// Which requests end a visit whose visitor did what they came for; the first rule that holds counts.
    #[serde(default)]
    completed: Vec<EndRule>,
    /// Which requests end a visit whose visitor goes away.
    #[serde(default)]
    abandoned: Vec<EndRule>,
    /// How much of an answer is read to find values in its body.
    #[serde(default = "answer_limit")]
    answer_limit: Size,
}

fn answer_limit() -> Size {
    Size::new(64 * 1024)
}

/// The compiled policy.
pub struct WaitingRoomVisit {
    room: Option<Arc<KeptRoom>>,
    rules: Vec<(Ends, Ending)>,
    answer_limit: usize,
}

impl Policy for WaitingRoomVisit {
    const NAME: &'static str = "waiting-room-visit";
    const STAGE: Stage = Stage::Admit;
    const PROBLEMS: &'static [&'static ProblemKind] = &[];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let kept = room(&config.room, &at.at("room"), chain)?;
        let mut rules = Vec::new();
        for (name, written, ending) in
            [("completed", config.completed, Ending::Completed), ("abandoned", config.abandoned, Ending::Abandoned)]
        {
            for (index, rule) in written.into_iter().enumerate() {
                rules.push((rule.compile(chain, &at.at(name).at(index))?, ending));
            }
        }
        if rules.is_empty() {
            return Err(Finding::new(at, "ends no visit: write a rule into `completed` or `abandoned`"));
        }
        Ok(Self { room: kept, rules, answer_limit: config.answer_limit.as_usize() })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_answer(self);
    }
}

impl AskOnAnswer for WaitingRoomVisit {
    fn wants(&self, _: &Exchange, head: &response::Parts) -> Option<usize> {
        self.rules.iter().any(|(rule, _)| rule.reads_body(head.status)).then_some(self.answer_limit)
    }

    fn ask_on_answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        head: &'a response::Parts,
        body: Option<&'a Bytes>,
    ) -> Step<'a> {
        let answer = Answer::new(head, body);
        for (rule, ending) in &self.rules {
            match rule.holds(exchange, &answer) {
                Ok(false) => {}
                Ok(true) => return Step::Wait(Box::pin(self.ends(exchange, *ending))),
                Err(failure) => return Step::Now(Err(failure)),
            }
        }
        Step::Now(Ok(Flow::Next))
    }
}

impl WaitingRoomVisit {
    async fn ends(&self, exchange: &Exchange, ending: Ending) -> Verdict {
        if let Some(room) = &self.room
            && let Err(cause) = end(room, exchange, ending).await
        {
            tracing::warn!(room = &**room.name(), %cause, "the end of a visit could not be written down");
        }
        Ok(Flow::Next)
    }
}

async fn end(room: &KeptRoom, exchange: &Exchange, ending: Ending) -> Result<(), Trouble> {
    if let Some(id) = whose(room, exchange).await? {
        // There may be none to end: nobody's turn, or one that ended before.
        let now = u32::try_from(exchange.now() / 1_000_000).unwrap_or(u32::MAX);
        room.end(id, ending, now).await?;
    }
    Ok(())
}

/// Whose visit a request belongs to.
async fn whose(room: &KeptRoom, exchange: &Exchange) -> Result<Option<RequestId>, Trouble> {
    let visitor = visitor(exchange);
    if let Some(ticket) = room.shown(&visitor) {
        return Ok(Some(ticket.id));
    }
    let Some(token) = token(&exchange.head.headers) else { return Ok(None) };
    Ok(room.admitted(token, visitor.now.into(), Sessions::Checked).await?.ok())
}
