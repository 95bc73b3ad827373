//! `waiting-room`: has visitors wait in line before they come to what is behind it, without any work on the site.

pub(crate) mod activation;
mod entrance;
mod states;

use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, response};
use pipeline::{
    AskOnRequest, Body, ChainBuilder, Exchange, Figures, Flow, OnFinish, OnResponse, Outcome, Policy, Slot, Stage,
    Step, Verdict,
};
use problem::{Finding, Pointer, ProblemKind};
use rooms::refused::{self, INVITE_REFUSED, LANE_FULL, PROOF_REFUSED};
use rooms::{Activation, Admission, Arrival, Aside, Joiner, KeptRoom, Sessions, Ticket, Trouble, Visitor};
use schemars::JsonSchema;
use serde::Deserialize;

use self::activation::{Activates, Unavailable, WAITING_ROOM_UNAVAILABLE, ending, unasked};
use self::entrance::Entrance;
use self::states::{Told, WAITING_ROOM_CLOSED, WAITING_ROOM_NOT_OPEN, WAITING_ROOM_PAUSED, WAITING_ROOM_PRE_QUEUE};
use crate::rewrite::with_target;
use crate::waiting_room_api::{NoRooms, WaitingRooms, room, watched};
use crate::waiting_room_token::bare;

/// The visitor has a place, and it is not their turn.
pub static WAITING_ROOM_WAIT: ProblemKind = ProblemKind {
    code: "waiting-room-wait",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "You are in line, and it is not your turn yet",
};

/// The request has no place, and is none that gets one.
pub static WAITING_ROOM_OUTSIDE: ProblemKind = ProblemKind {
    code: "waiting-room-outside",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "There is a waiting room, and this request has no place in it",
};

/// Has visitors wait in line before they come to what is behind it.
///
/// Who opens a page gets a place, which a signed cookie keeps, and a page that tells it and asks again by itself, with scripts
/// switched off, too. When the turn comes, the page first asked for is there. Programs that do not ask for HTML, and parts of
/// pages, are told by a `problem+json` with `retry-after`; they get no place, unless there are turns that nobody waits for.
/// An access token of the room in `authorization`, bare or behind `Bearer`, opens, too. As long as the serving number is
/// ahead of the line, nobody waits. Before the room opens, while it is paused and when it is closed, visitors are told so;
/// who is in stays in, and so does who opened a page while everybody passed, for as long as a token holds. What is let through is
/// measured, for `activates` and for a room's adaptive inlet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of a room in `rooms`, which says what the page is like.
    room: String,
    /// When visitors have to wait, in a room that has an `inlet`. Left out, always. While they need not, everybody passes without a place, and whoever came
    /// by a page then need not wait when others have to, for as long as a token holds.
    activates: Option<Activates>,
    /// What becomes of requests while the room cannot be asked. Left out, the route's `on_failure` says.
    unavailable: Option<Unavailable>,
}

/// The compiled policy.
pub struct WaitingRoom {
    room: Option<Arc<KeptRoom>>,
    /// What a browser is given to show next time.
    given: Slot<HeaderValue>,
    /// None: visitors have to wait always.
    activation: Option<Activation>,
    unavailable: Option<Unavailable>,
    /// 1 once a request was let through.
    passed: Figures<1>,
}

impl Policy for WaitingRoom {
    const NAME: &'static str = "waiting-room";
    const STAGE: Stage = Stage::Admit;
    const PROBLEMS: &'static [&'static ProblemKind] = &[
        &WAITING_ROOM_WAIT,
        &WAITING_ROOM_OUTSIDE,
        &WAITING_ROOM_NOT_OPEN,
        &WAITING_ROOM_PRE_QUEUE,
        &WAITING_ROOM_PAUSED,
        &WAITING_ROOM_CLOSED,
        &INVITE_REFUSED,
        &LANE_FULL,
        &PROOF_REFUSED,
        &WAITING_ROOM_UNAVAILABLE,
    ];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let kept = room(&config.room, &at.at("room"), chain)?;
        let activation = config.activates.map(|activates| activates.compiled(&at.at("activates"))).transpose()?;
        if activation.is_some() {
            expect_inlet(&config.room, &at.at("activates"), chain)?;
        }
        let (given, passed, unavailable) = (chain.slot(), chain.figures(), config.unavailable);
        Ok(Self { room: kept, given, activation, unavailable, passed })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_request(self.clone());
        chain.on_response(self.clone());
        chain.on_finish(self);
    }
}

