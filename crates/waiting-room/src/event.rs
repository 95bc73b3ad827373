//! What can happen in a room.

use std::sync::Arc;

use crate::{By, JoinKey, Position, RequestId, Seconds, State};

/// Something that happened, with all that it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody took the last place.
    Joined {
        /// The place.
        position: Position,
        /// Who has it.
        id: RequestId,
        /// By what the join is known, if it may be repeated.
        key: Option<JoinKey>,
        /// When.
        at: Seconds,
    },
    /// The serving number was raised or lowered.
    Moved {
        /// By how much.
        by: i64,
        /// When.
        at: Seconds,
        /// What is noted of it in the serving log.
        noting: Noting,
        /// Who did it.
        cause: Cause,
    },
    /// Somebody took their turn.
    Issued {
        /// Whose.
        position: Position,
        /// Since when the token holds.
        issued: Seconds,
        /// Until when.
        expires: Seconds,
        /// Who says so.
        issuer: Arc<str>,
        /// The row of the serving log that the turn belongs to.
        row: Option<i64>,
    },
    /// A visit came to its end.
    Ended {
        /// Whose.
        position: Position,
        /// How.
        ending: Ending,
    },
    /// Turns were over that nobody took.
    Swept {
        /// All turns up to this one.
        up_to: Position,
        /// How many others get a turn instead.
        passed_on: u32,
        /// When.
        at: Seconds,
        /// What is noted of that in the serving log.
        noting: Noting,
    },
    /// Everything began anew.
    Reset {
        /// When.
        at: Seconds,
    },
    /// Everything is as it was before it began anew; who came since is behind those.
    Restored,
    /// The room came to be open for those who gathered before, if anybody did.
    Opened {
        /// Who opened it.
        by: By,
        /// When.
        at: Seconds,
    },
    /// The room came to be in another state, or in the same by somebody else.
    StateChanged {
        /// Which.
        state: State,
        /// Who set it.
        by: By,
        /// When.
        at: Seconds,
    },
}

/// What is noted in the serving log of a serving number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noting {
    /// Nothing: turns do not expire.
    Nothing,
    /// That it is reached now, and that nobody of it took their turn.
    Anew,
    /// That it is reached now; who took their turn did so.
    Renewed,
}

/// Who moves the serving number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An operator, or a program of one.
    Operator,
    /// The room's own inlet.
    Inlet,
}

/// How a visit came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The visitor did what they came for.
    Completed,
    /// The visitor went away.
    Abandoned,
}
