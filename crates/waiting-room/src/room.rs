//! A room: what is known of it, and how events change it.

use std::collections::{BTreeMap, HashMap};

use crate::event::{Cause, Noting};
use crate::index::Index;
use crate::line::{Keyed, Row, count};
use crate::{
    Counters, Draft, Ending, Event, History, InviteId, JoinKey, Line, Place, Position, Registered, RequestId, Seconds,
    Token,
};

/// For how many seconds a reset can be undone.
pub const UNDOABLE: u32 = 3600;

/// A room.
#[derive(Debug, Default)]
pub struct Room {
    version: u64,
    pub(crate) line: Line,
    pub(crate) index: Index,
    before: Option<Box<Before>>,
    /// Invites that were taken back, and when they would be over anyway.
    pub(crate) revoked: BTreeMap<InviteId, Seconds>,
    history: History,
}

/// A room as it was before it was reset.
#[derive(Debug)]
pub struct Before {
    /// When it was reset.
    pub reset: Seconds,
    /// What was known of it.
    pub line: Line,
    index: Index,
}

impl Room {
    /// The room again of which this is known.
    pub fn of(version: u64, line: Line, before: Option<(Seconds, Line)>) -> Self {
        let before = before.map(|(reset, line)| Box::new(Before { reset, index: Index::of(&line), line }));
        Self { version, index: Index::of(&line), line, before, ..Self::default() }
    }

    /// The same, of which also this is known, which resets do not change.
    #[must_use]
    pub fn with(self, history: History, revoked: impl IntoIterator<Item = (InviteId, Seconds)>) -> Self {
        Self { history, revoked: revoked.into_iter().collect(), ..self }
    }

    /// How it went.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many events made it what it is.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What is known of it.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// What was known of it before it was reset, as long as anybody may want that back.
    pub fn before(&self) -> Option<&Before> {
        self.before.as_deref()
    }

    /// Whether somebody had come before the room was reset, as long as that can be undone.
    pub fn was_there(&self, id: RequestId) -> bool {
        let is_known = |before: &Before| {
            before.index.position(&before.line, id).is_some()
                || before.index.registered(&before.line.hall, id).is_some()
        };
        self.before().is_some_and(is_known)
    }

    /// Everything that is counted.
    pub fn counters(&self) -> Counters {
        self.line.counters()
    }

    /// The place of a visitor.
    pub fn find(&self, id: RequestId) -> Option<(Position, Place)> {
        let position = self.index.position(&self.line, id)?;
        Some((position, *self.line.place(position)?))
    }

    /// How many visits have not ended whose token holds.
    pub fn active(&self, now: Seconds) -> u64 {
        self.index.active(now)
    }

    /// Forgets what was before a reset that can no longer be undone. When things happen says so, and no clock: nodes that share
    /// the room forget it at the same event, and so does whoever reads the log.
    fn forget(&mut self, at: Seconds) {
        self.before = self.before.take().filter(|before| at.saturating_sub(before.reset) < UNDOABLE);
    }

    /// Passes over something that happened and that nobody knows any more.
    pub fn skip(&mut self) {
        self.version += 1;
    }

    /// Has happen what happened.
    pub fn apply(&mut self, event: &Event) {
        self.apply_with(event, None);
    }

    /// As [`Self::apply`], by what was made ready before if lots are drawn.
    pub fn apply_with(&mut self, event: &Event, draft: Option<Draft>) {
        self.version += 1;
        if let Some(at) = event.at() {
            self.forget(at);
        }
        let ahead = self.turns_ahead();
        self.have_happen(event, draft);
        self.note_by_hand(event, ahead);
        if let Some(at) = event.at() {
            let counters = self.counters();
            self.history.note(at, &counters);
        }
    }

