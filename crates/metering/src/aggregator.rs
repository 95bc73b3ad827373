//! Reads usage records from the journal and adds them to the totals, each exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use journal::{Consumer, End, Next, SegmentId, SegmentReader};
use store::{Added, Unavailable, UsageSource, UsageTotals};
use tracing::warn;

use crate::sums::Sums;

/// Why records could not be added to the totals now. Nothing is lost; the next round begins where this one ended.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// A file of the journal could not be used.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// A segment could not be read.
    #[error("cannot read a segment of the journal")]
    Read(#[from] io::Error),
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] Unavailable),
    /// A newer version of this program wrote the segment; without it the sums would be too small.
    #[error("a newer version wrote segment {0} of the journal")]
    Strange(SegmentId),
}

/// Adds usage records to the totals.
///
/// Each is counted exactly once, whatever crashes: the store remembers, together with the sums, how far each segment
/// is counted, and nothing else is believed after a failure.
pub struct Aggregator {
    consumer: Consumer,
    pub(crate) totals: Arc<dyn UsageTotals>,
    pub(crate) open: BTreeMap<SegmentId, Reading>,
    // Segments that only a newer version of this program can read. They stay until it runs.
    strange: BTreeSet<SegmentId>,
    sums: Sums,
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The records that were added.
    pub records: u64,
    /// The segments that are finished with.
    pub finished: usize,
}

/// A segment that is being read.
pub(crate) struct Reading {
    reader: SegmentReader,
    // How far the store has counted it.
    counted: u64,
}

/// How a part of a segment ended.
enum Part {
    /// There is more.
    More,
    /// There is no more now.
    Current,
    /// There will never be more.
    Finished,
    /// There is more, which this version cannot read.
    Strange,
}

impl Aggregator {
    /// Adds what `consumer` reads to `totals`.
    pub fn new(consumer: Consumer, totals: Arc<dyn UsageTotals>) -> Self {
        Self { consumer, totals, open: BTreeMap::new(), strange: BTreeSet::new(), sums: Sums::default() }
    }

    /// Adds everything that is in the journal now. To be called again and again, every second or so.
    pub async fn round(&mut self) -> Result<Round, AggregateError> {
        let mut round = Round::default();
        let mut finished = Vec::new();
        let segments = self.consumer.segments()?;
        // Taken out, so that after a failure the store is asked again what it has: it may have more than we know. And
        // so that nothing is held open that is not there any more.
        let mut open = std::mem::take(&mut self.open);
        for id in segments {
            if self.strange.contains(&id) {
                continue;
            }
            let reading = match open.remove(&id) {
                Some(reading) => Some(reading),
                None => self.begin(id).await?,
            };
            // A writer took it back since it was listed, so there was nothing in it.
            let Some(mut reading) = reading else { continue };
            let part = loop {
                match self.part(&mut reading, &mut round).await? {
                    Part::More => {}
                    last => break last,
                }
            };
            match part {
                Part::Finished => finished.push(id),
                Part::Strange => drop(self.strange.insert(id)),
                Part::More | Part::Current => drop(self.open.insert(id, reading)),
            }
        }
        round.finished = finished.len();
        if round.finished > 0 {
            self.finish(finished).await?;
        }
        Ok(round)
    }

    /// Goes on where the store has counted a segment to, if there is still one.
    async fn begin(&self, id: SegmentId) -> Result<Option<Reading>, AggregateError> {
        let counted = self.totals.counted(&id.to_string()).await?;
        Ok(self.consumer.read(id, counted)?.map(|reader| Reading { reader, counted }))
    }

    /// Adds as many records as make a batch.
    async fn part(&mut self, reading: &mut Reading, round: &mut Round) -> Result<Part, AggregateError> {
        let read = read(&mut reading.reader, &mut self.sums);
        // Also after a failure: what was read in vain is read again, and would count twice.
        let rows = self.sums.take();
        let (Read { records, upto }, part) = read?;
        if records == 0 {
            return Ok(part);
        }
        let segment = reading.reader.id().to_string();
        match self.totals.add(&rows, &UsageSource { segment, from: reading.counted, offset: upto }).await? {
            Added::Now => {
                reading.counted = upto;
                round.records += records;
                Ok(part)
            }
            // The store has done by now what it did not answer in time.
            Added::Refused { counted } => {
                reading.counted = counted;
                reading.reader.go_to(counted);
                Ok(Part::More)
            }
        }
    }

    /// Lets segments go, and has the store forget those that are gone: they cannot be read again, and so not be counted twice.
    /// Only then are they forgotten here, so that the store is told again if it could not be told now.
    async fn finish(&mut self, finished: Vec<SegmentId>) -> Result<(), AggregateError> {
        let gone = self.consumer.gone()?;
        if !gone.is_empty() {
            let names: Vec<_> = gone.iter().map(SegmentId::to_string).collect();
            self.totals.forget(&names).await?;
        }
        Ok(self.consumer.done_and_gone(finished, &gone)?)
    }
}

struct Read {
    records: u64,
    upto: u64,
}

/// Sums up to a batch of records.
fn read(reader: &mut SegmentReader, sums: &mut Sums) -> Result<(Read, Part), AggregateError> {
    let mut done = Read { records: 0, upto: reader.offset() };
    let id = reader.id();
    while done.records < BATCH {
        let record = match reader.next()? {
            Next::Record(record) => record,
            Next::NothingYet => return Ok((done, Part::Current)),
            Next::End(end) => {
                if end == End::Damaged {
                    // Most likely a loss of power took the end of the segment.
                    warn!(segment = %id, offset = done.upto, "a segment of usage records ends in damage");
                }
                return Ok((done, Part::Finished));
            }
        };
        if sums.add(record).is_none() {
            warn!(segment = %id, offset = done.upto, "a newer version wrote usage records, which stay until it runs");
            return Ok((done, Part::Strange));
        }
        done.records += 1;
        done.upto = reader.offset();
        if done.records.is_multiple_of(AT_ONCE) {
            // Whoever answers requests on this core need not wait until the system thinks that it is their turn.
            std::thread::yield_now();
        }
    }
    Ok((done, Part::More))
}

const BATCH: u64 = 10_000;
/// Records that are read in some 0.1 ms.
const AT_ONCE: u64 = 1_000;
