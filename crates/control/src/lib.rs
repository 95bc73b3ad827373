//! Use cases of a whole node: check, apply, publish, watch over, stop.
//!
//! Deliberately not here: how operators ask for them (the command line and the admin API), and how requests are served.

mod beside;
mod collector;
mod document;
mod jobs;
mod keeping;
mod node;
mod observing;
mod presence;
mod quota_ledger;
mod rehearsal;
mod signers;
mod vault;

pub use self::document::{Configuration, check, schema};
pub use self::keeping::{Keeping, NotAddedUp, now};
pub use self::node::{Expecting, Node, Phase, Published, StartError};
pub use self::rehearsal::{Keys, rehearse};
pub use self::vault::vault;
