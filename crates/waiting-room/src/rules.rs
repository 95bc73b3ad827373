//! What a room's operator decides.

use crate::{Presence, Schedule};

/// What decisions depend on beside the room itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether and when turns are over that nobody takes.
    pub expiry: Option<Expiry>,
    /// Whether accidents of the original are repeated.
    pub compatibility: Compatibility,
    /// When the room opens and closes.
    pub schedule: Schedule,
    /// When somebody who waits counts as absent, if anybody does.
    pub presence: Option<Presence>,
}

/// When turns are over that nobody takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// For how many seconds a turn can be taken.
    pub period: u32,
    /// What becomes of it then.
    pub pass_on: PassOn,
}

/// What becomes of a turn that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PassOn {
    /// It is lost, until an operator raises the serving number.
    #[default]
    Lost,
    /// Somebody further behind gets it.
    ToTheNext,
}

/// Whether accidents of the original are repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// What it promises, also where it breaks the promise itself.
    #[default]
    Mended,
    /// What it does, wherever a client can tell.
    Strict,
}
