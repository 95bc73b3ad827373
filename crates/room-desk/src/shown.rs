//! What operators are shown.

use model::rooms::Moment;
use rooms::{KeptRoom, Trouble, Visit};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use waiting_room::{Adaptive, By, MaxSize, PassOn, Periodic, RequestId, Schedule, Seconds, UNDOABLE};

/// A waiting room as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WaitingRoom")]
pub struct Shown {
    name: String,
    /// The event that it is for.
    event: String,
    /// Whether it lets visitors in: `idle`, `pre-queue`, `open`, `paused`, `closed` or `passing-everybody`.
    state: &'static str,
    /// Places that were given.
    queue_counter: u32,
    /// Every place up to this one may take its turn.
    serving_counter: i64,
    /// Visitors who took their turn.
    token_counter: u32,
    /// Turns that somebody else got because nobody took them.
    expired_queue_counter: u64,
    /// Visitors who wait.
    waiting: i64,
    /// Those of them whose turn has not come, by the serving number.
    in_line: u32,
    /// Places behind the serving number whose turn was taken, or is over, because the number was lowered since. Raising it
    /// counts them, too, and lets nobody in by them.
    had_turn: u32,
    /// Turns that nobody waits for: so many who join are let in at once.
    free_turns: u32,
    /// Those who wait of whom there was a sign lately; absent where the room has no `presence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<usize>,
    /// Visits that have not ended, and whose token holds.
    active: u64,
    /// Visits that came to a good end.
    completed: u32,
    /// Visits that came to another end.
    abandoned: u32,
    /// For how many seconds a turn can be taken; absent where it is for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    position_expiry: Option<u32>,
    /// Whether turns that nobody takes go to the next in line.
    passes_on: bool,
    /// For how many seconds a token holds.
    validity: u32,
    /// What raises the serving number by itself.
    inlet: ShownInlet,
    /// Whether an operator set the inlet, whatever the document says.
    is_tuned: bool,
    /// Visitors who came early, and wait for lots to be drawn.
    registered: u32,
    /// Since when it is in its state, in seconds since 1970; 0: since it is there.
    state_since: u32,
    /// Who says so: `schedule`, or `operator`, whose word holds against the schedule until it closes.
    state_by: &'static str,
    /// When the state changes by itself, in seconds since 1970.
    schedule: ShownSchedule,
    /// Until when the last reset can be undone, in seconds since 1970; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    undoable_until: Option<u32>,
    /// How long it takes.
    wait: ShownWait,
}

/// When the state of a waiting room changes by itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomSchedule")]
struct ShownSchedule {
    /// Since when visitors gather.
    #[serde(skip_serializing_if = "Option::is_none")]
    pre_queue: Option<u32>,
    /// Since when they are let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    opens: Option<u32>,
    /// Since when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    closes: Option<u32>,
}

/// How long whoever joins now will wait, as an interval that holds four times of five, and how well that is known.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomWait")]
struct ShownWait {
    /// Seconds at least; absent until enough turns have come to know anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<u32>,
    /// Seconds at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<u32>,
    /// Forecasts of lately, of a thousand at most, of which it is known what became of them,
    judged: u32,
    /// and those of them that held.
    held: u32,
}

/// What raises the serving number of a waiting room by itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RoomInlet")]
enum ShownInlet {
    /// Nothing does.
    Manual,
    /// The clock.
    Periodic {
        /// So many come in,
        by: u32,
        /// every so many seconds,
        every: u32,
        /// after this moment, in seconds since 1970; 0: at once,
        from: u32,
        /// and before this one.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<u32>,
    },
    /// Those who leave.
    MaxSize {
        /// So many are in at a time.
        size: u32,
    },
    /// What is behind the room, by what it answers.
    Adaptive {
        /// At least so many come in a minute,
        least: u32,
        /// and at most so many.
        most: u32,
    },
}

impl From<rooms::Inlet> for ShownInlet {
    fn from(inlet: rooms::Inlet) -> Self {
        match inlet {
            rooms::Inlet::Manual => Self::Manual,
            rooms::Inlet::Periodic(Periodic { by, every, from, until }) => Self::Periodic { by, every, from, until },
            rooms::Inlet::MaxSize(MaxSize { size }) => Self::MaxSize { size },
            rooms::Inlet::Adaptive(Adaptive { least, most, .. }) => Self::Adaptive { least, most },
        }
    }
}

