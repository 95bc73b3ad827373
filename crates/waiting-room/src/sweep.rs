//! When turns are over, and what becomes of those that nobody took.

use crate::decide::noting;
use crate::{Compatibility, Event, Expiry, PassOn, Place, Position, RequestId, Room, Rules, Seconds, State};

/// How a turn stands that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It can be taken, for so many more seconds.
    Open(u32),
    /// It is over.
    Over,
}

impl Room {
    /// How the turn of a visitor stands. None: turns do not expire. An error: there is no place, or the turn has not come.
    pub fn turn_of(&self, id: RequestId, now: Seconds, rules: &Rules) -> Result<Option<Turn>, crate::Refusal> {
        if rules.expiry.is_none() && rules.presence.is_none() {
            return Ok(None);
        }
        let (position, place) = self.find(id).ok_or_else(|| self.without_place(id))?;
        self.served(position)?;
        Ok(Some(self.turn(position, &place, now, rules)))
    }

    /// How the turn of a place stands that is served: it begins when its holder is there and the serving number is reached.
    pub(crate) fn turn(&self, position: Position, place: &Place, now: Seconds, rules: &Rules) -> Turn {
        if let Some(turn) = self.grace_of(place, now, rules) {
            return turn;
        }
        let Some(Expiry { period, .. }) = rules.expiry else { return Turn::Open(u32::MAX) };
        if self.state() == State::PassingEverybody {
            return Turn::Open(period);
        }
        if position <= self.line.swept {
            return Turn::Over;
        }
        // Whose turn came while turns did not expire has one without an end.
        let Some((_, row)) = self.line.row_of(position) else { return Turn::Open(period) };
        let elapsed = self.elapsed(place.entered.max(row.issued), now);
        if elapsed > period { Turn::Over } else { Turn::Open(period - elapsed) }
    }

    /// The next thing that is due because turns are over. To be asked again, after it happened, until nothing is.
    pub fn sweep(&self, now: Seconds, rules: &Rules) -> Option<Event> {
        let expiry = rules.expiry?;
        let swept = self.line.swept;
        let (serving, row) = self.line.row_of(swept.checked_add(1)?)?;
        let reached = Position::try_from(serving).unwrap_or(Position::MAX);
        // The original looks at the place of exactly this number, and waits for it if it must for ever.
        let last = match rules.compatibility {
            Compatibility::Strict if self.line.lanes.is_empty() => reached,
            Compatibility::Strict | Compatibility::Mended => self.line.last_up_to(reached),
        };
        if last <= swept {
            // Nobody takes a number any more that others have passed.
            let is_void = self.line.last() > reached;
            let (passed_on, noting, serving) = (0, noting(rules), self.line.serving);
            return is_void.then_some(Event::Swept { up_to: reached, passed_on, at: now, noting, serving });
        }
        let began = self.line.place(last)?.entered.max(row.issued);
        let elapsed = self.elapsed(began, now);
        let is_over = match rules.compatibility {
            Compatibility::Strict => elapsed >= expiry.period,
            Compatibility::Mended => elapsed > expiry.period,
        };
        if !is_over {
            return None;
        }
        let unused = match rules.compatibility {
            Compatibility::Strict => (last - swept).saturating_sub(row.served),
            Compatibility::Mended => self.unused(swept, last),
        };
        let passed_on = match expiry.pass_on {
            PassOn::Lost => 0,
            PassOn::ToTheNext => unused,
        };
        let serving = self.line.ahead(self.line.serving, passed_on.into());
        Some(Event::Swept { up_to: last, passed_on, at: now, noting: noting(rules), serving })
    }

    /// How many turns between two places nobody took.
    pub(crate) fn unused(&self, after: Position, last: Position) -> u32 {
        let between = self.line.between(after, last);
        crate::line::count(between.filter(|place| !place.has_token() && place.skipped_at().is_none()).count())
    }
}
