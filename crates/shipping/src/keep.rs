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
            let (summary, disk) = packing.finish(&self.shelf.packed, id)?;
            self.journal.remove(id)?;
            if let Some(segment) = self.segments.get_mut(&id) {
                segment.state = State::Packed;
                (segment.summary, segment.disk) = (summary, disk);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::logs::KeepLogs;
    use model::units::{Size, Span};
    use tempfile::TempDir;

    use super::*;
    use crate::shelf::Shelf;

    const HOUR: u64 = 3_600_000_000;

    /// A shelf with small segments.
    fn shelf(folder: &TempDir, keep: KeepLogs) -> Arc<Shelf> {
        Arc::new(Shelf::with_segments((32 * 1024, 4096), folder.path(), "test", keep, 7).unwrap())
    }

    fn of_bytes(max: u64, on_full: OnFull) -> KeepLogs {
        KeepLogs { max: Size::new(max), longest: None, on_full }
    }

    fn record(time: u64) -> Vec<u8> {
        let mixed = (0..12).flat_map(|word: u64| ((time + word).wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
        [1].into_iter().chain(time.to_be_bytes()).chain(mixed).collect()
    }

    /// Writes records of these times, at the pace at which segments are laid out.
    fn write(shelf: &Shelf, times: std::ops::Range<u64>) {
        for time in times {
            let begun = tokio::time::Instant::now();
            while shelf.writers.append(|to| to.extend_from_slice(&record(time))).is_err() {
                assert!(begun.elapsed() < Duration::from_secs(20), "there is never room");
                std::thread::yield_now();
            }
        }
    }

    /// The times of everything that waits, which is confirmed.
    fn drained(backlog: &mut Backlog) -> Vec<u64> {
        let mut times = Vec::new();
        loop {
            let batch = backlog.next(100).unwrap();
            if batch.parts.is_empty() {
                return times;
            }
            times.extend((0..batch.len()).map(|index| crate::record::time_of(batch.record(index).unwrap())));
            backlog.confirm(&batch).unwrap();
        }
    }

    #[test]
    fn everything_is_read_once_in_its_order_packed_or_not_and_goes_on_where_it_was_confirmed() {
        let folder = TempDir::new().unwrap();
        let shelf = shelf(&folder, KeepLogs::default());
        let mut backlog = Backlog::acquire(&shelf).unwrap().unwrap();
        assert!(Backlog::acquire(&shelf).unwrap().is_none(), "there is one at a time");
        write(&shelf, 1..3001);
        for _ in 0..3 {
            backlog.keep(1).unwrap();
        }
        assert!(backlog.segments.values().any(|segment| segment.state == State::Packed));

        let first = backlog.next(500).unwrap();
        backlog.confirm(&first).unwrap();
        let unconfirmed = backlog.next(500).unwrap();
        assert_eq!(crate::record::time_of(unconfirmed.record(0).unwrap()), 501);
        drop(backlog);
        let mut backlog = Backlog::acquire(&shelf).unwrap().unwrap();

        assert_eq!(shelf.reading(0).waiting, 2500);
        assert_eq!(drained(&mut backlog), (501..3001).collect::<Vec<_>>());
        assert_eq!(shelf.reading(0).waiting, 0);
        let packed = crate::packed::listed(&shelf.packed).unwrap();
        assert_eq!(packed, [], "what was taken is removed");
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_everything_else_goes_on() {
        let folder = TempDir::new().unwrap();
        let shelf = shelf(&folder, KeepLogs::default());
        let mut backlog = Backlog::acquire(&shelf).unwrap().unwrap();
        write(&shelf, 1..3001);
        for _ in 0..3 {
            backlog.keep(1).unwrap();
        }
        let mut packed = crate::packed::listed(&shelf.packed).unwrap();
        packed.sort_unstable();
        let [first, second, ..] = packed[..] else { panic!("{packed:?}") };
        let file = |(id, _)| shelf.packed.join(format!("{id}.packed"));
        let mut bytes = std::fs::read(file(first)).unwrap();
        bytes[40..].fill(0xff);
        std::fs::write(file(first), bytes).unwrap();
        let lost_first = backlog.segments[&first.0].summary.records;
        let lost_second = backlog.segments[&second.0].summary.records;

        // One is found when it is read, and one, of which nothing can be read, at the start.
        let batch = backlog.next(10).unwrap();
        assert_eq!(batch.len(), 10);
        drop(backlog);
        std::fs::write(file(second), b"packed").unwrap();
        let mut backlog = Backlog::acquire(&shelf).unwrap().unwrap();

        let kept = drained(&mut backlog);
        assert_eq!((kept.len() as u64, kept.last()), (3000 - lost_first - lost_second, Some(&3000)));
        let without_room = shelf.counts.without_room.load(Ordering::Relaxed);
        assert_eq!(shelf.reading(0).dropped - without_room, lost_first);
        for (id, _) in [first, second] {
            assert!(shelf.packed.join(format!("{id}.damaged")).exists());
        }
    }

    #[test]
    fn the_oldest_gives_way_and_is_counted() {
        let folder = TempDir::new().unwrap();
        let shelf = shelf(&folder, of_bytes(256 * 1024, OnFull::DropOldest));
        let mut backlog = Backlog::acquire(&shelf).unwrap().unwrap();

        for begin in (1..10_001).step_by(100) {
            write(&shelf, begin..begin + 100);
            backlog.keep(1).unwrap();
        }

        let kept = drained(&mut backlog);
        assert_eq!(kept.last(), Some(&10_000), "the latest stay");
        assert!(kept.is_sorted());
        let dropped = shelf.reading(0).dropped;
        assert!(dropped > 0);
        // A record that finds no room is counted, and written again by this test.
        let without_room = shelf.counts.without_room.load(Ordering::Relaxed);
        assert_eq!(dropped - without_room + kept.len() as u64, 10_000);
    }

    #[test]
    fn nothing_begins_while_there_is_no_room_until_the_sink_takes_what_waits() {
        let folder = TempDir::new().unwrap();
        let shelf = shelf(&folder, of_bytes(256 * 1024, OnFull::Refuse));
        let mut backlog = Backlog::acquire(&shelf).unwrap().unwrap();
        let mut written = 0;
        let begun = tokio::time::Instant::now();
        while !shelf.is_full.load(Ordering::Relaxed) {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is never full");
            if shelf.has_room() {
                written += 1;
                write(&shelf, written..written + 1);
            }
            if written % 100 == 0 || !shelf.has_room() {
                backlog.keep(1).unwrap();
            }
        }
        assert!(!shelf.has_room());

        assert_eq!(drained(&mut backlog).len() as u64, written, "nothing was lost");

        backlog.keep(1).unwrap();
        let begun = tokio::time::Instant::now();
        while !shelf.has_room() {
            assert!(begun.elapsed() < Duration::from_secs(20), "there is never room again");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_older_than_it_may_become_is_dropped() {
        let folder = TempDir::new().unwrap();
        let keep = KeepLogs { longest: Some(Span::seconds(3600)), ..KeepLogs::default() };
        let shelf = shelf(&folder, keep);
        let mut backlog = Backlog::acquire(&shelf).unwrap().unwrap();
        write(&shelf, 1..1001);
        write(&shelf, 2 * HOUR..2 * HOUR + 1000);

        backlog.keep(2 * HOUR).unwrap();

        let kept = drained(&mut backlog);
        assert_eq!(kept.last(), Some(&(2 * HOUR + 999)));
        assert!(shelf.reading(0).dropped > 500 && kept.len() >= 1000, "{}", kept.len());
    }
}
