//! What was used, by whom: a record per exchange in the journal, hourly sums in a store, and what quotas consumed.
//!
//! ```text
//! OnFinish ── Meter ──▶ journal ──▶ Aggregator ── rows and cursor, one transaction ──▶ UsageTotals
//! journal ── Aggregator::rebuild, where records are kept ──▶ UsageTotals
//! quota ── Ledger::consumed ──▶ its own journal ──▶ Ledger::replay, at start
//! ```
//!
//! Records are exact: one per exchange that was answered in full, whatever crashes, and each is in the sums once.
//! Deliberately not here: rates and bills, and what a quota allows.

mod aggregator;
mod event;
mod ledger;
mod meter;
mod rebuild;
mod record;
mod sums;

pub use self::aggregator::{AggregateError, Aggregator, Round};
pub use self::ledger::{Compacted, Ledger, LedgerError};
pub use self::meter::Meter;
pub use self::rebuild::Rebuilt;
pub use self::record::UsageRecord;
