//! Keeping a shelf small: what waits is packed, and what there is no room for gives way.

use std::sync::atomic::Ordering;

use journal::{Next, SegmentId};
use model::logs::OnFull;
use tracing::warn;

use crate::backlog::{Backlog, State, Trouble};
use crate::packed::Packing;

impl Backlog {
    /// Packs what waits, and lets go of what is too old or too much. To be called several times a second.
    pub(crate) fn keep(&mut self, now: u64) -> Result<(), Trouble> {
        self.look()?;
        self.pack()?;
        let keep = *self.shelf.keep.lock();
        if let Some(longest) = keep.longest {
            let longest = u64::try_from(longest.duration().as_micros()).unwrap_or(u64::MAX);
            let is_old = |newest: u64| newest > 0 && newest < now.saturating_sub(longest);
            while let Some(id) = self.oldest_complete().filter(|(_, newest)| is_old(*newest)).map(|(id, _)| id) {
                self.let_go(id, "too old")?;
            }
        }
        let refused = self.journal.state().refused_segments;
        let is_refused = std::mem::replace(&mut self.refused_before, refused) != refused;
        match keep.on_full {
            OnFull::Refuse => self.shelf.is_full.store(self.disk() > keep.max.bytes(), Ordering::Relaxed),
            OnFull::DropOldest => {
                self.shelf.is_full.store(false, Ordering::Relaxed);
                // The disk may be full before `max` is reached.
                let mut gives_way = is_refused;
                while gives_way || self.disk() > keep.max.bytes() {
                    gives_way = false;
                    let Some((id, _)) = self.oldest_complete() else { break };
                    self.let_go(id, "no room")?;
                }
            }
        }
        Ok(())
    }

    /// Packs complete segments, but for the few that will be sent next if the sink is well.
    fn pack(&mut self) -> Result<(), Trouble> {
        let complete = self.segments.iter().filter(|(_, segment)| segment.state == State::Complete);
        let ids: Vec<SegmentId> = complete.map(|(id, _)| *id).collect();
        for id in ids.into_iter().skip(LEFT_ALONE).take(AT_ONCE) {
            let Some(mut reader) = self.journal.read(id, 0)? else { continue };
            let mut packing = Packing::default();
            while let Next::Record(record) = reader.next()? {
                packing.add(record);
            }
            let summary = packing.finish(&self.shelf.folder, id)?;
            self.journal.remove(id)?;
            if let Some(segment) = self.segments.get_mut(&id) {
                segment.state = State::Packed;
                segment.summary = summary;
            }
        }
        Ok(())
    }

    /// The oldest segment that nobody writes, and the time of its latest record.
    fn oldest_complete(&self) -> Option<(SegmentId, u64)> {
        let mut complete = self.segments.iter().filter(|(_, segment)| segment.state != State::Growing);
        complete.next().map(|(id, segment)| (*id, segment.summary.newest))
    }

    /// Drops what was not read of a segment. What was read is on its way, and kept in memory until it is taken.
    fn let_go(&mut self, id: SegmentId, why: &'static str) -> Result<(), Trouble> {
        let lost = self.segments.get(&id).map_or(0, |segment| segment.summary.records.saturating_sub(segment.read));
        self.remove(id)?;
        if lost > 0 {
            self.shelf.counts.dropped.fetch_add(lost, Ordering::Relaxed);
            warn!(sink = &*self.shelf.name, records = lost, why, "log records were dropped before the sink took them");
        }
        Ok(())
    }

    fn disk(&self) -> u64 {
        self.segments.values().map(|segment| segment.disk).sum()
    }
}

/// So many complete segments wait unpacked.
const LEFT_ALONE: usize = 2;
/// So many are packed at a time; between them others may read.
const AT_ONCE: usize = 4;
