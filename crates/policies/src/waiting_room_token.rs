//! `waiting-room-token`: lets a request pass that holds a token of a waiting room.

use std::sync::Arc;

use futures::FutureExt;
use http::header::AUTHORIZATION;
use http::{HeaderName, StatusCode};
use pipeline::{AskOnRequest, ChainBuilder, Exchange, Figures, Flow, OnFinish, Outcome, Policy, Stage, Step, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use rooms::{Activation, Denied, KeptRoom, Sessions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::waiting_room::activation::ending;
use crate::waiting_room_api::{NoRooms, room};

/// The request has no token of the waiting room.
pub static WAITING_ROOM_TOKEN_MISSING: ProblemKind = ProblemKind {
    code: "waiting-room-token-missing",
    status: StatusCode::UNAUTHORIZED,
    title: "A token of the waiting room is needed",
};

/// The token does not open: forged, of another event, expired, or its visit has ended.
pub static WAITING_ROOM_TOKEN_REFUSED: ProblemKind = ProblemKind {
    code: "waiting-room-token-refused",
    status: StatusCode::FORBIDDEN,
    title: "The token of the waiting room does not open",
};

/// Lets a request pass that holds an access token of a waiting room, bare or behind `Bearer`. What is let through is measured,
/// for the room's adaptive inlet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of a room in `rooms`.
    room: String,
    /// The header with the token.
    #[serde(default = "authorization")]
    header: String,
    /// Whether a token opens whose visit has ended, or that was issued before a reset of the room.
    #[serde(default)]
    sessions: SessionsHeeded,
}

fn authorization() -> String {
    AUTHORIZATION.as_str().to_owned()
}

/// Whether it matters that a visit has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionsHeeded {
    /// A token opens until it expires.
    #[default]
    Ignored,
    /// A token opens until its visit ends.
    Checked,
}

/// The compiled policy.
pub struct WaitingRoomToken {
    room: Option<Arc<KeptRoom>>,
    header: HeaderName,
    sessions: Sessions,
    /// 1 once a request was let through.
    passed: Figures<1>,
}

impl Policy for WaitingRoomToken {
    const NAME: &'static str = "waiting-room-token";
    const STAGE: Stage = Stage::Admit;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&WAITING_ROOM_TOKEN_MISSING, &WAITING_ROOM_TOKEN_REFUSED];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let unfit = |_invalid| Finding::new(&at.at("header"), format!("`{}` is no name of a header", config.header));
        let header = config.header.parse().map_err(unfit)?;
        let sessions = match config.sessions {
            SessionsHeeded::Ignored => Sessions::Ignored,
            SessionsHeeded::Checked => Sessions::Checked,
        };
        let kept = room(&config.room, &at.at("room"), chain)?;
        Ok(Self { room: kept, header, sessions, passed: chain.figures() })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_request(self.clone());
        chain.on_finish(self);
    }
}

impl AskOnRequest for WaitingRoomToken {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some(room) = &self.room else { return Step::Now(Err(NoRooms.into())) };
        let mut fields = exchange.head.headers.get_all(&self.header).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return Step::Now(Ok(Problem::new(&WAITING_ROOM_TOKEN_MISSING).into()));
        };
        let token = bare(field.to_str().unwrap_or_default());
        let now = exchange.began_at / 1_000_000;
        // Keys are at hand but for the first time.
        if let Some(verdict) = self.judge(room, token, now).now_or_never() {
            return Step::Now(self.noted(verdict, room, exchange));
        }
        let token = token.to_owned();
        Step::Wait(Box::pin(async move {
            let verdict = self.judge(room, &token, now).await;
            self.noted(verdict, room, exchange)
        }))
    }
}

impl OnFinish for WaitingRoomToken {
    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        let Some(room) = self.room.as_ref().filter(|_| exchange.figures(self.passed) == [1]) else { return };
        let took = u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX);
        room.passed(ending(outcome), &Activation::default(), exchange.began_at.saturating_add(took));
    }
}

impl WaitingRoomToken {
    /// What is let through is measured, for the room's adaptive inlet.
    fn noted(&self, verdict: Verdict, room: &KeptRoom, exchange: &mut Exchange) -> Verdict {
        if matches!(verdict, Ok(Flow::Next)) {
            exchange.set_figures(self.passed, [1]);
            room.passes();
        }
        verdict
    }

    async fn judge(&self, room: &KeptRoom, token: &str, now: u64) -> Verdict {
        match room.admitted(token, now, self.sessions).await? {
            Ok(_) => Ok(Flow::Next),
            Err(denied) => Ok(refusal(denied).into()),
        }
    }
}

fn refusal(denied: Denied) -> Problem {
    let mut said = denied.to_string();
    if let Some(first) = said.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Problem::new(&WAITING_ROOM_TOKEN_REFUSED).detail(said + ".")
}

/// The token of a field, which may name its scheme.
pub(crate) fn bare(field: &str) -> &str {
    let scheme = field.get(..BEARER.len()).filter(|scheme| scheme.eq_ignore_ascii_case(BEARER));
    scheme.map_or(field, |scheme| field.get(scheme.len()..).unwrap_or_default()).trim()
}

const BEARER: &str = "bearer ";
