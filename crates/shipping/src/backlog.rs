//! What waits on a sink's shelf: segments of the journal in their order, and how far each was taken.
//!
//! One process at a time is its consumer: it reads, packs and removes. What it has confirmed stands in a file, a line for
//! each segment of which a part was taken; after a crash that file may be a little old, and then records come twice.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use journal::{Consumer, End, Journal, Next, SegmentId, SegmentReader};
use tracing::{error, warn};

use crate::batch::{Batch, Part};
use crate::packed::{self, Summary, Unpacked};
use crate::shelf::Shelf;

/// Why the disk gave trouble.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error("a file of records cannot be used: {0}")]
    File(#[from] io::Error),
}

/// What waits on a shelf, for its only consumer.
pub(crate) struct Backlog {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) segments: BTreeMap<SegmentId, Segment>,
    /// How often the journal had been refused a segment when it was last asked.
    pub(crate) refused_before: u64,
    // The right to do all this.
    _consumer: Consumer,
}

/// What is known of a segment.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    /// Records that the sink took.
    pub(crate) confirmed: u64,
    /// Records that were read for a batch.
    pub(crate) read: u64,
    reader: Option<Reader>,
    /// Reads ahead, to count.
    scout: Option<SegmentReader>,
    /// What it holds, as far as is known.
    pub(crate) summary: Summary,
    pub(crate) state: State,
    pub(crate) disk: u64,
}

/// What a segment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Somebody may write it.
    #[default]
    Growing,
    /// Nothing will be added.
    Complete,
    /// It is a file of its own, compressed.
    Packed,
}

#[derive(Debug)]
enum Reader {
    Journal(SegmentReader),
    Packed(Unpacked),
}

