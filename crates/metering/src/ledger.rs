//! What quotas consumed, kept so that a counter is exact after `kill -9`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use journal::{End, Journal, Next, NotAppended, PerThread, SegmentId, SegmentReader};
use parking_lot::Mutex;
use tracing::warn;

use journal::wire::{Source, put_bytes, put_number};

/// Why a ledger could not be read or compacted.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file could not be used.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// A segment could not be read.
    #[error("cannot read a segment of the ledger")]
    Read(#[from] io::Error),
    /// A newer version of this program wrote the segment; without it the sums would be too small.
    #[error("a newer version wrote segment {0} of the ledger")]
    Strange(SegmentId),
}

/// What was consumed of counters in their windows, in a journal of its own.
///
/// The caller keeps the counters in memory; the ledger gives them back after a restart, to the unit.
#[derive(Debug)]
pub struct Ledger {
    writers: PerThread,
    others: Mutex<Others>,
}

/// What a compaction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compacted {
    /// So many segments are one now, with so many sums.
    Into {
        /// The segments that are gone.
        segments: usize,
        /// The sums that are kept.
        sums: usize,
    },
    /// There was nothing to do.
    Nothing,
    /// Another process does it.
    Elsewhere,
}

impl Ledger {
    /// A ledger in `journal`, which it has for itself and which has no consumers.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { writers: PerThread::new(journal), others: Mutex::default() }
    }

    /// As [`journal::Writer::has_room`], for this thread.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.writers.has_room()
    }

    /// Remembers that `n` was consumed of `counter` in the window that began at `window`.
    #[inline]
    pub fn consumed(&self, counter: &str, window: u64, n: u32) -> Result<(), NotAppended> {
        self.writers.append(|to| Entry::Consumed { counter, window, n: n.into() }.encode(to))
    }

    /// Remembers that `n` of what was consumed of `counter` in this window was given back.
    pub fn given_back(&self, counter: &str, window: u64, n: u32) -> Result<(), NotAppended> {
        self.writers.append(|to| Entry::Consumed { counter, window, n: -i64::from(n) }.encode(to))
    }

    /// Tells everything that was ever consumed, in parts that are to be added up, by earlier processes and others. What was
    /// given back is less than nothing.
    ///
    /// To be called once, before anything is consumed.
    pub fn replay(&self, mut each: impl FnMut(&str, u64, i64)) -> Result<(), LedgerError> {
        let mut segments = self.opened()?;
        let covered = covered(&mut segments)?;
        let mut others = self.others.lock();
        others.known = segments.keys().copied().collect();
        others.live.clear();
        for (id, mut reader) in segments {
            if covered.contains(&id) {
                continue;
            }
            if read(&mut reader, &mut each)? == Segment::Live && !self.writers.journal().is_own(id) {
                others.live.insert(id, reader);
            }
        }
        Ok(())
    }

    /// As [`Self::replay`], at any time, and with what this process consumed.
    pub fn sums(&self, mut each: impl FnMut(&str, u64, i64)) -> Result<(), LedgerError> {
        let mut segments = self.opened()?;
        let covered = covered(&mut segments)?;
        for (_, mut reader) in segments.into_iter().filter(|(id, _)| !covered.contains(id)) {
            read(&mut reader, &mut each)?;
        }
        Ok(())
    }

    /// Tells what other processes consumed since the last call, or since [`Self::replay`]: during an upgrade the old
    /// process still answers while the new one does. Nobody may compact meanwhile.
    pub fn catch_up(&self, mut each: impl FnMut(&str, u64, i64)) -> Result<(), LedgerError> {
        let journal = self.writers.journal();
        let mut others = self.others.lock();
        let Others { known, live } = &mut *others;
        for id in journal.segments()? {
            if journal.is_own(id) || known.contains(&id) {
                continue;
            }
            // It is known only once it could be opened.
            if let Some(reader) = journal.read(id, 0)? {
                known.insert(id);
                live.insert(id, reader);
            }
        }
        let mut complete = Vec::new();
        for (id, reader) in live.iter_mut() {
            if read(reader, &mut each)? == Segment::Complete {
                complete.push(*id);
            }
        }
        live.retain(|id, _| !complete.contains(id));
        Ok(())
    }

    /// Makes one segment of all that nobody writes any more, without the windows that `is_open` denies.
    ///
    /// It reads and writes files, so it belongs on a thread that may block. A crash at any point changes no sum.
    pub fn compact(&self, mut is_open: impl FnMut(&str, u64) -> bool) -> Result<Compacted, LedgerError> {
        let journal = self.writers.journal();
        let Some(_alone) = journal.consumer("compaction")? else { return Ok(Compacted::Elsewhere) };
        let mut segments = self.opened()?;
        // An earlier compaction may have crashed before it removed them.
        let left_over = covered(&mut segments)?;
        let mut sums = Sums::new();
        let mut merged = BTreeSet::new();
        for (id, reader) in segments.iter_mut().filter(|(id, _)| !left_over.contains(id)) {
            let mut own = Sums::new();
            let sum = |counter: &str, window: u64, n: i64| add(&mut own, (counter.into(), window), n);
            if read(reader, sum)? == Segment::Live {
                continue;
            }
            own.retain(|(counter, window), _| is_open(counter, *window));
            for (place, n) in own {
                add(&mut sums, place, n);
            }
            merged.insert(*id);
        }
        let kept = if merged.len() < 2 {
            Compacted::Nothing
        } else {
            // Those left over, too: they would count again once the segment that covered them is gone.
            let covers: BTreeSet<_> = merged.union(&left_over).copied().collect();
            journal.write_whole(encoded(&covers, &sums).iter().map(Vec::as_slice))?;
            remove(journal, &merged)?;
            Compacted::Into { segments: merged.len(), sums: sums.len() }
        };
        remove(journal, &left_over)?;
        Ok(kept)
    }

    /// All segments as they are at one time: what is removed meanwhile can still be read.
    fn opened(&self) -> Result<BTreeMap<SegmentId, SegmentReader>, LedgerError> {
        let journal = self.writers.journal();
        loop {
            let segments = journal.segments()?.into_iter();
            let opened = segments.map(|id| Ok(journal.read(id, 0)?.map(|reader| (id, reader))));
            // If one is gone, somebody compacted in between; there is less now.
            if let Some(opened) = opened.collect::<Result<_, LedgerError>>()? {
                return Ok(opened);
            }
        }
    }
}

