//! Whose turn went to somebody else. It is counted once, however often the serving number comes and goes, and not at all if
//! it is taken after all: so that everybody who came waits, was let in, or has been passed over, and nobody is two of that.

use crate::{Line, Place, Position};

impl Line {
    /// Whether somebody else has the turn of a place, and its holder has none.
    pub fn is_passed_over(&self, position: Position, place: &Place) -> bool {
        let is_within = |(after, up_to): &(Position, Position)| *after < position && position <= *up_to;
        !place.has_token() && (place.skipped_at().is_some() || self.passed.iter().any(is_within))
    }

    /// Others have the turns between two numbers that nobody took.
    pub(crate) fn pass_on(&mut self, after: Position, up_to: Position) {
        match self.passed.last_mut() {
            Some((_, last)) if *last == after => *last = up_to,
            _ => self.passed.push((after, up_to)),
        }
    }
}
