//! What can happen in a room.

use std::sync::Arc;

use crate::{Beside, By, Counters, InviteId, JoinKey, Position, RequestId, Seconds, Seed, State, Tuned, Weighed};

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
        /// Where it is then.
        serving: i64,
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
        /// Who has the place.
        id: RequestId,
    },
    /// A visit came to its end.
    Ended {
        /// Whose.
        position: Position,
        /// How.
        ending: Ending,
        /// Who has the place.
        id: RequestId,
        /// When.
        at: Seconds,
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
        /// Where the serving number is then.
        serving: i64,
    },
    /// Everything began anew.
    Reset {
        /// When.
        at: Seconds,
    },
    /// Everything is as it was before it began anew; who came since is behind those.
    Restored {
        /// When.
        at: Seconds,
    },
    /// The room came to be open for those who gathered before, if anybody did.
    Opened {
        /// Who opened it.
        by: By,
        /// When.
        at: Seconds,
    },
    /// An operator set the inlet, or left it to the settings again.
    Tuned {
        /// Which.
        tuned: Option<Tuned>,
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
    /// What a draw will follow from is fixed, before anybody comes.
    Committed {
        /// The seed.
        seed: Seed,
    },
    /// Somebody came who draws lots for a place.
    Registered {
        /// Who.
        id: RequestId,
        /// By what the join is known, if it may be repeated.
        key: Option<JoinKey>,
        /// When.
        at: Seconds,
        /// By which lane.
        lane: Arc<str>,
        /// By which invite.
        invite: Option<InviteId>,
    },
    /// Who comes from now on draws no lot.
    HallClosed,
    /// Lots were drawn.
    Drawn {
        /// What they followed from beside the seed.
        public: Arc<str>,
        /// Whose each number is.
        lanes: Vec<Weighed>,
        /// When.
        at: Seconds,
    },
    /// Somebody took the next number of a lane.
    Placed {
        /// The number.
        position: Position,
        /// The lane whose number it is.
        of: Arc<str>,
        /// Who has it.
        id: RequestId,
        /// By what the join is known, if it may be repeated.
        key: Option<JoinKey>,
        /// When.
        at: Seconds,
        /// The lane by which they came.
        lane: Arc<str>,
        /// By which invite.
        invite: Option<InviteId>,
    },
    /// Those were passed over who were not there, and as many others get a turn instead.
    Skipped {
        /// Their places.
        positions: Arc<[Position]>,
        /// When.
        at: Seconds,
        /// What is noted of that in the serving log.
        noting: Noting,
        /// Where the serving number is then.
        serving: i64,
    },
    /// It was looked at what is counted, for others. Nothing changes.
    Measured {
        /// What was counted.
        counters: Counters,
        /// Visits that had not ended, and whose token held.
        active: u64,
        /// When.
        at: Seconds,
    },
    /// Something beside the line.
    Beside {
        /// What.
        what: Beside,
        /// When.
        at: Seconds,
    },
}

impl Event {
    /// When it happened, if that says anything.
    pub fn at(&self) -> Option<Seconds> {
        match self {
            Self::Issued { issued: at, .. }
            | Self::Joined { at, .. }
            | Self::Moved { at, .. }
            | Self::Ended { at, .. }
            | Self::Swept { at, .. }
            | Self::Skipped { at, .. }
            | Self::Reset { at }
            | Self::Restored { at }
            | Self::Opened { at, .. }
            | Self::StateChanged { at, .. }
            | Self::Tuned { at, .. }
            | Self::Registered { at, .. }
            | Self::Placed { at, .. }
            | Self::Drawn { at, .. }
            | Self::Measured { at, .. }
            | Self::Beside { at, .. } => Some(*at),
            Self::Committed { .. } | Self::HallClosed => None,
        }
    }
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
