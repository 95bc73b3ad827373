//! What those are told who cannot join with what they have.

use http::StatusCode;
use problem::{Problem, ProblemKind};
use waiting_room::NotJoined;

use crate::{NoInvite, NotLet, Trouble};

/// The invite is none, has expired, or is used up.
pub static INVITE_REFUSED: ProblemKind = ProblemKind {
    code: "waiting-room-invite-refused",
    status: StatusCode::FORBIDDEN,
    title: "The invite does not open this waiting room",
};

/// As many came by the lane as may.
pub static LANE_FULL: ProblemKind = ProblemKind {
    code: "waiting-room-lane-full",
    status: StatusCode::CONFLICT,
    title: "As many as may have come by the lane of this invite",
};

/// There is no proof of work, or it is none.
pub static PROOF_REFUSED: ProblemKind = ProblemKind {
    code: "waiting-room-proof-refused",
    status: StatusCode::FORBIDDEN,
    title: "The waiting room asks for a proof of work",
};

/// What a visitor is told of a trouble that is theirs, if it is.
pub fn told(trouble: &Trouble) -> Option<Problem> {
    let without = "Join without it to get a place in everybody's line.";
    Some(match trouble {
        Trouble::NotLet(NotLet::NoInvite(why @ (NoInvite::Unknown | NoInvite::Expired))) => {
            Problem::new(&INVITE_REFUSED).detail(format!("{}. {without}", sentence(why)))
        }
        Trouble::NotJoined(NotJoined::InviteUsed) => {
            Problem::new(&INVITE_REFUSED).detail(format!("It was used as often as it can be. {without}"))
        }
        Trouble::NotJoined(NotJoined::InviteRevoked) => {
            Problem::new(&INVITE_REFUSED).detail(format!("It was taken back. {without}"))
        }
        Trouble::NotJoined(NotJoined::NoLane) => {
            Problem::new(&INVITE_REFUSED).detail(format!("The room no longer has the lane that it is for. {without}"))
        }
        Trouble::NotJoined(NotJoined::LaneFull) => Problem::new(&LANE_FULL).detail(without),
        Trouble::NotLet(why @ (NotLet::NoProof(_) | NotLet::ProofNeeded)) => {
            let how = "Ask the room's public API for a `challenge`, and join with its solution as `proof`.";
            Problem::new(&PROOF_REFUSED).detail(format!("{}. {how}", sentence(why)))
        }
        Trouble::NotJoined(NotJoined::Full | NotJoined::IdTaken | NotJoined::NotYet | NotJoined::Over)
        | Trouble::NotKept(_)
        | Trouble::NoKeys(_)
        | Trouble::NoRandomness => return None,
    })
}

/// With a capital letter.
fn sentence(why: &impl std::fmt::Display) -> String {
    let why = why.to_string();
    let mut letters = why.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