impl Backlog {
    /// The backlog of a shelf, unless another process has it at this time.
    pub(crate) fn acquire(shelf: &Arc<Shelf>) -> Result<Option<Self>, Trouble> {
        let journal = shelf.writers.journal().clone();
        let Some(consumer) = journal.consumer(CONSUMER)? else { return Ok(None) };
        let mut backlog =
            Self { shelf: shelf.clone(), journal, segments: BTreeMap::new(), refused_before: 0, _consumer: consumer };
        let cursor = match fs::read_to_string(backlog.cursor()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        backlog.look_at_packed()?;
        backlog.look()?;
        for line in cursor.lines() {
            let Some((Ok(id), Ok(confirmed))) = line.split_once(' ').map(|(id, count)| (id.parse(), count.parse()))
            else {
                continue;
            };
            if let Some(segment) = backlog.segments.get_mut(&id) {
                (segment.confirmed, segment.read) = (confirmed, confirmed);
            }
        }
        backlog.look()?;
        Ok(Some(backlog))
    }

    /// Finds packed segments. Nobody else makes or removes any while this lives.
    fn look_at_packed(&mut self) -> Result<(), Trouble> {
        for (id, disk) in packed::listed(&self.shelf.packed)? {
            let summary = match packed::summary(&self.shelf.packed, id) {
                Err(error) if packed::is_damage(&error) => {
                    self.set_aside(id)?;
                    continue;
                }
                summary => summary?.unwrap_or_default(),
            };
            // It may have been packed when the process ended before it could remove the original.
            self.journal.remove(id)?;
            self.segments.insert(id, Segment { summary, disk, state: State::Packed, ..Segment::default() });
        }
        Ok(())
    }

    /// Finds new segments, and counts what is in those that grow.
    pub(crate) fn look(&mut self) -> Result<(), Trouble> {
        let found: BTreeMap<_, _> = self.journal.sizes()?.into_iter().collect();
        self.segments.retain(|id, segment| segment.state == State::Packed || found.contains_key(id));
        for (id, disk) in found {
            let segment = self.segments.entry(id).or_default();
            segment.disk = disk;
            if segment.state == State::Growing {
                segment.count(&self.journal, id)?;
            }
        }
        self.show();
        Ok(())
    }

    /// The next records, in the order of their segments, at most so many.
    pub(crate) fn next(&mut self, most: usize) -> Result<Batch, Trouble> {
        self.look()?;
        let (mut batch, mut damaged) = (Batch::default(), Vec::new());
        for (id, segment) in &mut self.segments {
            let from = segment.read;
            let finished = match segment.read_into(&mut batch, most, (*id, &self.journal, &self.shelf)) {
                Err(Trouble::File(error)) if packed::is_damage(&error) => {
                    damaged.push(*id);
                    continue;
                }
                finished => finished?,
            };
            if segment.read > from || finished {
                batch.parts.push(Part { segment: *id, upto: segment.read, finished });
            }
            if batch.is_full(most) {
                break;
            }
        }
        for id in damaged {
            self.set_aside(id)?;
        }
        self.shelf.counts.next_since.store(batch.oldest(), Ordering::Relaxed);
        Ok(batch)
    }

    /// Remembers that the sink has a batch, or will never take it.
    pub(crate) fn confirm(&mut self, batch: &Batch) -> Result<(), Trouble> {
        for part in &batch.parts {
            let Some(segment) = self.segments.get_mut(&part.segment) else { continue };
            segment.confirmed = part.upto;
            if part.finished {
                self.remove(part.segment)?;
            }
        }
        self.show();
        self.save()
    }

    /// Whether nothing is known to wait.
    pub(crate) fn is_empty(&mut self) -> bool {
        // What cannot be looked at now is there at the next start.
        self.look().is_err() || self.segments.values().all(|segment| segment.waiting() == 0)
    }

    /// Forgets what was read and not confirmed: it is read again.
    pub(crate) fn rewind(&mut self) {
        for segment in self.segments.values_mut() {
            (segment.read, segment.reader) = (segment.confirmed, None);
        }
    }

    /// Goes on without a packed segment that is damaged. What was read of it is on its way.
    fn set_aside(&mut self, id: SegmentId) -> Result<(), Trouble> {
        let lost = self.segments.remove(&id).map_or(0, |segment| segment.summary.records.saturating_sub(segment.read));
        let file = packed::set_aside(&self.shelf.packed, id)?;
        self.shelf.counts.dropped.fetch_add(lost, Ordering::Relaxed);
        let file = file.display();
        error!(sink = &*self.shelf.name, records = lost, %file, "packed log records are damaged and lost; the file was set aside");
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: SegmentId) -> Result<(), Trouble> {
        self.journal.remove(id)?;
        packed::remove(&self.shelf.packed, id)?;
        self.segments.remove(&id);
        Ok(())
    }

    /// Writes down how far segments were taken. The file is replaced as a whole.
    pub(crate) fn save(&self) -> Result<(), Trouble> {
        let path = self.cursor();
        let unfinished = path.with_extension("unfinished");
        let mut lines = Vec::new();
        for (id, segment) in self.segments.iter().filter(|(_, segment)| segment.confirmed > 0) {
            writeln!(lines, "{id} {}", segment.confirmed)?;
        }
        fs::write(&unfinished, &lines)?;
        Ok(fs::rename(&unfinished, &path)?)
    }

    /// Shows operators what waits.
    fn show(&self) {
        let sum = |of: fn(&Segment) -> u64| self.segments.values().map(of).sum();
        let counts = &self.shelf.counts;
        counts.waiting.store(sum(Segment::waiting), Ordering::Relaxed);
        counts.waiting_bytes.store(sum(Segment::waiting_bytes), Ordering::Relaxed);
        counts.disk.store(sum(|segment| segment.disk), Ordering::Relaxed);
    }

    fn cursor(&self) -> PathBuf {
        self.shelf.folder.join("cursor")
    }
}

impl Segment {
    /// Reads ahead to the end of what there is.
    fn count(&mut self, journal: &Journal, id: SegmentId) -> Result<(), Trouble> {
        if self.scout.is_none() {
            self.scout = journal.read(id, 0)?;
        }
        let Some(scout) = &mut self.scout else { return Ok(()) };
        loop {
            match scout.next()? {
                Next::Record(record) => {
                    self.summary.records += 1;
                    self.summary.bytes += record.len() as u64;
                    self.summary.newest = self.summary.newest.max(crate::record::time_of(record));
                }
                Next::NothingYet => break,
                Next::End(end) => {
                    if end == End::Damaged {
                        warn!(segment = %id, "a segment of log records ends in damage");
                    }
                    (self.state, self.scout) = (State::Complete, None);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads what is not read yet, until the batch is full; says whether nothing more will come.
    fn read_into(
        &mut self,
        batch: &mut Batch,
        most: usize,
        (id, journal, shelf): (SegmentId, &Journal, &Shelf),
    ) -> Result<bool, Trouble> {
        if self.state == State::Growing && self.read >= self.summary.records {
            return Ok(false);
        }
        if self.reader.is_none() {
            self.open(id, journal, shelf)?;
        }
        let Some(reader) = &mut self.reader else { return Ok(false) };
        while !batch.is_full(most) {
            let record = match reader {
                Reader::Packed(unpacked) => unpacked.next(),
                Reader::Journal(segment) => match segment.next()? {
                    Next::Record(record) => Some(record),
                    Next::NothingYet => return Ok(false),
                    Next::End(_) => None,
                },
            };
            let Some(record) = record else { return Ok(true) };
            batch.push(record);
            self.read += 1;
        }
        Ok(false)
    }

    /// Begins to read where it was read to.
    fn open(&mut self, id: SegmentId, journal: &Journal, shelf: &Shelf) -> Result<(), Trouble> {
        let mut reader = match Unpacked::open(&shelf.packed, id)? {
            Some(unpacked) => Reader::Packed(unpacked),
            None => match journal.read(id, 0)? {
                Some(segment) => Reader::Journal(segment),
                None => return Ok(()),
            },
        };
        for _ in 0..self.read {
            match &mut reader {
                Reader::Packed(unpacked) => drop(unpacked.next()),
                Reader::Journal(segment) => drop(segment.next()?),
            }
        }
        self.reader = Some(reader);
        Ok(())
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.summary.records.saturating_sub(self.confirmed)
    }

    fn waiting_bytes(&self) -> u64 {
        // Records of one segment are much alike.
        self.summary
            .bytes
            .checked_mul(self.waiting())
            .and_then(|all| all.checked_div(self.summary.records))
            .unwrap_or(0)
    }
}

const CONSUMER: &str = "shipping";
