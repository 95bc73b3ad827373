//! What a document says about the fairness of a waiting room: checked, and compiled.

use std::sync::Arc;

use model::rooms::{RoomLottery, RoomWithoutWork, RoomWork, WaitingRoom};
use problem::Pointer;
use rooms::{Announced, Caps, Fairness, Lots, SLOW, Without, Work};
use waiting_room::{Lane, LaneKind, Lanes};

use super::announcers;

/// Says what is wrong with it.
pub(super) fn check(room: &WaitingRoom, at: &Pointer, wrong: &mut impl FnMut(&Pointer, &str)) {
    for (name, lane) in &room.lanes {
        let at = at.at("lanes").at(name);
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if name.is_empty() || name.len() > LONGEST || !is_name {
            wrong(&at, "is no name of a lane: letters, digits, `-` and `_`, 32 at most");
        }
        if name == SLOW {
            wrong(&at, "is the lane of `caps` and `proof_of_work`; call yours otherwise");
        }
        if lane.share.percent() == 0 {
            wrong(&at.at("share"), "is nothing, so that nobody's turn would ever come; write at least `1%`");
        }
    }
    if room.lanes.len() > MOST {
        wrong(&at.at("lanes"), "are more than 16");
    }
    if let Some(caps) = &room.caps {
        let at = at.at("caps");
        for (member, share) in
            [("network", caps.network), ("wide_network", caps.wide_network), ("slow_lane", caps.slow_lane)]
        {
            if share.percent() == 0 {
                wrong(&at.at(member), "is nothing; write at least `1%`");
            }
        }
        if caps.wide_network < caps.network {
            wrong(&at.at("wide_network"), "is less than `network`, of which it is a part");
        }
        if let Some(asn) = &caps.asn {
            let at = at.at("asn");
            if asn.share.percent() == 0 {
                wrong(&at.at("share"), "is nothing; write at least `1%`");
            }
            if let Err(error) = announcers::read(&asn.file) {
                wrong(&at.at("file"), &format!("{}: {error}", asn.file.display()));
            }
        }
    }
    let of_lanes: u32 = room.lanes.values().map(|lane| u32::from(lane.share.percent())).sum();
    if of_lanes + u32::from(slow_share(room).unwrap_or(0)) >= 100 {
        wrong(
            &at.at("lanes"),
            "leave no turns for everybody: their shares, with that of the slow lane, are 100% or more",
        );
    }
    if let Some(work) = &room.proof_of_work {
        let at = at.at("proof_of_work");
        if !(1..=32).contains(&work.difficulty) {
            wrong(&at.at("difficulty"), "is not between 1 and 32");
        }
        if !(10..=3600).contains(&work.valid.duration().as_secs()) {
            wrong(&at.at("valid"), "is not between ten seconds and an hour");
        }
    }
}

/// What it means.
pub(super) fn compiled(room: &WaitingRoom, announced: Option<Announced>) -> Fairness {
    let lots = |lottery: &RoomLottery| Lots { waits_for: lottery.waits_for.as_deref().map(Into::into) };
    let preferred = room.lanes.iter().map(|(name, lane)| Lane {
        name: name.as_str().into(),
        weight: lane.share.percent(),
        quota: lane.quota,
        kind: LaneKind::Preferred,
    });
    let slow = slow_share(room).map(|weight| Lane { name: SLOW.into(), weight, quota: None, kind: LaneKind::Slow });
    let lanes: Vec<_> = preferred.chain(slow).collect();
    Fairness {
        lottery: room.lottery.as_ref().map(lots),
        lanes: Arc::new(if lanes.is_empty() { Lanes::default() } else { Lanes::of(lanes) }),
        caps: room.caps.as_ref().map(|caps| Caps {
            near: caps.network.percent().into(),
            wide: caps.wide_network.percent().into(),
            announced: caps.asn.as_ref().map(|asn| asn.share.percent().into()),
            allowance: caps.allowance,
        }),
        announced,
        work: room.proof_of_work.as_ref().map(|work| Work {
            difficulty: work.difficulty,
            valid: u32::try_from(work.valid.duration().as_secs()).unwrap_or(u32::MAX),
            without: match work.without {
                RoomWithoutWork::SlowLane => Without::SlowLane,
                RoomWithoutWork::Refused => Without::Refused,
            },
        }),
    }
}

/// The share of the slow lane, if there is one.
fn slow_share(room: &WaitingRoom) -> Option<u8> {
    let of_work = |work: &RoomWork| work.without == RoomWithoutWork::SlowLane;
    match (&room.caps, room.proof_of_work.as_ref().is_some_and(of_work)) {
        (Some(caps), _) => Some(caps.slow_lane.percent()),
        (None, true) => Some(SLOW_SHARE),
        (None, false) => None,
    }
}

/// The slow lane's share where nothing says it, in per cent.
const SLOW_SHARE: u8 = 5;
/// Characters of a lane's name.
const LONGEST: usize = 32;
/// Lanes of a room.
const MOST: usize = 16;