    fn have_happen(&mut self, event: &Event, draft: Option<Draft>) {
        match event {
            Event::Joined { position, id, key, at } => {
                self.fill_up_to(*position, *at);
                let position = self.line.last().saturating_add(1);
                self.take_place(position, 0, (*id, *at));
                self.note_key(*key, position);
            }
            Event::Placed { position, of, id, key, at, lane, invite } => {
                self.came_by(lane, *invite);
                let of = self.line.lane_number(of);
                self.take_place(*position, of, (*id, *at));
                self.note_key(*key, *position);
            }
            Event::Registered { id, key, at, lane, invite } => {
                let lane = self.came_by(lane, *invite);
                self.register(Registered { id: *id, entered: *at, key: *key, lane });
            }
            Event::Committed { seed } => self.line.hall.seed = Some(*seed),
            Event::HallClosed => self.line.hall.close(),
            Event::Drawn { public, lanes, at } => self.take_draft(draft, (public, lanes, *at)),
            Event::Moved { by, at, noting, cause, serving: _ } => {
                self.line.serving = self.line.ahead(self.line.serving, *by);
                self.note(*at, *noting);
                if *cause == Cause::Inlet {
                    self.line.inlet_at = *at;
                }
            }
            Event::Issued { position, issued, expires, issuer, row, id: _ } => {
                let issuer = self.index.issuer(&mut self.line, issuer);
                let token = Token { position: *position, issued: *issued, expires: *expires, issuer, ending: None };
                self.note_issued(token);
                if let Some(row) = row.and_then(|row| self.line.rows.get_mut(&row)) {
                    row.served = row.served.saturating_add(1);
                }
            }
            Event::Ended { position, ending, id: _, at: _ } => self.note_ended(*position, *ending),
            Event::Swept { up_to, passed_on, at, noting, serving: _ } => {
                let after = std::mem::replace(&mut self.line.swept, *up_to);
                self.line.rows = self.line.rows.split_off(&(i64::from(*up_to) + 1));
                if *passed_on > 0 {
                    self.line.pass_on(after, *up_to);
                    self.line.expired = self.line.expired.saturating_add(u64::from(*passed_on));
                    self.line.serving = self.line.ahead(self.line.serving, i64::from(*passed_on));
                    self.note(*at, *noting);
                }
            }
            Event::Reset { at } => self.begin_anew(*at),
            Event::Restored { at: _ } => self.bring_back(),
            Event::Skipped { positions, at, noting, serving: _ } => {
                self.skip_over(positions, *at);
                self.note(*at, *noting);
            }
            Event::Measured { .. } => {}
            Event::Tuned { tuned, at: _ } => self.line.tuned = *tuned,
            Event::Opened { by, at } => self.open(*by, *at),
            Event::StateChanged { state, by, at } => self.enter_state(*state, *by, *at),
            Event::Beside { what, at } => self.happen_beside(what, *at),
        }
    }

    /// Knows how many turns ahead of the line are given by hand, when so many were there before. Who joins takes others first.
    fn note_by_hand(&mut self, event: &Event, before: u64) {
        let ahead = self.turns_ahead();
        let is_by_hand = matches!(event, Event::Moved { cause: Cause::Operator, .. });
        let given = if is_by_hand { ahead.saturating_sub(before) } else { 0 };
        self.line.by_hand = self.line.by_hand.saturating_add(given).min(ahead);
    }

    /// A place that the log lost would be everybody's who is behind it; so it stays, and is nobody's.
    fn fill_up_to(&mut self, position: Position, at: Seconds) {
        while self.line.queue() < position.saturating_sub(1) {
            self.line.places.push(Place { id: RequestId::default(), entered: at, token: 0 });
        }
    }

    fn take_place(&mut self, position: Position, of: u8, (id, entered): (RequestId, Seconds)) {
        self.line.put(position, of, Place { id, entered, token: 0 });
        self.index.note_place(position, id);
    }

    fn note_key(&mut self, key: Option<JoinKey>, position: Position) {
        let Some(key) = key else { return };
        self.line.keys.push(Keyed { key, position });
        self.index.note_key(&self.line, count(self.line.keys.len() - 1));
    }

    /// Counts somebody who came by a lane; its number.
    fn came_by(&mut self, lane: &str, invite: Option<InviteId>) -> u8 {
        if let Some(invite) = invite {
            self.line.invited.push(invite);
            self.index.note_use(invite);
        }
        let number = self.line.lane_number(lane);
        if let Some(lane) = self.line.lane_mut(number) {
            lane.visitors = lane.visitors.saturating_add(1);
        }
        number
    }

    /// Notes in the serving log that the serving number was reached.
    fn note(&mut self, at: Seconds, noting: Noting) {
        let serving = self.line.serving;
        if noting == Noting::Renewed {
            // Who is behind it waits, and has a turn that begins anew when the number comes there again.
            drop(self.line.rows.split_off(&serving.saturating_add(1)));
        }
        if noting == Noting::Nothing || serving <= i64::from(self.line.swept) {
            return;
        }
        let row = self.line.rows.entry(serving).or_insert(Row { issued: at, served: 0 });
        row.issued = at;
        if noting == Noting::Anew {
            row.served = 0;
        }
    }

