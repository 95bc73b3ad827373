//! What operators write: the document, its units, and how a file becomes one.
//!
//! A document may be wrong in what it says; what serves traffic is compiled from it elsewhere.

pub mod alerts;
pub mod api;
pub mod authorities;
pub mod diff;
pub mod document;
pub mod fmt;
pub mod formats;
pub mod jobs;
pub mod keys;
pub mod limits;
pub mod listener;
pub mod logs;
pub mod money;
pub mod named;
pub mod plan;
pub mod read;
pub mod requests;
pub mod room_events;
pub mod rooms;
pub mod schema;
pub mod secret;
pub mod share;
pub mod units;
pub mod upstream;
pub mod usage;
pub mod webhooks;

pub use self::document::Document;
