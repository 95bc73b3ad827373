//! `sessions`: knows which sessions partners have at a backend, and how many there may be.

mod close;
mod open;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use attributes::places::{Answer, Carrier, InRequest};
use attributes::record;
use bytes::Bytes;
use http::{StatusCode, header, response};
use model::units::{Size, Span};
use pipeline::{AskOnAnswer, AskOnRequest, ChainBuilder, Exchange, Flow, Policy, Record, Slot, Stage, Step, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sessions::{Maxima, Opening, Sessions as Desk, Terms, session_id};
use store::LeaseId;

pub use self::close::Close;
use self::close::{ByBackends, Closes};
pub(crate) use self::rules::Ends;
use self::rules::Opens;
pub use self::rules::{EndRule, OpenRule};
use crate::outside::{Backends, Background};

/// There are as many sessions as there may be.
pub static TOO_MANY_SESSIONS: ProblemKind = ProblemKind {
    code: "too-many-sessions",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "You have as many sessions as you may have",
};

/// The request belongs to no session.
pub static SESSION_NEEDED: ProblemKind =
    ProblemKind { code: "session-needed", status: StatusCode::UNAUTHORIZED, title: "A session is needed" };

/// The session is not known, or has ended.
pub static SESSION_UNKNOWN: ProblemKind = ProblemKind {
    code: "session-unknown",
    status: StatusCode::UNAUTHORIZED,
    title: "The session is not known, or has ended",
};

/// The request has several ids of sessions, so that it cannot be told which one the backend goes by.
pub static SESSION_AMBIGUOUS: ProblemKind = ProblemKind {
    code: "session-ambiguous",
    status: StatusCode::BAD_REQUEST,
    title: "The request names more than one session",
};

/// The oldest session could not be closed, so a new one would be one too many.
pub static SESSION_NOT_REPLACED: ProblemKind = ProblemKind {
    code: "session-not-replaced",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The oldest session could not be closed to make room for another",
};

/// The backend opened a session that the gateway cannot look after.
pub static SESSION_NOT_HELD: ProblemKind = ProblemKind {
    code: "session-not-held",
    status: StatusCode::BAD_GATEWAY,
    title: "The session was opened, but cannot be used",
};

/// Knows which sessions callers have at a backend, how many each may have, and closes those that nobody closes.
///
/// A request that may open a session gets a place for one before the backend is asked, so that there are never more than
/// `maximum` says, however many ask at once and by whichever node. The backend's answer says whether a session was opened
/// and what its id is; requests with that id belong to it. A session ends when an answer says so (`end`), when it is not
/// used for `idle`, or is `limit` old; one that nobody closed is closed at the backend by `close`, and counts until that is
/// done. Without `close` it is forgotten at its end. Whose sessions they are, a policy before this one finds out; nobody
/// can use another company's.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name by which sessions are listed and counted. Policies of the same name have their sessions together, in
    /// whichever API. Left out, the API's name.
    name: Option<String>,
    /// Where requests have the id of the session that they belong to. One that has different ids at these places, or at one of
    /// them, is refused with 400 `session-ambiguous`: the backend might go by another one than the gateway.
    id: Vec<InRequest>,
    /// Which requests open a session.
    open: Vec<OpenRule>,
    /// Which requests end the session that they belong to.
    #[serde(default)]
    end: Vec<EndRule>,
    /// How many sessions there may be at once.
    #[serde(default)]
    maximum: Maximum,
    /// What becomes of a request for one more.
    #[serde(default)]
    on_maximum: OnMaximum,
    /// How long a session stays open without being used. It may be three seconds more.
    #[serde(default = "idle")]
    idle: Span,
    /// How long a session stays open at most.
    #[serde(default = "limit")]
    limit: Span,
    /// What becomes of requests whose session is not known or has ended.
    #[serde(default)]
    unknown: Outside,
    /// What becomes of requests that name no session and open none.
    #[serde(default)]
    missing: Outside,
    /// How the backend is told to close a session.
    close: Option<Close>,
    /// How much of an answer is read to find values in its body.
    #[serde(default = "answer_limit")]
    answer_limit: Size,
}

/// How many sessions there may be at once. What is left out has no maximum.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maximum {
    /// Of an app.
    app: Option<u32>,
    /// Of a company.
    company: Option<u32>,
    /// In all.
    all: Option<u32>,
}