impl AskOnRequest for WaitingRoom {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some(room) = &self.room else { return Step::Now(Err(NoRooms.into())) };
        let visitor = visitor(exchange);
        if exchange.method == Method::GET
            && let Some(aside) = room.aside(&visitor)
        {
            return Step::Now(aside.and_then(|aside| answered(room, &visitor, aside)).map_err(Into::into));
        }
        if visitor.asks().is_some() {
            // A page asks that of the room, and of nobody behind it.
            let query = Some(visitor.own_query()).filter(|query| !query.is_empty());
            if let Some(own) = with_target(&exchange.head.uri, visitor.path, query.as_deref()) {
                exchange.head.uri = own;
            }
        }
        let visitor = self::visitor(exchange);
        if let Some(activation) = &self.activation
            && !room.has_to_wait(activation, exchange.began_at)
        {
            return Step::Now(Ok(self.passes_by(room, exchange)));
        }
        let shown = room.shown(&visitor);
        let now = visitor.now;
        if wants_page(exchange)
            && let Some(entrance) = Entrance::of(exchange)
        {
            return Step::Wait(Box::pin(async move {
                let verdict = self.come_by(room, exchange, shown, entrance).await;
                self.decided(room, exchange, verdict)
            }));
        }
        // Most requests are of those who are in, or who wait.
        match room.admitted_already(shown.map(|ticket| ticket.id), now) {
            Ok(Some(Admission::In(_))) => return Step::Now(Ok(self.lets_through(room, exchange))),
            Ok(Some(Admission::Passes)) => return Step::Now(Ok(self.passes_by(room, exchange))),
            // Who waited when everybody passed has a place, too.
            Ok(Some(Admission::Waits(..))) if room.passed_since(&visitor).is_some() => {
                return Step::Now(Ok(self.lets_through(room, exchange)));
            }
            Ok(Some(waits @ Admission::Waits(_, wait))) => {
                return Step::Now(Told { room, exchange, ticket: shown }.waits(waits, wait));
            }
            Ok(
                Some(
                    Admission::Held(..)
                    | Admission::Unproven
                    | Admission::Outside
                    | Admission::TooEarly
                    | Admission::TooLate,
                )
                | None,
            )
            | Err(_) => {}
        }
        Step::Wait(Box::pin(async move {
            let verdict = self.decide(room, exchange, shown).await;
            self.decided(room, exchange, verdict)
        }))
    }
}

impl WaitingRoom {
    /// What is decided, also where the room could not be asked. Who may pass is let through.
    fn decided(&self, room: &KeptRoom, exchange: &mut Exchange, verdict: Verdict) -> Verdict {
        let verdict = match verdict {
            Err(failure) => unasked(self.unavailable, room, seconds(exchange), failure),
            decided => decided,
        };
        match verdict {
            Ok(Flow::Next) => Ok(self.lets_through(room, exchange)),
            other => other,
        }
    }

    /// Lets a request through, whose end is told.
    fn lets_through(&self, room: &KeptRoom, exchange: &mut Exchange) -> Flow {
        exchange.set_figures(self.passed, [1]);
        room.passes();
        Flow::Next
    }

    /// Lets a request through that needs no place, since nobody has to wait.
    fn passes_by(&self, room: &KeptRoom, exchange: &mut Exchange) -> Flow {
        self.note_pass(room, exchange);
        self.lets_through(room, exchange)
    }

    /// Who opens a page while nobody has to wait is in, and stays in when others have to.
    fn note_pass(&self, room: &KeptRoom, exchange: &mut Exchange) {
        let now = seconds(exchange);
        if wants_page(exchange) {
            let since = room.passed_since(&visitor(exchange));
            // Somebody who stays is given it anew in time.
            let is_fresh = since.is_some_and(|since| now - since <= room.settings().validity / 2);
            if !is_fresh && let Some(cookie) = room.pass_cookie(&visitor(exchange)) {
                exchange.note(self.given, cookie);
            }
        }
    }

