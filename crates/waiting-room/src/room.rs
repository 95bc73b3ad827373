//! A room: what is known of it, and how events change it.

use crate::event::{Cause, Noting};
use crate::index::Index;
use crate::line::{Keyed, Row, count};
use crate::{Counters, Ending, Event, Line, Place, Position, RequestId, Seconds, Token};

/// For how many seconds a reset can be undone.
pub const UNDOABLE: u32 = 3600;

/// A room.
#[derive(Debug, Default)]
pub struct Room {
    version: u64,
    pub(crate) line: Line,
    pub(crate) index: Index,
    before: Option<Box<Before>>,
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
        Self { version, index: Index::of(&line), line, before }
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

    /// Whose token does not hold any more, however the visit ended.
    pub fn expired(&self, now: Seconds) -> Vec<RequestId> {
        let expired = self.line.tokens.iter().filter(|token| token.expires < now);
        expired.filter_map(|token| self.line.place(token.position).map(|place| place.id)).collect()
    }

    /// Forgets what was before a reset that can no longer be undone.
    pub fn forget(&mut self, now: Seconds) {
        self.before = self.before.take().filter(|before| now.saturating_sub(before.reset) < UNDOABLE);
    }

    /// Passes over something that happened and that nobody knows any more.
    pub fn skip(&mut self) {
        self.version += 1;
    }

    /// Has happen what happened.
    pub fn apply(&mut self, event: &Event) {
        self.version += 1;
        match event {
            Event::Joined { position, id, key, at } => {
                self.fill_up_to(*position, *at);
                self.take_place(*id, *at);
                if let Some(key) = key {
                    self.line.keys.push(Keyed { key: *key, position: self.line.queue() });
                    self.index.note_key(&self.line, count(self.line.keys.len() - 1));
                }
            }
            Event::Moved { by, at, noting, cause, serving: _ } => {
                self.line.serving = self.line.serving.saturating_add(*by);
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
                self.line.swept = *up_to;
                self.line.rows = self.line.rows.split_off(&(i64::from(*up_to) + 1));
                if *passed_on > 0 {
                    self.line.expired = self.line.expired.saturating_add(u64::from(*passed_on));
                    self.line.serving = self.line.serving.saturating_add(i64::from(*passed_on));
                    self.note(*at, *noting);
                }
            }
            Event::Reset { at } => {
                let anew = Line { course: self.line.course.after_reset(), ..Line::default() };
                let (line, index) = (std::mem::replace(&mut self.line, anew), std::mem::take(&mut self.index));
                self.before = Some(Box::new(Before { reset: *at, line, index }));
            }
            Event::Restored { at: _ } => self.bring_back(),
            Event::Skipped { positions, at, noting, serving: _ } => {
                self.skip_over(positions, *at);
                self.note(*at, *noting);
            }
            Event::Measured { .. } => {}
            Event::Opened { by, at } => self.open(*by, *at),
            Event::StateChanged { state, by, at } => self.enter_state(*state, *by, *at),
        }
    }

    /// A place that the log lost would be everybody's who is behind it; so it stays, and is nobody's.
    fn fill_up_to(&mut self, position: Position, at: Seconds) {
        while self.line.queue() < position.saturating_sub(1) {
            self.line.places.push(Place { id: RequestId::default(), entered: at, token: 0 });
        }
    }

    fn take_place(&mut self, id: RequestId, at: Seconds) {
        self.line.places.push(Place { id, entered: at, token: 0 });
        self.index.note_place(&self.line, self.line.queue(), id);
    }

    /// Notes in the serving log that the serving number was reached.
    fn note(&mut self, at: Seconds, noting: Noting) {
        let serving = self.line.serving;
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
        if place.skipped_at().is_some() {
            // Somebody else got a turn instead; but this one is not lost any more.
            self.line.expired = self.line.expired.saturating_sub(1);
        }
        let Some(place) = self.line.place_mut(token.position) else { return };
        place.token = number;
        self.line.tokens.push(token);
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

    /// Who came after the reset comes behind those who were there before, in order.
    fn bring_back(&mut self) {
        let Some(before) = self.before.take() else { return };
        let since = std::mem::replace(&mut self.line, before.line);
        self.index = before.index;
        let moved = self.line.queue();
        let course = std::mem::take(&mut self.line.course);
        self.line.course = since.course.after_restore(course, moved.saturating_add(1));
        for place in since.places.iter() {
            self.take_place(place.id, place.entered);
        }
        for keyed in since.keys.iter() {
            // Who named the join of before names that one.
            if self.index.position_of_key(&self.line, keyed.key).is_some() {
                continue;
            }
            self.line.keys.push(Keyed { position: moved.saturating_add(keyed.position), ..*keyed });
            self.index.note_key(&self.line, count(self.line.keys.len() - 1));
        }
    }
}
