//! Writes a usage record for every exchange that ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use journal::{Journal, PerThread};
use pipeline::{Exchange, OnFinish, Outcome, Room};

use crate::record::UsageRecord;

/// Writes a usage record for every exchange that ends, into the journal.
#[derive(Debug)]
pub struct Meter {
    writers: PerThread,
    lost: AtomicU64,
}

impl Meter {
    /// A meter that writes into `journal`, from each thread into segments of its own.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { writers: PerThread::new(journal), lost: AtomicU64::new(0) }
    }

    /// Whether a request that begins now can be counted when it ends. A gateway that bills refuses it if not.
    ///
    /// A worker asks once before it has traffic, so that its first request does not wait for a segment.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.writers.has_room()
    }

    /// How many exchanges ended without a record, because nobody asked [`Self::has_room`] or too many had begun.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl OnFinish for Meter {
    fn on_begin(&self) -> Room {
        if self.has_room() { Room::Enough } else { Room::None }
    }

    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        let record = UsageRecord::of(exchange, outcome);
        if self.writers.append(|to| record.encode(to)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