impl Shown {
    /// A room as it is at this moment.
    pub fn of(room: &KeptRoom, now: Seconds) -> Result<Self, Trouble> {
        let counters = room.counters()?;
        let settings = room.settings();
        let (inlet, is_tuned) = room.inlet()?;
        let (by, since, reset) = room.look(|room| {
            let course = &room.line().course;
            (course.by, course.since, room.before().map(|before| before.reset))
        })?;
        let behind = room.look(waiting_room::Room::behind_the_number)?;
        let (forecast, record) = room.outlook(now)?;
        let Schedule { pre_queue, opens, closes } = settings.rules.schedule;
        Ok(Self {
            name: room.name().to_string(),
            event: settings.event.to_string(),
            state: counters.state.name(),
            queue_counter: counters.queue,
            serving_counter: counters.serving,
            token_counter: counters.tokens,
            expired_queue_counter: counters.expired,
            waiting: counters.waiting(),
            in_line: behind.in_line,
            had_turn: behind.had_turn,
            free_turns: u32::try_from(counters.serving.saturating_sub(counters.last.into())).unwrap_or(0),
            present: room.present(now)?,
            active: room.look(|room| room.active(now))?,
            completed: counters.completed,
            abandoned: counters.abandoned,
            position_expiry: settings.rules.expiry.map(|expiry| expiry.period),
            passes_on: settings.rules.expiry.is_some_and(|expiry| expiry.pass_on == PassOn::ToTheNext),
            validity: settings.validity,
            is_tuned,
            registered: counters.registered,
            state_since: since,
            state_by: match by {
                By::Schedule => "schedule",
                By::Operator => "operator",
            },
            schedule: ShownSchedule { pre_queue, opens, closes },
            undoable_until: reset.map(|reset| reset.saturating_add(UNDOABLE)).filter(|until| now < *until),
            wait: ShownWait {
                at_least: forecast.map(|forecast| forecast.low),
                at_most: forecast.map(|forecast| forecast.high),
                judged: record.judged,
                held: record.held,
            },
            inlet: inlet.into(),
        })
    }

    /// The name of the room.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the audit log says after somebody moved the serving number by so much.
    pub fn moved(&self, by: i64) -> Value {
        let mut note = json!(self);
        if let Some(members) = note.as_object_mut() {
            members.insert("moved_by".to_owned(), by.into());
        }
        note
    }
}

/// The key that signs a room's tokens.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomKey")]
pub struct Key {
    /// Its public half as a JWK.
    pub public_key: Value,
}

/// How a room went.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomHistory")]
pub struct History {
    /// What was counted from time to time, oldest first, on all nodes together: closer at first, and coarser the longer it goes.
    samples: Vec<Sample>,
}

/// What was counted at a moment.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomSample")]
struct Sample {
    /// When, in seconds since 1970.
    at: u32,
    /// Places that were given.
    queue: u32,
    /// The serving number.
    serving: i64,
    /// Visitors who took their turn.
    tokens: u32,
    /// Visitors who wait.
    waiting: i64,
}

impl History {
    /// How a room went.
    pub fn of(room: &KeptRoom, now: Seconds) -> Self {
        let sample = |waiting_room::Sample { at, queue, serving, tokens, waiting }| Sample {
            at,
            queue,
            serving,
            tokens,
            waiting,
        };
        Self { samples: room.history(now).into_iter().map(sample).collect() }
    }
}

/// A visit as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomVisit")]
pub struct ShownVisit {
    request_id: String,
    /// The place by which the visitor came.
    position: u32,
    /// Since when, in seconds since 1970.
    issued: u32,
    /// Until when the token holds.
    expires: u32,
    /// `active`, `completed`, `abandoned` or `expired`.
    state: &'static str,
}

impl From<Visit> for ShownVisit {
    fn from(visit: Visit) -> Self {
        let Visit { position, id, issued, expires, state } = visit;
        Self { request_id: id.to_string(), position, issued, expires, state: state.name() }
    }
}

/// What became of a visit.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomVisitEnded")]
pub struct Ended {
    request_id: String,
    /// `completed` or `abandoned`.
    state: &'static str,
}

impl Ended {
    /// That the visit of somebody ended.
    pub fn of(visit: RequestId, state: &'static str) -> Self {
        Self { request_id: visit.to_string(), state }
    }
}

/// Invites that open nothing any more.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomInvitesRevoked")]
pub struct Revoked {
    /// How many of them could be used before.
    pub revoked: usize,
}

/// Invites. They are told once, and nobody can find them again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomInvites")]
pub struct Made {
    /// Each to be given to somebody.
    invites: Vec<String>,
    /// Until when they can be used.
    expires: String,
}

impl Made {
    /// Invites that can be used until this moment.
    pub fn of(invites: Vec<String>, expires: Seconds) -> Self {
        Self { invites, expires: Moment::at(expires).to_string() }
    }

    /// Until when they can be used.
    pub fn expires(&self) -> &str {
        &self.expires
    }
}
