//! What happens in waiting rooms, as events for others and as figures.
//!
//! Deliberately not here: who is told, and how they get it, which is `exports`.

pub mod metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use room_files::wire::{self, Happened};
use serde_json::{Value, json};
use waiting_room::{By, Cause, Counters, Ending, Event, Seconds};

/// What kind of thing happens. The first four are those of "Virtual Waiting Room on AWS", with the same details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody took their turn.
    TokenGenerated,
    /// A visit came to its end.
    SessionUpdated,
    /// Turns that nobody took went to the next in line.
    AutomaticServingCounterIncr,
    /// It was looked at what is counted.
    WaitingRoomMetrics,
    /// Somebody joined.
    VisitorJoined,
    /// The serving number was moved.
    ServingCounterMoved,
    /// Turns were over that nobody took.
    PositionsExpired,
    /// Those were passed over who were not there.
    VisitorsSkipped,
    /// The room opened.
    RoomOpened,
    /// The room came to be in another state.
    StateChanged,
    /// Everything began anew.
    RoomReset,
    /// That was taken back.
    ResetUndone,
    /// Those who came before the opening drew lots.
    LotsDrawn,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TokenGenerated,
        Self::SessionUpdated,
        Self::AutomaticServingCounterIncr,
        Self::WaitingRoomMetrics,
        Self::VisitorJoined,
        Self::ServingCounterMoved,
        Self::PositionsExpired,
        Self::VisitorsSkipped,
        Self::RoomOpened,
        Self::StateChanged,
        Self::RoomReset,
        Self::ResetUndone,
        Self::LotsDrawn,
    ];

    /// What others know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenGenerated => "token_generated",
            Self::SessionUpdated => "session_updated",
            Self::AutomaticServingCounterIncr => "automatic_serving_counter_incr",
            Self::WaitingRoomMetrics => "waiting_room_metrics",
            Self::VisitorJoined => "visitor_joined",
            Self::ServingCounterMoved => "serving_counter_moved",
            Self::PositionsExpired => "positions_expired",
            Self::VisitorsSkipped => "visitors_skipped",
            Self::RoomOpened => "room_opened",
            Self::StateChanged => "state_changed",
            Self::RoomReset => "room_reset",
            Self::ResetUndone => "reset_undone",
            Self::LotsDrawn => "lots_drawn",
        }
    }

    /// Its place in [`Self::ALL`].
    fn index(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or_default()
    }
}

/// How often what happened in a room since this process has it.
#[derive(Debug, Default)]
pub struct Tally([AtomicU64; Kind::ALL.len()]);

