//! What becomes of what is asked for. Nothing is changed here: an answer may be an event that would have to happen first.

use std::sync::Arc;

use crate::event::{Cause, Noting};
use crate::room::UNDOABLE;
use crate::sweep::Turn;
use crate::{Compatibility, Ending, Entry, Event, JoinKey, Position, RequestId, Room, Rules, Seconds, State, Token};

/// What becomes of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It is the same as an earlier one, whose id this is.
    Known(RequestId),
    /// It gets a place by this event.
    New(Event),
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJoined {
    /// All numbers are given.
    #[error("the room has given all numbers that there are")]
    Full,
    /// The id is somebody else's: another one has to be made.
    #[error("the id is somebody else's")]
    IdTaken,
    /// Nothing has begun.
    #[error("the room has not opened yet")]
    NotYet,
    /// It is over.
    #[error("the room is closed")]
    Over,
    /// There is no such lane.
    #[error("there is no lane of this name")]
    NoLane,
    /// As many came by the lane as may.
    #[error("the lane is full")]
    LaneFull,
    /// The invite was used as often as it can be.
    #[error("the invite is used up")]
    InviteUsed,
    /// The invite was taken back.
    #[error("the invite was taken back")]
    InviteRevoked,
}

/// What becomes of a turn that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuing {
    /// It was taken before, and this is its token.
    Known(Token),
    /// It is taken by this event.
    New(Event),
}

/// Why somebody has no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no place of this id.
    Unknown,
    /// The turn has not come.
    NotServed,
    /// The turn is over.
    Expired,
    /// It was taken, and the visit has ended.
    Ended,
    /// The room is closed, and no turn comes any more.
    Closed,
}

/// Why a visit cannot end: there is no token, or it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl Room {
    /// Joins somebody whose id this would be.
    pub fn join(&self, id: RequestId, key: Option<JoinKey>, at: Seconds) -> Result<Joining, NotJoined> {
        self.join_by(id, key, at, &Entry::default())
    }

    /// Sees to it that anybody can join at all.
    pub(crate) fn expect_joins(&self) -> Result<(), NotJoined> {
        match self.state() {
            State::Idle => Err(NotJoined::NotYet),
            State::Closed => Err(NotJoined::Over),
            State::PreQueue | State::Open | State::Paused | State::PassingEverybody => Ok(()),
        }
    }

    /// Why somebody has no turn who has no place.
    pub(crate) fn without_place(&self, id: RequestId) -> Refusal {
        if self.registered(id).is_some() { Refusal::NotServed } else { Refusal::Unknown }
    }

    /// Moves the serving number. None: nothing would change.
    pub fn move_by(&self, by: i64, at: Seconds, cause: Cause, rules: &Rules) -> Option<Event> {
        // The original takes it for an increment, and so begins the turns of those served last anew.
        if by == 0 && rules.compatibility == Compatibility::Mended && cause == Cause::Operator {
            return None;
        }
        let serving = self.line.ahead(self.line.serving, by);
        Some(Event::Moved { by, at, noting: noting(rules), cause, serving })
    }

    /// By how much the serving number moves when somebody moves it by hand: it stops at 0. Below, there is nobody to keep from
    /// coming in, and who raises it later would have to make up for that first.
    pub fn within_reach(&self, by: i64) -> i64 {
        by.max(self.line.serving.max(0).saturating_neg())
    }

    /// Has a visitor take their turn: the token holds for so many seconds.
    pub fn issue(
        &self,
        id: RequestId,
        now: Seconds,
        token: (&Arc<str>, u32),
        rules: &Rules,
    ) -> Result<Issuing, Refusal> {
        let (position, place) = self.find(id).ok_or_else(|| self.without_place(id))?;
        let known = self.line.token_of(&place);
        match (known, rules.compatibility) {
            (None, _) => self.served(position)?,
            (Some(_), Compatibility::Strict) if i64::from(position) > self.line.serving => {
                return Err(Refusal::NotServed);
            }
            (Some(_), Compatibility::Strict | Compatibility::Mended) => {}
        }
        if let Some(token) = known {
            return if token.ending.is_some() { Err(Refusal::Ended) } else { Ok(Issuing::Known(*token)) };
        }
        if self.turn(position, &place, now, rules) == Turn::Over {
            return Err(Refusal::Expired);
        }
        let (issuer, validity) = token;
        let row = rules.expiry.and_then(|_| self.line.row_of(position)).map(|(serving, _)| serving);
        Ok(Issuing::New(Event::Issued {
            position,
            issued: now,
            expires: now.saturating_add(validity),
            issuer: issuer.clone(),
            row,
            id,
        }))
    }

    /// The token of a visitor, if there is one.
    pub fn token(&self, id: RequestId) -> Option<(Position, Token)> {
        let (position, place) = self.find(id)?;
        Some((position, *self.line.token_of(&place)?))
    }

    /// Who issued a token.
    pub fn issuer(&self, token: &Token) -> Option<&Arc<str>> {
        self.line.issuers.get(usize::try_from(token.issuer).ok()?)
    }

    /// Ends a visit.
    pub fn end(&self, id: RequestId, ending: Ending, at: Seconds) -> Result<Event, Ended> {
        let (position, token) = self.token(id).ok_or(Ended)?;
        if token.ending.is_some() { Err(Ended) } else { Ok(Event::Ended { position, ending, id, at }) }
    }

    /// Looks at what is counted, for others.
    pub fn measure(&self, at: Seconds) -> Event {
        Event::Measured { counters: self.counters(), active: self.active(at), at }
    }

    /// Begins everything anew.
    pub fn reset(&self, at: Seconds) -> Event {
        Event::Reset { at }
    }

    /// Takes a reset back, as long as that can be done.
    pub fn restore(&self, now: Seconds) -> Option<Event> {
        let before = self.before()?;
        (now.saturating_sub(before.reset) < UNDOABLE).then_some(Event::Restored { at: now })
    }
}

/// What is noted in the serving log when the serving number moves.
pub(crate) fn noting(rules: &Rules) -> Noting {
    match (rules.expiry, rules.compatibility) {
        (None, _) => Noting::Nothing,
        (Some(_), Compatibility::Mended) => Noting::Renewed,
        (Some(_), Compatibility::Strict) => Noting::Anew,
    }
}
