//! What waiting rooms give out and know again: tickets of places, codes, invites, challenges of work, and keys of scripts.
//!
//! Deliberately not here: what any of it opens.

mod access_keys;
mod invites;
mod proof;
mod ticket;

pub use self::access_keys::{AccessKey, AccessKeys, NotMade, Reach};
pub use self::invites::{Invited, Invites, NoInvite, Promise};
pub use self::proof::{NoProof, Proofs, SCRIPT, Without, Work, solved};
pub use self::ticket::Tickets;
