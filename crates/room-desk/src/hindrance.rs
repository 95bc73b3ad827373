//! Why something could not be done with a room, as its operators are told.

use rooms::{NotKept, Trouble};

/// What kept something from being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// Others have the room for the moment.
    Others,
    /// What keeps rooms does not take it.
    Storage,
    /// Something else.
    Other,
}

impl Hindrance {
    /// What a trouble is, and what to do about it.
    pub fn of(trouble: &Trouble) -> (Self, &'static str) {
        match trouble {
            Trouble::NotKept(NotKept::Elsewhere) => (
                Self::Others,
                "Waiting rooms are not in this process at the moment. Try again in a few seconds; its log says why.",
            ),
            Trouble::NotKept(NotKept::NotOurTurn) => (
                Self::Others,
                "Another node changes waiting rooms at the moment, so nothing was changed. Try again in a second.",
            ),
            Trouble::NotKept(NotKept::Lost) => {
                (Self::Others, "Another node had the turn before this was written, so nothing was changed. Try again.")
            }
            Trouble::NotKept(NotKept::NoRoom) => (
                Self::Storage,
                "Nothing was changed: there is no room on the disk for what happens in waiting rooms. Make some.",
            ),
            Trouble::NotKept(NotKept::Failed) => (
                Self::Storage,
                "The disk failed to take it, so a restart may undo it. Look at the disk, and at the log.",
            ),
            Trouble::NotKept(NotKept::Away) => (
                Self::Storage,
                "Redis does not answer. Whether anything was changed is not known: look before you try again.",
            ),
            Trouble::NotJoined(_) | Trouble::NotLet(_) | Trouble::NoKeys(_) | Trouble::NoRandomness => {
                (Self::Other, "The room could not do it; the log says why.")
            }
        }
    }
}
