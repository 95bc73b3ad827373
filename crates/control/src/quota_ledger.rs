//! What quotas consumed, in a journal of its own, so that a restart forgets nothing.

use std::collections::HashMap;
use std::sync::Arc;

use limits::Reading;
use metering::Ledger;
use parking_lot::Mutex;

/// Windows that began longer ago than any window lasts are of no use.
const LONGEST_WINDOW: u64 = 367 * 24 * 3600;

/// The ledger of quotas, and what it said when the process began.
pub(crate) struct QuotaLedger {
    pub(crate) ledger: Arc<Ledger>,
    remembered: Mutex<HashMap<(String, u64), i64>>,
}

impl QuotaLedger {
    /// Reads what earlier processes wrote down.
    pub(crate) fn open(ledger: Ledger) -> Result<Self, metering::LedgerError> {
        let mut remembered = HashMap::new();
        ledger.replay(|counter, window, n| *remembered.entry((counter.to_owned(), window)).or_insert(0) += n)?;
        Ok(Self { ledger: Arc::new(ledger), remembered: Mutex::new(remembered) })
    }

    /// Makes the ledger short again. Blocks.
    pub(crate) fn compact(&self, now_seconds: u64) {
        let is_open = |_: &str, window: u64| window.saturating_add(LONGEST_WINDOW) > now_seconds;
        if let Err(error) = self.ledger.compact(is_open) {
            tracing::warn!(%error, "the ledger of quotas could not be compacted");
        }
    }
}

impl limits::Ledger for QuotaLedger {
    fn consumed(&self, counter: &str, window_start: u64, n: u32) {
        if let Err(error) = self.ledger.consumed(counter, window_start, n) {
            tracing::error!(%error, "what a quota consumed could not be written down");
        }
    }

    fn given_back(&self, counter: &str, window_start: u64, n: u32) {
        if let Err(error) = self.ledger.given_back(counter, window_start, n) {
            tracing::error!(%error, "what a quota gave back could not be written down");
        }
    }

    fn remembered(&self, name: &str) -> Vec<Reading> {
        let remembered = self.remembered.lock();
        let mine = remembered.iter().filter(|((counter, _), _)| counter.starts_with(name));
        mine.map(|((counter, window_start), consumed)| Reading {
            counter: counter.clone(),
            window_start: *window_start,
            consumed: u64::try_from(*consumed).unwrap_or(0),
        })
        .collect()
    }
}
