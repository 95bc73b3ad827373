//! What is known of a room between two resets.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{
    Course, Ending, Hall, InviteId, JoinKey, LaneLine, Origins, Position, RequestId, Seconds, Shelf, State, Tag, Tuned,
};

/// What is known of a room between two resets, without what can be found out from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Everybody who ever got a place, in that order.
    pub places: Shelf<Place>,
    /// Everybody who took their turn, in that order.
    pub tokens: Shelf<Token>,
    /// Joins that may be repeated.
    pub keys: Shelf<Keyed>,
    /// Who issued tokens.
    pub issuers: Vec<Arc<str>>,
    /// S: every place up to this one may take its turn. It may be negative.
    pub serving: i64,
    /// X: turns that somebody else got because nobody took them.
    pub expired: u64,
    /// M: turns up to this one are over, unless they were taken.
    pub swept: Position,
    /// Numbers whose turns went to others, but for those that were taken: behind the first of each pair, up to the second.
    pub passed: Vec<(Position, Position)>,
    /// Visits that came to a good end.
    pub completed: u32,
    /// Visits that came to another end.
    pub abandoned: u32,
    /// The serving log: when a serving number was reached. Rows up to M say nothing any more and are gone.
    pub rows: BTreeMap<i64, Row>,
    /// When the room's own inlet moved the serving number last.
    pub inlet_at: Seconds,
    /// How many of the turns ahead of the line an operator gave by hand.
    pub by_hand: u64,
    /// The state that the room is in.
    pub course: Course,
    /// The inlet that an operator set.
    pub tuned: Option<Tuned>,
    /// Those who draw lots for their places.
    pub hall: Hall,
    /// The lanes that anybody ever came by. Without any, a number is how many took a place, with the place itself.
    pub lanes: Vec<LaneLine>,
    /// Numbers up to this one were taken before there were lanes.
    pub in_order: Position,
    /// The invites that were used, each as often as it was.
    pub invited: Shelf<InviteId>,
    /// Where those came from who joined by everybody's lane, where that is counted.
    pub origins: Origins,
}

/// Somebody's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Who has it.
    pub id: RequestId,
    /// Since when.
    pub entered: Seconds,
    /// The number of its token, counted from 1; 0 if it has none. With the highest bit, when its holder was passed over.
    pub token: u32,
}

/// What somebody's turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose turn.
    pub position: Position,
    /// Since when it holds.
    pub issued: Seconds,
    /// Until when.
    pub expires: Seconds,
    /// The number of who issued it.
    pub issuer: u32,
    /// How the visit ended, if it did.
    pub ending: Option<Ending>,
}

/// A join that may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// By what it is known.
    pub key: JoinKey,
    /// The place that it got.
    pub position: Position,
}

/// A row of the serving log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When the serving number was reached.
    pub issued: Seconds,
    /// How many of those who got a turn by it took it.
    pub served: u32,
}

/// Everything that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Q: places that were ever given.
    pub queue: u32,
    /// S: the serving number.
    pub serving: i64,
    /// T: visitors who were issued a token.
    pub tokens: u32,
    /// X: turns that somebody else got because nobody took them.
    pub expired: u64,
    /// M: turns up to this one are over, unless they were taken.
    pub swept: Position,
    /// Visits that came to a good end.
    pub completed: u32,
    /// Visits that came to another end.
    pub abandoned: u32,
    /// Whether the room lets visitors in.
    pub state: State,
    /// The last number that was given. There may be numbers before it that nobody has, where there are lanes.
    pub last: Position,
    /// Visitors who draw lots, and have no places yet.
    pub registered: u32,
}

impl Counters {
    /// The serving number as visitors see it: when everybody passes, it is everybody's turn.
    pub fn served(&self) -> i64 {
        match self.state {
            State::PassingEverybody => self.serving.max(self.last.into()),
            State::Idle | State::PreQueue | State::Open | State::Paused | State::Closed => self.serving,
        }
    }

    /// How many wait: Q - T - X, and those who draw lots.
    pub fn waiting(&self) -> i64 {
        let expired = i64::try_from(self.expired).unwrap_or(i64::MAX);
        (i64::from(self.queue) + i64::from(self.registered) - i64::from(self.tokens)).saturating_sub(expired)
    }
}

impl Line {
    /// What tells this line from another one of the room, the same wherever it is known: it follows from who came first, and
    /// from whether lots were drawn. So it changes with a reset, is what it was when that is undone, and says nothing of who
    /// that is. 0: nobody came yet.
    pub fn fingerprint(&self) -> u32 {
        let first = self.places.get(0).map(|place| place.id);
        let Some(first) = first.or_else(|| Some(self.hall.registered.get(0)?.id)) else { return 0 };
        let Tag([one, two, three, four, ..]) = Tag::of(first);
        (u32::from_be_bytes([one, two, three, four]) & !1) | u32::from(self.hall.drawn.is_some())
    }

    /// Everything that is counted.
    pub fn counters(&self) -> Counters {
        Counters {
            queue: self.queue(),
            serving: self.serving,
            tokens: count(self.tokens.len()),
            expired: self.expired,
            swept: self.swept,
            completed: self.completed,
            abandoned: self.abandoned,
            state: self.course.state,
            last: self.last(),
            registered: count(self.hall.registered.len()),
        }
    }

    /// Q: how many places were given.
    pub(crate) fn queue(&self) -> Position {
        count(self.places.len())
    }

    /// Whether nobody has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty() && self.hall.registered.is_empty()
    }

    /// The place of this number.
    pub fn place(&self, position: Position) -> Option<&Place> {
        self.places.get(self.order_of(position)?)
    }

    pub(crate) fn place_mut(&mut self, position: Position) -> Option<&mut Place> {
        self.places.get_mut(self.order_of(position)?)
    }

    /// Has each place know its token, once both are there. None: one is of no place.
    pub fn join_tokens(&mut self) -> Option<()> {
        let owners: Vec<_> = self.tokens.iter().map(|token| token.position).collect();
        for (number, position) in (1..).zip(owners) {
            self.place_mut(position)?.token = number;
        }
        Some(())
    }

    /// The token of a place, if it has one.
    pub fn token_of(&self, place: &Place) -> Option<&Token> {
        self.tokens.get(index(place.token)?)
    }

    /// Whose token does not hold any more, however the visit ended.
    pub fn expired(&self, now: Seconds) -> impl Iterator<Item = RequestId> {
        let expired = self.tokens.iter().filter(move |token| token.expires < now);
        expired.filter_map(|token| self.place(token.position).map(|place| place.id))
    }

    /// The row of the serving log by which a place gets its turn: the smallest serving number that is not before it.
    pub(crate) fn row_of(&self, position: Position) -> Option<(i64, Row)> {
        self.rows.range(i64::from(position)..).next().map(|(serving, row)| (*serving, *row))
    }
}

/// Where in a shelf something of this number lies, which is counted from 1.
pub(crate) fn index(number: u32) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}

/// A length as a number. There are never more places than numbers.
pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
