//! What operators ask for.

use model::units::Span;
use problem::{Finding, Pointer};
use rooms::Promise;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use waiting_room::{Ending, MaxSize, Periodic, Seconds, State, Tuned};

/// A key that another program made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportedRoomKey")]
pub struct Imported {
    /// The private RSA key as a JWK, with its `kid`.
    pub key: Map<String, Value>,
}

/// How the serving number moves.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomMove")]
pub struct Move {
    /// By how much. It may be less than nothing; the number is lowered to 0 at most.
    pub by: i64,
}

/// A value that nobody could know before a room opened.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomDraw")]
pub struct Draw {
    /// The value, exactly as everybody can read it.
    #[schemars(length(max = 1024))]
    pub public_value: String,
}

/// Whether a waiting room shall let visitors in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomState")]
pub struct SetState {
    /// What it shall be.
    pub state: Wanted,
}

/// What a waiting room shall be.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "WantedRoomState")]
pub enum Wanted {
    /// Nobody can join.
    Idle,
    /// Visitors join, and nobody is let in before it opens.
    PreQueue,
    /// Visitors join, and are let in.
    Open,
    /// Visitors join, and nobody is let in for the moment.
    Paused,
    /// Nobody can join, and nobody is let in any more.
    Closed,
    /// Whoever comes passes.
    PassingEverybody,
    /// What its schedule says; without one it is open.
    Scheduled,
}

impl Wanted {
    /// The state. None: its schedule says.
    pub fn state(self) -> Option<State> {
        Some(match self {
            Self::Idle => State::Idle,
            Self::PreQueue => State::PreQueue,
            Self::Open => State::Open,
            Self::Paused => State::Paused,
            Self::Closed => State::Closed,
            Self::PassingEverybody => State::PassingEverybody,
            Self::Scheduled => return None,
        })
    }
}

/// How a visit ended.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomVisitEnd")]
pub struct End {
    how: How,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RoomVisitEnding")]
enum How {
    /// The visitor did what they came for.
    Completed,
    /// The visitor went away.
    Abandoned,
}

/// What the inlet of a waiting room shall be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomInletSet")]
pub struct SetInlet {
    /// Left out, what the document says holds again.
    inlet: Option<NewInlet>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "NewRoomInlet")]
enum NewInlet {
    /// Nothing raises the serving number by itself.
    Manual,
    /// The clock does.
    Periodic {
        /// So many come in,
        by: u32,
        /// every so many seconds.
        every: u32,
    },
    /// Those who leave do.
    MaxSize {
        /// So many are in at a time.
        size: u32,
    },
}

impl End {
    /// How it ended, and how that is called.
    pub fn ending(&self) -> (Ending, &'static str) {
        match self.how {
            How::Completed => (Ending::Completed, "completed"),
            How::Abandoned => (Ending::Abandoned, "abandoned"),
        }
    }
}

impl SetInlet {
    /// The inlet, or what is wrong with it. None: what the document says.
    pub fn tuned(&self) -> Result<Option<Tuned>, Finding> {
        Ok(match self.inlet {
            None => None,
            Some(NewInlet::Manual) => Some(Tuned::Manual),
            Some(NewInlet::Periodic { every: 0, .. }) => {
                let at = Pointer::default().at("inlet").at("periodic").at("every");
                return Err(Finding::new(&at, "is less than a second"));
            }
            Some(NewInlet::Periodic { by, every }) => {
                Some(Tuned::Periodic(Periodic { by, every, from: 0, until: None }))
            }
            Some(NewInlet::MaxSize { size }) => Some(Tuned::MaxSize(MaxSize { size })),
        })
    }
}

/// Invites that are to open nothing any more.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomInvitesToRevoke")]
pub struct Revoke {
    /// Each as it was given out.
    #[schemars(length(min = 1, max = 10_000))]
    pub invites: Vec<String>,
}

impl Revoke {
    /// They, or what is wrong with the list.
    pub fn listed(&self) -> Result<impl Iterator<Item = &str>, Finding> {
        if (1..=MOST as usize).contains(&self.invites.len()) {
            return Ok(self.invites.iter().map(|invite| invite.trim()));
        }
        Err(Finding::new(&Pointer::default().at("invites"), "are none, or more than 10000 at a time"))
    }

    /// That one of them is no invite.
    pub fn strange(invite: &str) -> Finding {
        let shown: String = invite.chars().take(SHOWN).collect();
        Finding::new(&Pointer::default().at("invites"), format!("has `{shown}`, which is no invite for this room"))
    }
}

/// Invites that are wanted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRoomInvites")]
pub struct New {
    /// The lane by which those come who have one.
    pub lane: String,
    /// How often each can be used.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub uses: u32,
    /// How many.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub count: u32,
    /// For how long they can be used, such as `7d`.
    #[serde(default = "week")]
    pub valid: Span,
}

impl New {
    /// What each of them promises, or what is wrong with it.
    pub fn promise(&self, now: Seconds) -> Result<Promise, Finding> {
        let wrong = |member: &str, message: &str| Finding::new(&Pointer::default().at(member), message);
        if self.uses == 0 {
            return Err(wrong("uses", "is 0: nobody could use it"));
        }
        if !(1..=MOST).contains(&self.count) {
            return Err(wrong("count", "is not between 1 and 10000"));
        }
        let valid = u32::try_from(self.valid.duration().as_secs()).unwrap_or(u32::MAX);
        Ok(Promise { lane: self.lane.as_str().into(), uses: self.uses, expires: now.saturating_add(valid) })
    }
}

fn one() -> u32 {
    1
}

fn week() -> Span {
    Span::seconds(7 * 24 * 3600)
}

/// Characters of what is no invite.
const SHOWN: usize = 60;
/// Invites at a time.
const MOST: u32 = 10_000;
