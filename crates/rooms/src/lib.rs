//! Waiting rooms that are kept: what happens in them is written down before anybody is told, and each start reads it again.
//!
//! ```text
//! KeptRoom ── Event ──▶ Log (a journal, one for all rooms) ──▶ Room::apply ──▶ answer, once the log is durable
//!                          │ read at a start, behind the pictures
//! picture of a room ◀──────┘ taken when the log is long, so that a start is short
//! ```
//!
//! [`Api`] answers what visitors and operators of "Virtual Waiting Room on AWS" ask, path for path. One process of a store
//! has the rooms at a time; one that takes over from it waits for a moment until they are let go. Or several nodes have them
//! together, and write one log by turns ([`Rooms::share`]).
//!
//! Deliberately not here: the arithmetic, which is `waiting_room`, and the sockets.

mod admission;
mod alarm;
mod announced;
mod authorizer;
mod caps;
mod contract;
mod cookies;
mod entering;
mod fairness;
mod gate;
mod inflow;
mod joining;
mod keys;
mod log;
pub mod lottery;
mod nodes;
mod presence;
mod proving;
pub mod refused;
mod room;
mod room_keys;
mod rooms;
mod settings;
mod shared;
mod sight;
mod states;
mod tuning;
mod visits;
mod waits;
mod watching;

#[cfg(test)]
mod tests;

pub use room_tickets::{AccessKey, AccessKeys, NoInvite, NoProof, NotMade, Promise, Reach, Without, Work};
pub use waiting_room::sensor::Ending as PassEnding;

pub use self::admission::{Admission, Arrival, Wait};
pub use self::announced::Announced;
pub use self::authorizer::{Denied, Sessions};
pub use self::caps::{Caps, SLOW};
pub use self::contract::{Api, Begun, Changed, Operation, Question, Side};
pub use self::cookies::Ticket;
pub use self::fairness::{Fairness, Lots};
pub use self::gate::Activation;
pub use self::joining::{Joiner, NotLet};
pub use self::keys::{NoKeys, Rotated};
pub use self::log::{Log, NotKept, Written};
pub use self::proving::WITHOUT_PROOF;
pub use self::room::{Granted, KeptRoom, Left, Taken, Trouble, Wish};
pub use self::rooms::{Rooms, Unusable, Whereabouts};
pub use self::settings::{Durability, Inlet, OpenId, Settings};
pub use self::sight::{Aside, Visitor};
pub use self::states::Timetable;
pub use self::visits::{Visit, VisitState};