impl Tally {
    /// Something happened.
    pub fn note(&self, event: &Event) {
        for kind in kinds(event).into_iter().flatten() {
            if let Some(count) = self.0.get(kind.index()) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What happened, and how often.
    pub fn read(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// What somebody wants to be told.
pub trait Wanted {
    /// Whether they want to be told this of a room.
    fn is_wanted(&self, room: &str, kind: Kind) -> bool;
    /// The id of a room's event.
    fn event_of(&self, room: &str) -> Arc<str>;
}

/// A later version wrote a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// Adds the `CloudEvents` 1.0 events that a record of the log is. Each has the same id whenever it is read.
pub fn read(record: &[u8], wanted: &impl Wanted, events: &mut Vec<Value>) -> Result<(), Unknown> {
    let Happened { room, number, event } = wire::read(record).ok_or(Unknown)?;
    for kind in kinds(&event).into_iter().flatten().filter(|kind| wanted.is_wanted(room, *kind)) {
        events.push(json!({
            "specversion": "1.0",
            "id": format!("{room}-{number}-{}", kind.name()),
            "source": "custom.waitingroom",
            "type": kind.name(),
            "subject": room,
            "time": rfc3339(event.at().unwrap_or_default()),
            "datacontenttype": "application/json",
            "data": detail(kind, &event, &wanted.event_of(room)),
        }));
    }
    Ok(())
}

/// When what a record says was, in seconds since 1970, if anybody wants to be told of it.
pub fn when(record: &[u8], wanted: &impl Wanted) -> Result<Option<Seconds>, Unknown> {
    let Happened { room, event, .. } = wire::read(record).ok_or(Unknown)?;
    let is_wanted = kinds(&event).into_iter().flatten().any(|kind| wanted.is_wanted(room, kind));
    Ok(is_wanted.then(|| event.at().unwrap_or_default()))
}

fn kinds(event: &Event) -> [Option<Kind>; 2] {
    match event {
        Event::Joined { .. } | Event::Registered { .. } | Event::Placed { .. } => [Some(Kind::VisitorJoined), None],
        Event::Moved { .. } => [Some(Kind::ServingCounterMoved), None],
        Event::Issued { .. } => [Some(Kind::TokenGenerated), None],
        Event::Ended { .. } => [Some(Kind::SessionUpdated), None],
        Event::Swept { passed_on: 0, .. } => [Some(Kind::PositionsExpired), None],
        Event::Swept { .. } => [Some(Kind::PositionsExpired), Some(Kind::AutomaticServingCounterIncr)],
        Event::Skipped { .. } => [Some(Kind::VisitorsSkipped), None],
        Event::Reset { .. } => [Some(Kind::RoomReset), None],
        Event::Restored { .. } => [Some(Kind::ResetUndone), None],
        Event::Opened { .. } => [Some(Kind::RoomOpened), None],
        Event::StateChanged { .. } => [Some(Kind::StateChanged), None],
        Event::Measured { .. } => [Some(Kind::WaitingRoomMetrics), None],
        Event::Drawn { .. } => [Some(Kind::LotsDrawn), None],
        // What is secret, what follows from the opening, what the audit log has, and what nodes tell each other.
        Event::Committed { .. } | Event::HallClosed | Event::Tuned { .. } | Event::Beside { .. } => [None, None],
    }
}

fn detail(kind: Kind, event: &Event, event_id: &str) -> Value {
    match event {
        Event::Joined { position, id, at, .. } | Event::Placed { position, id, at, .. } => {
            json!({ "event_id": event_id, "request_id": id.to_string(), "queue_number": position, "entry_time": at })
        }
        Event::Moved { by, cause, serving, .. } => {
            let cause = match cause {
                Cause::Operator => "operator",
                Cause::Inlet => "inlet",
            };
            json!({ "event_id": event_id, "increment_by": by, "serving_counter": serving, "cause": cause })
        }
        Event::Issued { id, .. } => json!({ "event_id": event_id, "request_id": id.to_string() }),
        Event::Ended { id, ending, .. } => {
            let status = match ending {
                Ending::Completed => "completed",
                Ending::Abandoned => "abandoned",
            };
            json!({ "event_id": event_id, "request_id": id.to_string(), "status": status })
        }
        Event::Swept { up_to, passed_on, serving, .. } => {
            if kind == Kind::PositionsExpired {
                return json!({ "event_id": event_id, "up_to": up_to, "passed_on": passed_on });
            }
            json!({
                "previous_serving_counter_position": serving.saturating_sub(i64::from(*passed_on)),
                "increment_by": passed_on,
                "current_serving_counter_position": serving,
            })
        }
        Event::Skipped { positions, serving, .. } => {
            let places: Vec<_> = positions.iter().take(MOST_TOLD).collect();
            let (count, serving) = (positions.len(), serving);
            json!({ "event_id": event_id, "count": count, "queue_numbers": places, "serving_counter": serving })
        }
        Event::Reset { .. } | Event::Restored { .. } | Event::Tuned { .. } => json!({ "event_id": event_id }),
        Event::Opened { by, .. } => json!({ "event_id": event_id, "by": by_name(*by) }),
        Event::StateChanged { state, by, .. } => {
            json!({ "event_id": event_id, "state": state.name(), "by": by_name(*by) })
        }
        Event::Registered { id, at, .. } => {
            json!({ "event_id": event_id, "request_id": id.to_string(), "queue_number": null, "entry_time": at })
        }
        Event::Drawn { public, .. } => json!({ "event_id": event_id, "public_value": &**public }),
        Event::Committed { .. } | Event::HallClosed | Event::Beside { .. } => Value::Null,
        Event::Measured { counters, active, .. } => measured(event_id, counters, *active),
    }
}

/// All but one are texts: the original tells them as its memory has them.
fn measured(event_id: &str, counters: &Counters, active: u64) -> Value {
    json!({
        "event_id": event_id,
        "num_active_tokens": active,
        "total_num_tokens": counters.tokens.to_string(),
        "queue_counter": counters.queue.to_string(),
        "serving_number": counters.serving.to_string(),
        "completed_sessions": counters.completed.to_string(),
        "abandoned_sessions": counters.abandoned.to_string(),
    })
}

fn by_name(by: By) -> &'static str {
    match by {
        By::Schedule => "schedule",
        By::Operator => "operator",
    }
}

/// A moment as RFC 3339 writes it.
fn rfc3339(at: Seconds) -> String {
    jiff::Timestamp::from_second(at.into()).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// So many places are named in one event at most.
const MOST_TOLD: usize = 1000;
