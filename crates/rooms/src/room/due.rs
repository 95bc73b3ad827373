//! What is due in a room by the clock and by those who leave: the schedule, turns that are over, inlets.

use waiting_room::{Cause, Compatibility, Ending, Notice, Place, Position, RequestId, Rules, Seconds, State};

use super::{Held, KeptRoom, Trouble};
use crate::log::{NotKept, Written};
use crate::settings::{Inlet, Settings};
use crate::tuning::in_force;
use crate::watching::counted;

/// Who left, as a site tells it.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// How many left.
    pub exited: Option<u64>,
    /// Whose visits ended, and how.
    pub ended: Vec<(RequestId, Ending)>,
}

impl KeptRoom {
    /// Ends a visit, and lets in whoever fits if the room has an inlet of a size; whether there was one to end.
    pub async fn end(&self, id: RequestId, ending: Ending, now: Seconds) -> Result<bool, Trouble> {
        let (ended, _) = self.leave(&[(id, ending)], None, now).await?;
        Ok(ended > 0)
    }

    /// As [`Self::end`], by a notice of a site. Returns where the serving number was, and where it is then.
    pub async fn left(&self, left: Left, now: Seconds) -> Result<(i64, i64), Trouble> {
        let notice = Notice { exited: left.exited, ended: 0 };
        let (_, moved) = self.leave(&left.ended, Some(notice), now).await?;
        Ok(moved)
    }

    async fn leave(
        &self,
        left: &[(RequestId, Ending)],
        notice: Option<Notice>,
        now: Seconds,
    ) -> Result<(u64, (i64, i64)), Trouble> {
        let settings = self.settings.load_full();
        let turn = self.may_write().await?;
        let (ended, moved, written) = {
            let mut held = self.held.lock();
            let (mut ended, mut written, before) = (0, None, held.room.counters().serving);
            for (id, ending) in left {
                if let Ok(event) = held.room.end(*id, *ending, now) {
                    written = Some(self.happen(&mut held, &event)?);
                    ended += 1;
                }
            }
            let notice = notice.map(|notice| Notice { ended, ..notice });
            written = self.fill(&mut held, notice, now, &settings)?.or(written);
            (ended, (before, held.room.counters().serving), written)
        };
        drop(turn);
        if let Some(written) = written {
            self.settled(&written).await?;
        }
        Ok((ended, moved))
    }

    /// Lets in whoever fits if the room has an inlet of a size; in a strict one, as many as follow from a notice.
    fn fill(
        &self,
        held: &mut Held,
        notice: Option<Notice>,
        now: Seconds,
        settings: &Settings,
    ) -> Result<Option<Written>, NotKept> {
        let Inlet::MaxSize(inlet) = in_force(settings.inlet, &held.room) else { return Ok(None) };
        let room = &held.room;
        let by = match settings.rules.compatibility {
            Compatibility::Mended => Some(i64::from(inlet.fits(room, now, &settings.rules))).filter(|by| *by > 0),
            // Who leaves while nobody can come in makes room for when that is over.
            Compatibility::Strict if matches!(room.state(), State::Open | State::Paused) => {
                notice.and_then(|notice| inlet.due(notice, room.active(now)))
            }
            Compatibility::Strict => None,
        };
        by.map_or(Ok(None), |by| self.let_in(held, by, now, &settings.rules))
    }

    /// Does what is due by now: turns that are over, and inlets.
    pub(crate) fn tick(&self, now: Seconds) -> Result<(), NotKept> {
        let settings = self.settings.load();
        self.forget_entered();
        let turn = self.log.at_once();
        let by_turn = (now, turn.as_ref());
        let mut held = self.held.lock();
        held.nodes.looked_at = now;
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
        self.fill(&mut held, None, now, &settings)?;
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
        let counted = counted(&held.room);
        drop(held);
        let waits = self.waits.note(counted.0, now);
        self.watchers.tick(counted, &waits);
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
