//! Records of exchanges on their way to services that keep logs, which may be away for days.
//!
//! ```text
//! worker ── Recorder ──▶ journal, a record an exchange ──▶ packed, what waits long ──▶ batch ──▶ Outlet ──▶ sink
//!                         │ survives kill -9                │ a fifth of the room       └─ cursor, once it is taken
//! ```
//!
//! A record is in the journal before its answer is out, so that nothing is lost; a sink that is away costs disk and
//! nothing else. What was sent and not confirmed is sent again, with the same id.
//!
//! Deliberately not here: access logs in files and on terminals (`watch` and `telemetry`), and which sinks there are.

mod background;
mod backlog;
mod batch;
mod keep;
mod layout;
mod metrics;
mod outlet;
mod packed;
mod plan;
mod record;
mod recorder;
mod shelf;
mod ship;

pub use self::metrics::show;
pub use self::plan::Plan;
pub use self::recorder::Recorder;
pub use self::shelf::{Reading, Shelf};
pub use self::ship::Shipment;
