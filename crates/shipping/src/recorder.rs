//! Writes a record for every exchange that ends, on the shelf of a sink.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::logs::OnFull;
use pipeline::{Exchange, OnFinish, Outcome, Room};

use crate::plan::Plan;
use crate::record::encode;
use crate::shelf::Shelf;

/// Writes a record for every exchange that ends.
pub struct Recorder {
    shelf: Arc<Shelf>,
    plan: Arc<Plan>,
}

impl Recorder {
    /// Writes on this shelf what the plan wants to know.
    pub fn new(shelf: Arc<Shelf>, plan: Arc<Plan>) -> Self {
        Self { shelf, plan }
    }
}

impl OnFinish for Recorder {
    fn on_begin(&self) -> Room {
        // Asked in any case, because it makes the writer of this thread.
        if self.shelf.has_room() || self.plan.keep.on_full == OnFull::DropOldest { Room::Enough } else { Room::None }
    }

    fn on_finish(&self, exchange: &Exchange, outcome: &Outcome) {
        let written = self.shelf.writers.append(|to| encode(to, exchange, outcome, &self.plan.selection));
        let counts = &self.shelf.counts;
        let counter = if written.is_ok() { &counts.written } else { &counts.without_room };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