/// What becomes of a request for one more session than there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnMaximum {
    /// It is refused with 429 `too-many-sessions`.
    #[default]
    Refuse,
    /// The session that was opened first is closed, and then the new one is opened.
    CloseOldest,
}

/// What becomes of requests that belong to no session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outside {
    /// They are refused with 401.
    #[default]
    Refuse,
    /// They pass.
    Pass,
}

fn idle() -> Span {
    Span::seconds(15 * 60)
}

fn limit() -> Span {
    Span::seconds(12 * 3600)
}

fn answer_limit() -> Size {
    Size::new(64 * 1024)
}

/// The compiled policy.
pub struct Sessions {
    desk: Arc<Desk>,
    asks: Arc<ByBackends>,
    background: Arc<dyn Background>,
    pool: String,
    id: Vec<Carrier>,
    open: Vec<Opens>,
    end: Vec<Ends>,
    terms: Terms,
    unknown: Outside,
    missing: Outside,
    close: Option<Closes>,
    answer_limit: usize,
    noted: Slot<Noted>,
}

/// What an exchange has to do with sessions.
enum Noted {
    /// It may open one, by the rule of this number, at this place.
    Opening(LeaseId, usize),
    /// It belongs to one.
    Within(LeaseId),
}

impl Policy for Sessions {
    const NAME: &'static str = "sessions";
    const STAGE: Stage = Stage::Meter;
    const PROBLEMS: &'static [&'static ProblemKind] = &[
        &TOO_MANY_SESSIONS,
        &SESSION_NEEDED,
        &SESSION_UNKNOWN,
        &SESSION_AMBIGUOUS,
        &SESSION_NOT_REPLACED,
        &SESSION_NOT_HELD,
    ];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Some(desk) = chain.service::<Desk>() else {
            return Err(Finding::new(at, "needs a place where sessions are kept: configure a `store`"));
        };
        let (backends, background) = (chain.service::<dyn Backends>(), chain.service::<dyn Background>());
        let (Some(backends), Some(background)) = (backends, background) else {
            return Err(Finding::new(at, "cannot be used: nothing runs beside requests here"));
        };
        let terms = config.terms(at)?;
        let pool = config.name.unwrap_or_else(|| chain.scope().to_owned());
        if pool.is_empty() || !pool.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(Finding::new(&at.at("name"), "has letters, digits, `-` and `_`, and one at least"));
        }
        if config.open.is_empty() {
            return Err(Finding::new(&at.at("open"), "has no rule, so no session would ever be known"));
        }
        if config.id.is_empty() {
            return Err(Finding::new(&at.at("id"), "names no place, so no request would belong to a session"));
        }
        let close = config.close.map(|close| close.compile(&*backends, &at.at("close"))).transpose()?;
        for (place, template) in close.iter().flat_map(Closes::templates) {
            let at = place.iter().fold(at.at("close"), |at, name| at.at(*name));
            record::check(template, chain, &at)?;
        }
        let rules = |part: &str| at.at(part);
        let id = config.id.into_iter().enumerate().map(|(index, place)| place.compile(&rules("id").at(index)));
        let open =
            config.open.into_iter().enumerate().map(|(index, rule)| rule.compile(chain, &rules("open").at(index)));
        let end = config.end.into_iter().enumerate().map(|(index, rule)| rule.compile(chain, &rules("end").at(index)));
        Ok(Self {
            desk,
            asks: Arc::new(ByBackends(backends)),
            background,
            pool,
            id: id.collect::<Result<_, _>>()?,
            open: open.collect::<Result<_, _>>()?,
            end: end.collect::<Result<_, _>>()?,
            terms,
            unknown: config.unknown,
            missing: config.missing,
            close,
            answer_limit: config.answer_limit.as_usize(),
            noted: chain.slot(),
        })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_request(self.clone());
        chain.ask_on_answer(self);
    }
}

impl Config {
    fn terms(&self, at: &Pointer) -> Result<Terms, Finding> {
        let (idle, limit) = (self.idle.duration(), self.limit.duration());
        if idle < Duration::from_secs(1) {
            return Err(Finding::new(&at.at("idle"), "must be a second at least"));
        }
        if limit < idle {
            return Err(Finding::new(&at.at("limit"), "must not be less than `idle`"));
        }
        let Maximum { app, company, all } = self.maximum;
        for (name, most) in [("app", app), ("company", company), ("all", all)] {
            if most == Some(0) {
                return Err(Finding::new(&at.at("maximum").at(name), "lets nobody in: write at least 1"));
            }
        }
        let when_full = match self.on_maximum {
            OnMaximum::Refuse => Opening::Refused,
            OnMaximum::CloseOldest => Opening::InPlaceOfTheOldest,
        };
        Ok(Terms { most: Maxima { app, company, all }, idle, limit, when_full })
    }
}

