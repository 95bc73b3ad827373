//! The Admin API: what operators and their programs ask of one gateway, over HTTP/1.1 on a listener of its own.
//!
//! [`Admin`] answers, [`Listener`] brings requests to it. One file per resource says what may be asked; the work is in
//! [`partners`] and behind [`Node`]. Deliberately not here: the data path, which this crate never touches.

mod access;
mod admin;
mod alerts;
mod apps;
mod audit;
mod body;
mod certificate_rules;
mod certificates;
mod companies;
mod configuration;
mod contracts;
mod developers;
mod everywhere;
mod failure;
mod gateway;
mod health;
mod idempotency;
mod invites;
mod jobs;
mod key_changes;
mod keys;
mod metrics;
mod node;
mod operation;
mod page;
mod parts;
mod products;
mod room_keys;
mod room_visits;
mod rooms;
mod routes;
mod sessions;
mod statements;
mod status;
mod subscriptions;
mod table;
mod time;
mod tokens;
mod upgrade;
mod usage;
mod usage_series;
mod webhooks;

#[cfg(test)]
mod tester;

pub use admin_listener::{Changes, Listener, Transport};
pub use console::Console;
pub use secrets::{Origin, Token, TokenError};

pub use self::admin::{Admin, Storage};
pub use self::node::{
    Applied, Apply, Configuration, JournalStatus, ListenerStatus, Node, Readiness, Rebuilt, Refused, Serving, Status,
    TargetStatus, UpstreamStatus,
};
pub use self::routes::{Exposure, PROBLEMS};