    fn note_issued(&mut self, token: Token) {
        let number = count(self.line.tokens.len()).saturating_add(1);
        let Some(place) = self.line.place(token.position).filter(|place| !place.has_token()) else { return };
        if self.line.is_passed_over(token.position, place) {
            // Somebody else got a turn instead; but this one is not lost any more.
            self.line.expired = self.line.expired.saturating_sub(1);
        }
        let Some(place) = self.line.place_mut(token.position) else { return };
        place.token = number;
        self.line.tokens.push(token);
        self.index.note_turn(token.position);
        self.index.note_active(&token);
    }

    fn note_ended(&mut self, position: Position, ending: Ending) {
        let Some(place) = self.line.place(position).copied() else { return };
        let token = crate::line::index(place.token).and_then(|index| self.line.tokens.get_mut(index));
        let Some(token) = token.filter(|token| token.ending.is_none()) else { return };
        token.ending = Some(ending);
        let token = *token;
        self.index.note_ended(&token);
        let counter = match ending {
            Ending::Completed => &mut self.line.completed,
            Ending::Abandoned => &mut self.line.abandoned,
        };
        *counter = counter.saturating_add(1);
    }

    fn begin_anew(&mut self, reset: Seconds) {
        let (course, tuned) = (self.line.course.after_reset(), self.line.tuned);
        let anew = Line { course, tuned, ..Line::default() };
        let (line, index) = (std::mem::replace(&mut self.line, anew), std::mem::take(&mut self.index));
        if line.is_empty()
            && let Some(before) = &mut self.before
        {
            // Whoever does not know whether a reset was done does it again, and wants back what there was before both.
            before.reset = reset;
            return;
        }
        self.before = Some(Box::new(Before { reset, line, index }));
    }

    /// Who came after the reset comes behind those who were there before, in order.
    fn bring_back(&mut self) {
        let Some(before) = self.before.take() else { return };
        let since = std::mem::replace(&mut self.line, before.line);
        self.index = before.index;
        let next = self.line.last().saturating_add(1);
        let course = std::mem::take(&mut self.line.course);
        self.line.tuned = since.tuned;
        self.line.course = since.course.clone().after_restore(course, next);
        for lane in &since.lanes {
            let number = self.line.lane_number(&lane.name);
            if let Some(known) = self.line.lane_mut(number) {
                known.visitors = known.visitors.saturating_add(lane.visitors);
            }
        }
        for invite in since.invited.iter() {
            self.line.invited.push(*invite);
            self.index.note_use(*invite);
        }
        if self.line.course.gathered_from.is_none() {
            // The room opened since, for those who gathered before.
            self.line.hall.close();
        }
        let keys: HashMap<_, _> = since.keys.iter().map(|keyed| (keyed.position, keyed.key)).collect();
        let mut came: Vec<_> = since.positions().map(|(position, place)| (position, place.id, place.entered)).collect();
        came.sort_unstable_by_key(|(position, ..)| *position);
        for (position, id, entered) in came {
            self.bring(Registered { id, entered, key: keys.get(&position).copied(), lane: 0 });
        }
        for there in since.hall.registered.iter() {
            let name = since.lanes.get(usize::from(there.lane)).map(|lane| lane.name.clone());
            let lane = name.map_or(0, |name| self.line.lane_number(&name));
            self.bring(Registered { lane, ..*there });
        }
    }

    /// Somebody who came after a reset is in the hall of before, if lots are still to be drawn there, or behind the others.
    fn bring(&mut self, there: Registered) {
        let is_known = |key: &JoinKey| {
            let of_hall = self.index.registered_by(&self.line.hall, *key);
            of_hall.is_some() || self.index.position_of_key(&self.line, *key).is_some()
        };
        // Who named the join of before names that one.
        let key = there.key.filter(|key| !is_known(key));
        if self.line.hall.is_waiting() {
            return self.register(Registered { key, ..there });
        }
        let position = self.line.last().saturating_add(1);
        self.take_place(position, 0, (there.id, there.entered));
        self.note_key(key, position);
    }
}