impl AskOnRequest for Sessions {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        for (number, rule) in self.open.iter().enumerate() {
            match rule.concerns(exchange) {
                Ok(true) => return Step::Wait(Box::pin(self.begin(exchange, number))),
                Ok(false) => {}
                Err(failure) => return Step::Now(Err(failure)),
            }
        }
        let presented = match self.presented(exchange) {
            Ok(Some(presented)) => presented,
            Ok(None) => return Step::Now(Ok(outside(self.missing, &SESSION_NEEDED))),
            Err(ambiguous) => return Step::Now(Ok(ambiguous.into())),
        };
        let company = exchange.caller.as_ref().and_then(|caller| caller.company.as_deref());
        let id = session_id(&self.pool, company, &presented);
        let record = Record { members: vec![("id".into(), presented)] };
        if self.desk.is_known(&id, exchange.began) {
            return Step::Now(Ok(self.within(exchange, id, record)));
        }
        Step::Wait(Box::pin(async move {
            if self.desk.is_open(&id, self.terms.idle, exchange.began).await? {
                return Ok(self.within(exchange, id, record));
            }
            Ok(outside(self.unknown, &SESSION_UNKNOWN))
        }))
    }
}

impl AskOnAnswer for Sessions {
    fn wants(&self, exchange: &Exchange, head: &response::Parts) -> Option<usize> {
        let reads_body = match exchange.noted(self.noted)? {
            Noted::Opening(_, rule) => {
                self.open.get(*rule).is_some_and(|rule| rule.reads_body() && rule.may_be(head.status))
            }
            Noted::Within(_) => self.end.iter().any(|rule| rule.reads_body(head.status)),
        };
        reads_body.then_some(self.answer_limit)
    }

    fn ask_on_answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        head: &'a response::Parts,
        body: Option<&'a Bytes>,
    ) -> Step<'a> {
        match exchange.take(self.noted).map(|noted| *noted) {
            None => Step::Now(Ok(Flow::Next)),
            Some(Noted::Opening(place, rule)) => {
                Step::Wait(Box::pin(self.settle(exchange, place, rule, Answer::new(head, body))))
            }
            Some(Noted::Within(id)) => {
                let answer = Answer::new(head, body);
                for rule in &self.end {
                    match rule.holds(exchange, &answer) {
                        Ok(false) => {}
                        Ok(true) => return Step::Wait(Box::pin(self.ended(id))),
                        Err(failure) => return Step::Now(Err(failure)),
                    }
                }
                Step::Now(Ok(Flow::Next))
            }
        }
    }
}

impl Sessions {
    /// The id in a request, if it has one and no other.
    fn presented(&self, exchange: &Exchange) -> Result<Option<String>, Problem> {
        let (mut first, mut is_clear) = (None, true);
        for carrier in &self.id {
            carrier.each(exchange, |id| match &first {
                None => first = Some(id.into_owned()),
                Some(first) => is_clear &= *first == id,
            });
        }
        let detail = "Send the id of one session, and nothing else where an id is expected.";
        if is_clear { Ok(first) } else { Err(Problem::new(&SESSION_AMBIGUOUS).detail(detail)) }
    }

    fn within(&self, exchange: &mut Exchange, id: LeaseId, record: Record) -> Flow {
        if !self.end.is_empty() {
            exchange.note(self.noted, Noted::Within(id));
        }
        exchange.session = Some(Arc::new(record));
        Flow::Next
    }

    async fn ended(&self, id: LeaseId) -> Verdict {
        // What cannot be told now is found out when the session is due: closing it again does no harm.
        if let Err(cause) = self.desk.ended(&id).await {
            tracing::warn!(session = %id, %cause, "the end of a session could not be written down");
        }
        Ok(Flow::Next)
    }
}

fn outside(what: Outside, kind: &'static ProblemKind) -> Flow {
    match what {
        Outside::Pass => Flow::Next,
        Outside::Refuse => {
            let detail = "Open a session first, and send its id with each request.";
            let challenge = http::HeaderValue::from_static("Session");
            Problem::new(kind).detail(detail).header(header::WWW_AUTHENTICATE, challenge).into()
        }
    }
}

#[cfg(test)]
mod tests;