/// What is known of the segments of other processes.
#[derive(Debug, Default)]
struct Others {
    known: BTreeSet<SegmentId>,
    // Those that may have more to read.
    live: BTreeMap<SegmentId, SegmentReader>,
}

/// Something that the ledger remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry<'a> {
    /// So much was consumed of the counter in the window; less than nothing was given back.
    Consumed { counter: &'a str, window: u64, n: i64 },
    /// The sums of this segment are in the one where this stands; it is as good as gone.
    Covers(SegmentId),
}

impl<'a> Entry<'a> {
    fn encode(self, to: &mut Vec<u8>) {
        match self {
            Self::Consumed { counter, window, n } => {
                to.push(if n < 0 { GIVEN_BACK } else { CONSUMED });
                to.extend_from_slice(&window.to_le_bytes());
                put_number(to, n.unsigned_abs());
                put_bytes(to, counter.as_bytes());
            }
            Self::Covers(id) => {
                to.push(COVERS);
                to.extend_from_slice(&id.0.to_le_bytes());
            }
        }
    }

    fn decode(record: &'a [u8]) -> Option<Self> {
        let mut source = Source(record);
        match source.array()? {
            [kind @ (CONSUMED | GIVEN_BACK)] => {
                let window = u64::from_le_bytes(source.array()?);
                let n = i64::try_from(source.number()?).ok()?;
                let n = if kind == GIVEN_BACK { -n } else { n };
                Some(Self::Consumed { counter: source.text()?, window, n })
            }
            [COVERS] => Some(Self::Covers(SegmentId(u128::from_le_bytes(source.array()?)))),
            _ => None,
        }
    }
}

/// Whether a segment can grow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Live,
    Complete,
}

/// Sums by counter and window.
type Sums = HashMap<(Box<str>, u64), i64>;

fn add(sums: &mut Sums, place: (Box<str>, u64), n: i64) {
    let sum = sums.entry(place).or_default();
    *sum = sum.saturating_add(n);
}

/// Reads what was consumed, as far as there is anything now.
fn read(reader: &mut SegmentReader, mut each: impl FnMut(&str, u64, i64)) -> Result<Segment, LedgerError> {
    let id = reader.id();
    loop {
        match reader.next()? {
            Next::Record(record) => match Entry::decode(record) {
                Some(Entry::Consumed { counter, window, n }) => each(counter, window, n),
                Some(Entry::Covers(_)) => {}
                None => return Err(LedgerError::Strange(id)),
            },
            Next::NothingYet => return Ok(Segment::Live),
            Next::End(end) => {
                if end == End::Damaged {
                    // Most likely a loss of power took the end of the segment.
                    warn!(segment = %id, offset = reader.offset(), "a segment of the ledger ends in damage");
                }
                return Ok(Segment::Complete);
            }
        }
    }
}

/// The segments whose sums are in others, which say so before anything else.
fn covered(segments: &mut BTreeMap<SegmentId, SegmentReader>) -> Result<BTreeSet<SegmentId>, LedgerError> {
    let mut covered = BTreeSet::new();
    for reader in segments.values_mut() {
        while let Next::Record(record) = reader.next()? {
            let Some(Entry::Covers(id)) = Entry::decode(record) else { break };
            covered.insert(id);
        }
        reader.go_to(0);
    }
    covered.retain(|id| segments.contains_key(id));
    Ok(covered)
}

fn encoded(covers: &BTreeSet<SegmentId>, sums: &Sums) -> Vec<Vec<u8>> {
    let covers = covers.iter().map(|id| Entry::Covers(*id));
    let sums = sums.iter().map(|((counter, window), n)| Entry::Consumed { counter, window: *window, n: *n });
    let encode = |entry: Entry<'_>| {
        let mut record = Vec::new();
        entry.encode(&mut record);
        record
    };
    covers.chain(sums).map(encode).collect()
}

fn remove(journal: &Journal, ids: &BTreeSet<SegmentId>) -> Result<(), journal::Error> {
    ids.iter().try_for_each(|id| journal.remove(*id))
}

const CONSUMED: u8 = 1;
const COVERS: u8 = 2;
const GIVEN_BACK: u8 = 3;
