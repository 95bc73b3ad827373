//! What is due in a room by the clock and by those who leave: the schedule, turns that are over, inlets.

use waiting_room::{Cause, Ending, Notice, Place, Position, RequestId, Rules, Seconds, State};

use super::{Held, KeptRoom, Trouble};
use crate::log::{NotKept, Written};
use crate::settings::Inlet;
use crate::tuning::in_force;

/// Whose visits ended, as a site tells it.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// How many left.
    pub exited: Option<u64>,
    /// Those who did what they came for.
    pub completed: Vec<RequestId>,
    /// Those who went away.
    pub abandoned: Vec<RequestId>,
}

impl KeptRoom {
    /// Ends visits, and lets in whoever fits if the room has an inlet of a size. Returns the serving number.
    pub async fn left(&self, left: Left, now: Seconds) -> Result<i64, Trouble> {
        let settings = self.settings.load_full();
        let turn = self.may_write().await?;
        let (serving, written) = {
            let mut held = self.held.lock();
            let (mut ended, mut written) = (0, None);
            let completed = left.completed.iter().map(|id| (id, Ending::Completed));
            for (id, ending) in completed.chain(left.abandoned.iter().map(|id| (id, Ending::Abandoned))) {
                if let Ok(event) = held.room.end(*id, ending, now) {
                    written = Some(self.happen(&mut held, &event)?);
                    ended += 1;
                }
            }
            // Who leaves while nobody can come in makes room for when that is over.
            let lets_in = matches!(held.room.state(), State::Open | State::Paused);
            if let (Inlet::MaxSize(inlet), true) = (in_force(settings.inlet, &held.room), lets_in) {
                let due = inlet.due(Notice { exited: left.exited, ended }, held.room.active(now));
                if let Some(by) = due {
                    written = self.let_in(&mut held, by, now, &settings.rules)?.or(written);
                }
            }
            (held.room.counters().serving, written)
        };
        drop(turn);
        if let Some(written) = written {
            self.settled(&written).await?;
        }
        Ok(serving)
    }

    /// Does what is due by now: turns that are over, and the inlet of the clock.
    pub(crate) fn tick(&self, now: Seconds) -> Result<(), NotKept> {
        let settings = self.settings.load();
        self.forget_entered();
        let turn = self.log.at_once();
        let by_turn = (now, turn.as_ref());
        let mut held = self.held.lock();
        self.take_back_if_due(&mut held, by_turn)?;
        self.catch_up(&mut held, now)?;
        while let Some(event) = held.room.sweep(now, &settings.rules) {
            self.happen(&mut held, &event)?;
        }
        let inlet = in_force(settings.inlet, &held.room);
        if let (Inlet::Periodic(inlet), false) = (inlet, self.rests_for_alarm())
            && let Some(by) = inlet.due(&held.room, now)
        {
            if inlet.is_set_back(&held.room, now) {
                tracing::warn!(room = &*self.name, "the clock was set back; the inlet goes on by what it says now");
            }
            self.let_in(&mut held, by.into(), now, &settings.rules)?;
        }
        let seen = match inlet {
            Inlet::Adaptive(inlet) => self.steer(&mut held, &inlet, by_turn, &settings.rules)?,
            Inlet::Manual | Inlet::Periodic(_) | Inlet::MaxSize(_) => None,
        };
        self.tell_nodes(&mut held, seen, by_turn)?;
        // Whoever is first does it for all who have the room.
        if settings.metrics_events && now.saturating_sub(held.measured) >= MINUTE {
            let event = held.room.measure(now);
            self.happen(&mut held, &event)?;
        }
        if settings.rules.presence.is_some() {
            self.seen.tend(&held.room, now);
        }
        let counters = held.room.counters();
        drop(held);
        let waits = self.waits.note(counters, now);
        self.watchers.tick(counters, &waits);
        Ok(())
    }

    /// There is a sign of whoever has this place: they wait, and are there.
    pub(crate) fn seen(&self, position: Position, now: Seconds) {
        if self.settings.load().rules.presence.is_some() {
            self.seen.note(position, now);
            if self.is_shared() {
                self.signs.note(position);
            }
        }
    }

    /// There was a sign of these at another node.
    pub(crate) fn see_all(&self, positions: &[Position], at: Seconds) {
        if self.settings.load().rules.presence.is_some() {
            for position in positions {
                self.seen.note(*position, at);
            }
        }
    }

    /// Lets so many in by the room's own inlet, if they are any.
    pub(crate) fn let_in_if_any(&self, held: &mut Held, by: u32, now: Seconds, rules: &Rules) -> Result<(), NotKept> {
        if by > 0 {
            self.let_in(held, by.into(), now, rules)?;
        }
        Ok(())
    }

    /// How many of those who wait are there, if that is looked for.
    pub fn present(&self, now: Seconds) -> Result<Option<usize>, Trouble> {
        let Some(presence) = self.settings.load().rules.presence else { return Ok(None) };
        self.look(|room| Some(self.seen.present(room, now, presence.absent_after)))
    }

    /// Lets so many more in by the room's own inlet, or, if the number is negative, so many fewer.
    fn let_in(&self, held: &mut Held, by: i64, now: Seconds, rules: &Rules) -> Result<Option<Written>, NotKept> {
        let events = match (u32::try_from(by), rules.presence) {
            (Ok(by), Some(presence)) => {
                let is_here = |position, place: &Place| self.seen.is_here(position, place, now, presence.absent_after);
                held.room.let_in(by, now, rules, is_here)
            }
            (Ok(_) | Err(_), _) => held.room.move_by(by, now, Cause::Inlet, rules).into_iter().collect(),
        };
        let mut written = None;
        for event in &events {
            written = Some(self.happen(held, event)?);
        }
        Ok(written)
    }
}

/// How often it is looked at what is counted, for others.
const MINUTE: u32 = 60;
