//! Use cases of a whole node: check, apply, publish, watch over, stop.
//!
//! Deliberately not here: how operators ask for them (the command line and the admin API), and how requests are served.

mod accounts;
mod alerting;
mod authorities;
mod backends;
mod beside;
mod clock;
mod collector;
mod cron;
mod document;
mod doing;
mod duty;
mod events;
mod everywhere;
mod hiding;
mod jobs;
mod keeping;
mod kept_usage;
mod looking;
mod migration;
mod node;
mod notifying;
mod observing;
mod presence;
mod quota_ledger;
mod receivers;
mod rehearsal;
mod room_events;
mod room_operators;
mod rooms;
mod sessions;
mod signers;
mod start_error;
mod tasks;
mod telling;
mod webhooks;

pub use self::accounts::{AccountError, Accounts, LateUsage, Order, Recount};
pub use self::alerting::{AlertError, Alerts, ReceiverState};
pub use self::authorities::{Authorities, NoAuthority, NotIssued, NotRenewed, Signing, Wish};
pub use self::backends::{postgres, vault};
pub use self::clock::now;
pub use self::cron::{JobError, Jobs};
pub use self::document::{Configuration, check, schema};
pub use self::everywhere::Everywhere;
pub use self::hiding::hide;
pub use self::keeping::{Keeping, NotAddedUp, NotRebuilt};
pub use self::migration::{Moved, NotMigrated, migrate, move_in};
pub use self::node::{Expecting, Node, Phase, Published};
pub use self::rehearsal::{Keys, rehearse};
pub use self::room_operators::RoomOperators;
pub use self::rooms::Rooms;
pub use self::start_error::StartError;
pub use self::webhooks::{Told, WebhookError, Webhooks};
pub use snapshot::Checked;