    async fn decide(&self, room: &KeptRoom, exchange: &mut Exchange, ticket: Option<Ticket>) -> Verdict {
        let now = exchange.began_at / 1_000_000;
        if room.passed_since(&visitor(exchange)).is_some() {
            return Ok(Flow::Next);
        }
        if let Some(token) = token(&exchange.head.headers)
            && room.admitted(token, now, Sessions::Checked).await?.is_ok()
        {
            return Ok(Flow::Next);
        }
        let arrival = if wants_page(exchange) { Arrival::Page } else { Arrival::Other };
        let (shown, visitor) = (ticket.map(|ticket| ticket.id), visitor(exchange));
        let joiner = Joiner { client: Some(exchange.client), proof: room.proof(&visitor), ..Joiner::default() };
        let admission = match room.admit_with(shown, visitor.now, arrival, joiner).await {
            Ok(admission) => admission,
            Err(trouble) => match refused::told(&trouble) {
                Some(problem) => return Ok(problem.into()),
                None => return Err(trouble.into()),
            },
        };
        if let Admission::In(id) | Admission::Waits(id, _) | Admission::Held(id, ..) = admission
            && shown != Some(id)
            && let Some(cookie) = room.cookie(&visitor, id)
        {
            exchange.note(self.given, cookie);
        }
        if admission == Admission::Passes {
            self.note_pass(room, exchange);
        }
        let told = Told { room, exchange, ticket };
        match admission {
            Admission::In(_) | Admission::Passes => Ok(Flow::Next),
            Admission::Unproven => told.unproven(),
            Admission::Held(_, wait, state) => told.held(admission, wait, state),
            Admission::TooEarly => told.too_early(),
            Admission::TooLate => told.too_late(),
            Admission::Waits(_, wait) => told.waits(admission, wait),
            // Of somebody who opens a page: a moment ago they had a place; the page looks again.
            Admission::Outside => told.answer(&WAITING_ROOM_OUTSIDE, admission, |problem| {
                let detail = "Open the page in a browser to get a place, or join by the room's own API.";
                problem.detail(detail).header(RETRY_AFTER, HeaderValue::from_static("10"))
            }),
        }
    }
}

/// The answer to what a page asks for beside itself.
pub(crate) fn answered(room: &Arc<KeptRoom>, visitor: &Visitor<'_>, aside: Aside) -> Result<Flow, Trouble> {
    match aside {
        Aside::Answered(response) => Ok(Flow::Respond(Box::new(response.map(Body::from)))),
        Aside::Watches(id) => Ok(watched(room.watched(id, visitor.now)?)),
    }
}

/// Who asks, as the room sees them.
pub(crate) fn visitor(exchange: &Exchange) -> Visitor<'_> {
    Visitor {
        headers: &exchange.head.headers,
        path: exchange.head.uri.path(),
        query: exchange.head.uri.query().unwrap_or_default(),
        is_secure: exchange.scheme == "https",
        now: seconds(exchange),
    }
}

impl OnFinish for WaitingRoom {
    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        let Some(room) = self.room.as_ref().filter(|_| exchange.figures(self.passed) == [1]) else { return };
        let took = u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX);
        let activation = self.activation.unwrap_or_default();
        room.passed(ending(outcome), &activation, exchange.began_at.saturating_add(took));
    }
}

impl OnResponse for WaitingRoom {
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        let Some(cookie) = exchange.take(self.given) else { return };
        head.headers.append(SET_COOKIE, *cookie);
        // Somebody's place is for nobody else.
        let is_kept_private = head
            .headers
            .get_all(CACHE_CONTROL)
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.contains("no-store") || value.contains("private")));
        if !is_kept_private {
            head.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        }
    }
}

fn wants_page(exchange: &Exchange) -> bool {
    matches!(exchange.method, Method::GET | Method::HEAD) && accepts_page(exchange)
}

fn accepts_page(exchange: &Exchange) -> bool {
    let accepts = |field: &HeaderValue| field.to_str().is_ok_and(|accepted| accepted.contains("text/html"));
    exchange.head.headers.get_all(ACCEPT).iter().any(accepts)
}

/// Whether somebody's browser sends something, such as a form, to show the answer as a page (Fetch Metadata,
/// `Sec-Fetch-Mode`). Scripts that ask for HTML are told problems.
fn sends_form(exchange: &Exchange) -> bool {
    let is_read = matches!(exchange.method, Method::GET | Method::HEAD);
    let navigates = exchange.head.headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    !is_read && navigates && accepts_page(exchange)
}

/// Where visitors begin to wait by themselves, they have to be let in by something.
fn expect_inlet(room: &str, at: &Pointer, chain: &ChainBuilder) -> Result<(), Finding> {
    if chain.service::<dyn WaitingRooms>().is_none_or(|rooms| rooms.has_inlet(room)) {
        return Ok(());
    }
    let message = format!("nobody lets in whoever waits then: give the room `{room}` an `inlet`, such as `adaptive`");
    Err(Finding::new(at, message))
}

/// What may be a token of the room.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let field = bare(headers.get(AUTHORIZATION)?.to_str().ok()?);
    (field.bytes().filter(|byte| *byte == b'.').count() == 2).then_some(field)
}

fn seconds(exchange: &Exchange) -> u32 {
    u32::try_from(exchange.began_at / 1_000_000).unwrap_or(u32::MAX)
}
