//! What has a browser compute something before somebody joins, and leads on by itself.

use std::sync::LazyLock;

use room_tickets::{SCRIPT, Without, Work};

/// The parameter of an address by which somebody joins without a proof of work.
pub const WITHOUT_PROOF: &str = "room-join";

/// What a page shows of the work that it has a browser do: the proof is to be in a cookie of this name.
pub(crate) fn shown<'a>(challenge: &'a str, work: Work, cookie: &'a str) -> waiting_page::Work<'a> {
    let without = match work.without {
        Without::SlowLane => Some(SLOWER),
        Without::Refused => None,
    };
    waiting_page::Work { challenge, difficulty: work.difficulty, cookie, script: &JOINS, without }
}

/// What stands in the query of somebody who joins by the slow lane.
const SLOWER: &str = "room-join=slow-lane";

static JOINS: LazyLock<String> = LazyLock::new(|| format!("{SCRIPT}{LEADS_ON}"));

/// Keeps the proof for a moment, and loads the page again, which takes it. Where that cannot be done it says so.
const LEADS_ON: &str = include_str!("proving.js");
