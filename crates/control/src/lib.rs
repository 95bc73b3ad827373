//! Use cases of a whole node: check, apply, publish, watch over, stop.
//!
//! Deliberately not here: how operators ask for them (the command line and the admin API), and how requests are served.

mod accounts;
mod beside;
mod clock;
mod collector;
mod document;
mod events;
mod jobs;
mod keeping;
mod kept_usage;
mod node;
mod observing;
mod presence;
mod quota_ledger;
mod receiver;
mod rehearsal;
mod signers;
mod start_error;
mod telling;
mod vault;
mod webhooks;

pub use self::accounts::{AccountError, Accounts, Order, Recount};
pub use self::clock::now;
pub use self::document::{Configuration, check, schema};
pub use self::keeping::{Keeping, NotAddedUp, NotRebuilt};
pub use self::node::{Expecting, Node, Phase, Published};
pub use self::rehearsal::{Keys, rehearse};
pub use self::start_error::StartError;
pub use self::vault::vault;
pub use self::webhooks::{Told, WebhookError, Webhooks};
