//! Usage records that stay for a while after they were added up, and from which hour on there are all of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use journal::{Consumer, Journal, Next, SegmentId};
use metering::UsageRecord;
use tokio::sync::{Mutex, MutexGuard};

/// The name by which the usage journal knows who keeps its records.
pub(crate) const KEPT: &str = "kept";

/// Records that stay for a while.
pub(crate) struct KeptUsage {
    journal: Arc<Journal>,
    folder: PathBuf,
    keep: Duration,
    bytes: u64,
    // Held while records go, and while totals are made from those that are there.
    consumer: Mutex<Option<Consumer>>,
}

/// Why records could not be let go, or not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A segment to which nobody writes any more.
struct Complete {
    id: SegmentId,
    changed: SystemTime,
    bytes: u64,
}

impl KeptUsage {
    /// Keeps the records of `journal`, whose files are in `folder`. `first_hour` is from when on all are there if nothing
    /// was kept until now.
    pub(crate) fn open(
        journal: Arc<Journal>,
        folder: &Path,
        (keep, bytes): (Duration, u64),
        first_hour: u32,
    ) -> Result<Self, KeepError> {
        let kept = Self { journal, folder: folder.to_owned(), keep, bytes, consumer: Mutex::new(None) };
        if !since(folder).exists() {
            kept.write_since(first_hour)?;
        }
        Ok(kept)
    }

    /// Forgets from when on all records were kept: from now on they are not.
    pub(crate) fn end(folder: &Path) -> io::Result<()> {
        match fs::remove_file(since(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Holds all records that are there, and says from which hour on there are all.
    pub(crate) async fn hold(&self) -> Result<(u32, MutexGuard<'_, Option<Consumer>>), KeepError> {
        let held = self.consumer.lock().await;
        Ok((self.read_since()?, held))
    }

    /// Lets go of what was kept long enough, and of the oldest if there is too much. Blocks.
    pub(crate) fn let_go(&self, now: SystemTime) -> Result<(), KeepError> {
        let mut held = self.consumer.blocking_lock();
        if held.is_none() {
            *held = self.journal.consumer(KEPT)?;
        }
        // Another process of this store does it.
        let Some(consumer) = &mut *held else { return Ok(()) };
        let (mut complete, mut bytes) = (Vec::new(), 0);
        for id in consumer.segments()? {
            let Ok(metadata) = self.folder.join(format!("{id}.segment")).metadata() else { continue };
            bytes += metadata.len();
            complete.push(Complete { id, changed: metadata.modified()?, bytes: metadata.len() });
        }
        complete.sort_by_key(|segment| segment.changed);
        let mut gone = Vec::new();
        for segment in complete {
            // The time of a file is that of its last record, or a little earlier: the system notes it when it writes.
            let age = now.duration_since(segment.changed).unwrap_or_default();
            if bytes <= self.bytes && age < self.keep.saturating_add(LAG) {
                break;
            }
            let last = match last_hour(consumer, segment.id)? {
                Last::Open => continue,
                Last::Hour(hour) => hour,
            };
            // Before it goes, so that what is said is true whatever crashes.
            let since = self.read_since()?;
            if let Some(last) = last.filter(|last| since <= *last) {
                self.write_since(last.saturating_add(1))?;
            }
            gone.push(segment.id);
            bytes = bytes.saturating_sub(segment.bytes);
        }
        if !gone.is_empty() {
            consumer.done(gone)?;
        }
        Ok(())
    }

    fn read_since(&self) -> io::Result<u32> {
        let text = fs::read_to_string(since(&self.folder))?;
        text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn write_since(&self, hour: u32) -> io::Result<()> {
        let path = since(&self.folder);
        let written = path.with_extension("new");
        let mut file = File::create(&written)?;
        file.write_all(format!("{hour}\n").as_bytes())?;
        file.sync_data()?;
        fs::rename(&written, &path)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// The file that says from which hour on, counted since 1970, all records are there.
fn since(folder: &Path) -> PathBuf {
    folder.join("whole-since")
}

/// Of what hours a segment has records.
enum Last {
    /// Somebody may write to it.
    Open,
    /// Up to this one, if it has any.
    Hour(Option<u32>),
}

fn last_hour(consumer: &Consumer, id: SegmentId) -> Result<Last, KeepError> {
    let Some(mut reader) = consumer.read(id, 0)? else { return Ok(Last::Hour(None)) };
    let mut last = None;
    loop {
        match reader.next()? {
            // What a later version wrote is of an hour that this one does not know: none is whole before it.
            Next::Record(record) => {
                last = last.max(Some(UsageRecord::decode(record).map_or(u32::MAX, |record| record.hour())));
            }
            Next::NothingYet => return Ok(Last::Open),
            Next::End(_) => return Ok(Last::Hour(last)),
        }
    }
}

/// How much earlier than its last record a file may seem to have been changed.
const LAG: Duration = Duration::from_mins(5);

#[cfg(test)]
#[path = "kept_usage_tests.rs"]
mod tests;
