//! What happens in waiting rooms as events for others.

use std::sync::Arc;

use ::room_events::{Kind, Wanted, read, when};
use exports::{Begins, Export, Records, Sink, Strange, Terms};
use model::Document;
use model::room_events::{RoomEventType, RoomEvents};
use model::usage::EventForm;
use problem::{Finding, Pointer};
use serde_json::Value;
use tokio::time::sleep;

use crate::Rooms;
use crate::keeping::Keeping;
use crate::rooms::TICK;

/// What somebody wants to be told.
struct Told {
    rooms: Arc<Rooms>,
    only: Vec<String>,
    kinds: Vec<Kind>,
}

impl Wanted for Told {
    fn is_wanted(&self, room: &str, kind: Kind) -> bool {
        let is_room = self.only.is_empty() || self.only.iter().any(|only| only == room);
        is_room && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }

    fn event_of(&self, room: &str) -> Arc<str> {
        self.rooms.named(room).map_or_else(|| room.into(), |room| room.settings().event.clone())
    }
}

impl Records for Told {
    fn read(&self, record: &[u8], _: EventForm, events: &mut Vec<Value>) -> Result<(), Strange> {
        read(record, self, events).map_err(|_unknown| Strange)
    }

    fn at(&self, record: &[u8]) -> Result<Option<u64>, Strange> {
        let at = when(record, self).map_err(|_unknown| Strange)?;
        Ok(at.map(|at| u64::from(at) * 1_000_000))
    }
}

/// What is wrong with those who shall be told.
pub(crate) fn check(document: &Document) -> Vec<Finding> {
    sinks(document).err().unwrap_or_default()
}

/// The exports of a document, whose rooms keep their log for them from now on; or what is wrong with them.
pub(crate) fn exports(document: &Document, keeping: Option<&Keeping>) -> Result<Vec<Export>, Vec<Finding>> {
    let sinks = sinks(document)?;
    let Some(keeping) = keeping else { return Ok(Vec::new()) };
    let rooms = &keeping.rooms;
    *rooms.readers.lock() = sinks.iter().map(|(name, ..)| exports::consumer_of(name)).collect();
    let export = |(name, sink, events): (&String, Sink, &RoomEvents)| {
        let kinds = events.types.iter().map(|kind| kind_of(*kind)).collect();
        let told = Told { rooms: rooms.clone(), only: events.rooms.clone(), kinds };
        Export::new(name, sink, TERMS, Arc::new(told))
    };
    Ok(sinks.into_iter().map(export).collect())
}

/// Brings events to a sink for as long as the node runs, once there are rooms. Where nodes share them, one does.
pub(crate) async fn run(export: Arc<Export>, rooms: Arc<Rooms>, node: String) {
    if let Some(log) = rooms.shared_log() {
        return exports::run_shared(&export, log, node).await;
    }
    let log = loop {
        match rooms.opened() {
            Some(rooms) => break rooms.log(),
            None => sleep(TICK).await,
        }
    };
    if let Some((journal, folder)) = log {
        exports::run(&export, journal, folder).await;
    }
}

type Sinks<'a> = Vec<(&'a String, Sink, &'a RoomEvents)>;

fn sinks(document: &Document) -> Result<Sinks<'_>, Vec<Finding>> {
    let (mut sinks, mut findings) = (Vec::new(), Vec::new());
    for (name, events) in &document.room_events {
        let at = Pointer::default().at("room_events").at(name);
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if name.is_empty() || !name.chars().all(is_name) {
            let message = format!("`{name}` cannot be a name here: write lower case letters, digits and `-`");
            findings.push(Finding::new(&at, message));
        }
        if document.store.is_none() {
            findings.push(Finding::new(&at, "needs `store`, where it is kept what happens in rooms"));
        }
        let known: Vec<_> = document.rooms.keys().map(String::as_str).collect();
        for (index, room) in events.rooms.iter().enumerate().filter(|(_, room)| !document.rooms.contains_key(*room)) {
            let advice = model::read::advice(room, &known);
            let message = format!("there is no room `{room}` in `rooms`{advice}");
            findings.push(Finding::new(&at.at("rooms").at(index), message));
        }
        match Sink::of_rooms(name, &events.to, &at.at("to")) {
            Ok(sink) => sinks.push((name, sink, events)),
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(sinks) } else { Err(findings) }
}

fn kind_of(kind: RoomEventType) -> Kind {
    match kind {
        RoomEventType::TokenGenerated => Kind::TokenGenerated,
        RoomEventType::SessionUpdated => Kind::SessionUpdated,
        RoomEventType::AutomaticServingCounterIncr => Kind::AutomaticServingCounterIncr,
        RoomEventType::WaitingRoomMetrics => Kind::WaitingRoomMetrics,
        RoomEventType::VisitorJoined => Kind::VisitorJoined,
        RoomEventType::ServingCounterMoved => Kind::ServingCounterMoved,
        RoomEventType::PositionsExpired => Kind::PositionsExpired,
        RoomEventType::VisitorsSkipped => Kind::VisitorsSkipped,
        RoomEventType::RoomOpened => Kind::RoomOpened,
        RoomEventType::StateChanged => Kind::StateChanged,
        RoomEventType::RoomReset => Kind::RoomReset,
        RoomEventType::ResetUndone => Kind::ResetUndone,
        RoomEventType::LotsDrawn => Kind::LotsDrawn,
    }
}

/// Two gigabytes wait for a sink, some fifty million joins: rooms must go on when a sink is away.
const TERMS: Terms = Terms { what: "waiting rooms", begins: Begins::WithThisProcess, most_segments: Some(512) };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_told_can_be_asked_for_by_the_name_that_it_is_told_by() {
        for kind in Kind::ALL {
            let written = serde_json::from_value(kind.name().into()).unwrap();
            assert_eq!(kind_of(written), kind);
        }
    }
}
