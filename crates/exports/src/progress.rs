//! Where a sink has come to in the journal, and what it has still before it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::export::{Begins, NotSent, consumer_of};
use crate::lag::Lag;
use crate::{Reading, Records};
use journal::{Consumer, Journal, Next, SegmentId, SegmentReader};

/// Where a sink has come to.
pub(crate) struct Progress {
    pub(crate) consumer: Consumer,
    file: PathBuf,
    sent: BTreeMap<SegmentId, u64>,
    /// What is known to wait.
    waiting: BTreeMap<SegmentId, Waiting>,
    records: Reading,
    lag: Arc<Lag>,
}

/// What waits in a segment.
#[derive(Default)]
struct Waiting {
    /// Up to here it is counted.
    upto: u64,
    records: u64,
    /// When the first of them was, in microseconds since 1970.
    since: Option<u64>,
}

impl Progress {
    /// The place of the sink of this name; none, if another process of this store brings events to it.
    pub(crate) fn begin(
        name: &str,
        (journal, folder): (&Journal, &Path),
        begins: Begins,
        (records, lag): (Reading, Arc<Lag>),
    ) -> Result<Option<Self>, NotSent> {
        let name = consumer_of(name);
        let Some(mut consumer) = journal.consumer(&name)? else { return Ok(None) };
        let file = folder.join(format!("{name}.cursor"));
        let (lines, is_new) = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), true),
            read => (read?, false),
        };
        if is_new && begins == Begins::WithThisProcess {
            let earlier = consumer.segments()?.into_iter().filter(|id| !journal.is_own(*id));
            consumer.done(earlier)?;
        }
        // A line that cannot be read is a segment from its beginning: rather twice than not at all.
        let sent = lines.lines().filter_map(|line| {
            let (id, offset) = line.split_once(' ')?;
            Some((id.parse().ok()?, offset.parse().ok()?))
        });
        let sent = sent.collect();
        let mut progress = Self { consumer, file, sent, waiting: BTreeMap::new(), records, lag };
        if is_new {
            progress.write()?;
        }
        Ok(Some(progress))
    }

    /// Up to where a segment was confirmed.
    pub(crate) fn of(&self, id: SegmentId) -> u64 {
        self.sent.get(&id).copied().unwrap_or_default()
    }

    /// Remembers, also after a crash, that everything before a place was confirmed, so many events more than before.
    pub(crate) fn remember(&mut self, id: SegmentId, upto: u64, events: u64) -> io::Result<()> {
        self.sent.insert(id, upto);
        self.write()?;
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.since = None;
            if upto <= waiting.upto {
                waiting.records = waiting.records.saturating_sub(events);
            } else {
                *waiting = Waiting { upto, ..Waiting::default() };
            }
        }
        self.lag.sent(events);
        self.tell();
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let written = self.file.with_extension("cursor-new");
        let mut file = File::create(&written)?;
        let lines: Vec<_> = self.sent.iter().map(|(id, offset)| format!("{id} {offset}\n")).collect();
        file.write_all(lines.concat().as_bytes())?;
        file.sync_data()?;
        fs::rename(&written, &self.file)
    }

    /// This sink needs a segment no more.
    pub(crate) fn finish(&mut self, id: SegmentId) -> Result<(), NotSent> {
        self.consumer.done([id])?;
        self.sent.remove(&id);
        self.waiting.remove(&id);
        Ok(())
    }

    /// Everything that there was has been sent.
    pub(crate) fn is_done(&mut self) {
        self.waiting.clear();
        self.tell();
    }

    /// Counts what waits. What was counted before is not read again.
    pub(crate) async fn look_ahead(&mut self) -> Result<(), NotSent> {
        for id in self.consumer.segments()? {
            let sent = self.of(id);
            let mut waiting = self.waiting.remove(&id).unwrap_or_default();
            waiting.upto = waiting.upto.max(sent);
            if waiting.records > 0 && waiting.since.is_none() {
                let reader = self.consumer.read(id, sent)?;
                waiting.since = reader.map(|mut reader| next_time(&mut reader, &*self.records)).transpose()?.flatten();
            }
            let Some(mut reader) = self.consumer.read(id, waiting.upto)? else { continue };
            while let Some(at) = next_time(&mut reader, &*self.records)? {
                waiting.since.get_or_insert(at);
                waiting.records += 1;
                if waiting.records.is_multiple_of(AT_ONCE) {
                    tokio::task::yield_now().await;
                }
            }
            waiting.upto = reader.offset();
            self.waiting.insert(id, waiting);
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        let records = self.waiting.values().map(|waiting| waiting.records).sum();
        let waits = self.waiting.values().filter(|waiting| waiting.records > 0);
        // Where it is not known after a batch was sent, it is the next look that tells; until then the others do.
        let since = waits.filter_map(|waiting| waiting.since).min();
        self.lag.waits(records, since);
    }
}

/// When the next record was that somebody is told of.
fn next_time(reader: &mut SegmentReader, records: &dyn Records) -> Result<Option<u64>, NotSent> {
    loop {
        let id = reader.id();
        let Next::Record(record) = reader.next()? else { return Ok(None) };
        if let Some(at) = records.at(record).map_err(|_strange| NotSent::Strange(id))? {
            return Ok(Some(at));
        }
    }
}

/// So many records are counted before others may have the thread.
const AT_ONCE: u64 = 4096;
