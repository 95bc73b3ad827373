//! A waiting room's arithmetic: who has which place, whose turn it is, and what becomes of turns that nobody takes.
//!
//! ```text
//! question ──▶ Room::join, issue, move_by, ... ──▶ Event ──▶ a log, which makes it durable ──▶ Room::apply
//!                    (looks, changes nothing)                            (changes, decides nothing)
//! ```
//!
//! A room changes by [`Event`]s alone, and an event says all that it changes: whoever applies the events of a log in order,
//! to a room that is empty or as it was at some version, has the room again, whatever the settings are by then.
//!
//! Deliberately not here: the clock (the time is a parameter), chance (ids are given), files, and what is said over HTTP.

mod adaptive;
mod beside;
mod decide;
mod event;
mod forecast;
mod hall;
mod history;
mod ids;
mod index;
mod inlet;
mod lanes;
mod line;
pub mod lottery;
mod numbers;
mod origins;
mod passed;
mod room;
mod rules;
pub mod sensor;
mod shares;
mod shelf;
mod skip;
mod state;
mod sweep;
mod tuning;

#[cfg(test)]
mod tests;

pub use self::adaptive::{Adaptive, Signals, Steering, Turns};
pub use self::beside::Beside;
pub use self::decide::{Ended, Issuing, Joining, NotJoined, Refusal};
pub use self::event::{Cause, Ending, Event, Noting};
pub use self::forecast::{CONFIDENCE, Forecast, Interval, Record};
pub use self::hall::{Draft, Drawn, Hall, Lot, Registered, Unfair, Weighed};
pub use self::history::{History, Sample};
pub use self::ids::{FreshIds, JoinKey, RequestId};
pub use self::inlet::{DIFFERENT, MaxSize, Notice, Periodic};
pub use self::lanes::{Entry, HUNDRED, Invite, InviteId, Lane, LaneKind, Lanes, Lottery};
pub use self::line::{Counters, Keyed, Line, Place, Row, Token};
pub use self::lottery::{Seed, Tag};
pub use self::numbers::{EVERYBODY, LaneCounters, LaneLine, Taken};
pub use self::origins::{COUNTED, Origins};
pub use self::room::{Before, Room, UNDOABLE};
pub use self::rules::{Compatibility, Expiry, PassOn, Rules};
pub use self::shares::Shares;
pub use self::shelf::Shelf;
pub use self::skip::{Behind, Presence};
pub use self::state::{By, Course, Schedule, State};
pub use self::sweep::Turn;
pub use self::tuning::Tuned;

/// A place in the line, counted from 1.
pub type Position = u32;

/// A moment, in seconds since 1970.
pub type Seconds = u32;
