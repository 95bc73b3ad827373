//! One export: rounds of reading, sending and remembering.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use journal::{Journal, Next, SegmentId, SegmentReader};
use model::usage::EventForm;
use serde_json::Value;
use store::{Place, Unavailable};
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};
use tokio::time::Instant;

use crate::jetstream;
use crate::lag::Lag;
use crate::progress::Progress;
use crate::{Reading, Records, Sink};

/// What brings events to one sink.
pub struct Export {
    name: String,
    sink: Sink,
    terms: Terms,
    records: Reading,
    lag: Arc<Lag>,
    sending: Arc<Mutex<()>>,
}

/// What holds for an export, whatever its sink.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What is told, for the log.
    pub what: &'static str,
    /// Where a sink begins that nothing was ever sent to.
    pub begins: Begins,
    /// How many segments wait for a sink at most. Beyond them it never gets the oldest.
    pub most_segments: Option<usize>,
}

/// Where a sink begins that nothing was ever sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// With all that is in the journal.
    WithEverything,
    /// With what this process writes.
    WithThisProcess,
}

impl Export {
    /// What brings the events that `records` reads to a sink.
    pub fn new(name: &str, sink: Sink, terms: Terms, records: Reading) -> Self {
        Self { name: name.to_owned(), sink, terms, records, lag: Arc::default(), sending: Arc::default() }
    }

    /// The name of the sink.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How old what waits for the sink is. Nothing waits where another process of the store brings it.
    pub fn age(&self) -> Duration {
        self.lag.age()
    }

    /// Awaits that it is remembered what became of the batch under way. While the guard is kept, no further one is sent.
    pub async fn rest(&self) -> OwnedMutexGuard<()> {
        self.sending.clone().lock_owned().await
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(crate) fn records(&self) -> &dyn Records {
        &*self.records
    }

    /// To be kept from when a batch is sent until it is remembered what became of it.
    pub(crate) async fn sending(&self) -> MutexGuard<'_, ()> {
        self.sending.lock().await
    }

    pub(crate) fn lag(&self) -> Arc<Lag> {
        self.lag.clone()
    }
}

/// The name by which a journal knows a sink.
pub fn consumer_of(name: &str) -> String {
    format!("events-{name}")
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSent {
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the service did not take them now")]
    Later(Option<Duration>),
    #[error("the service refused them")]
    Refused,
    #[error(transparent)]
    Stream(#[from] jetstream::Trouble),
    #[error(transparent)]
    Redis(#[from] store_redis::NotAdded),
    #[error("{0}")]
    Said(String),
    #[error("a newer version wrote segment {0} of the journal")]
    Strange(SegmentId),
    #[error("a newer version wrote batch {0} of the log")]
    StrangeBatch(Place),
    #[error("the log that nodes share cannot be read")]
    NoLog(#[from] Unavailable),
}

/// Brings records to a sink for as long as the node runs. `folder` is the journal's.
pub async fn run(export: &Export, journal: Arc<Journal>, folder: PathBuf) {
    let (mut progress, mut pauses) = (None, Pauses::default());
    loop {
        let done = round(export, &journal, &folder, &mut progress).await;
        tokio::time::sleep(pauses.after(export, done)).await;
    }
}

/// How long to wait between rounds.
#[derive(Default)]
pub(crate) struct Pauses {
    failures: u32,
}

impl Pauses {
    /// How long to wait after a round that ended so.
    pub(crate) fn after(&mut self, export: &Export, done: Result<(), NotSent>) -> Duration {
        let what = export.terms.what;
        match done {
            Ok(()) => {
                if std::mem::take(&mut self.failures) > 0 {
                    tracing::info!(sink = export.name, what, "events are taken again");
                }
                EVERY
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!(sink = export.name, what, %error, "events are not sent; they are kept, and sent later");
                }
                export.lag.failed();
                self.failures = self.failures.saturating_add(1);
                let asked = if let NotSent::Later(asked) = error { asked } else { None };
                backed_off(self.failures, asked, RandomState::new().hash_one(self.failures))
            }
        }
    }
}

/// Longer with each failure, and not at the same time as others; or what the service asked for, if that is longer.
fn backed_off(failures: u32, asked: Option<Duration>, chance: u64) -> Duration {
    let longest = EVERY.saturating_mul(2_u32.saturating_pow(failures.min(6))).min(LONGEST_PAUSE);
    let part = u32::try_from(chance % 512).unwrap_or(0) + 512;
    (longest * part / 1024).max(asked.unwrap_or_default().min(LONGEST_PAUSE))
}

/// Sends everything that is in the journal now.
async fn round(
    export: &Export,
    journal: &Journal,
    folder: &Path,
    kept: &mut Option<(Progress, Instant)>,
) -> Result<(), NotSent> {
    if kept.is_none() {
        let told = (export.records.clone(), export.lag.clone());
        let begun = Progress::begin(&export.name, (journal, folder), export.terms.begins, told)?;
        *kept = begun.map(|progress| (progress, Instant::now()));
    }
    // Another process of this store does it.
    let Some((progress, looked)) = kept else { return Ok(()) };
    let ids = progress.consumer.segments()?;
    let too_many = export.terms.most_segments.map_or(0, |most| ids.len().saturating_sub(most));
    for id in ids.iter().take(too_many) {
        tracing::error!(sink = export.name, segment = %id, "a sink was away for too long, and never gets these events");
        export.lag.lost();
        progress.finish(*id)?;
    }
    for id in ids.into_iter().skip(too_many) {
        let Some(mut reader) = progress.consumer.read(id, progress.of(id))? else { continue };
        loop {
            let Batch { events, upto, end } = batch(&mut reader, &*export.records, export.sink.form())?;
            let count = events.len() as u64;
            if count > 0 {
                let sending = export.sending().await;
                let sent = export.sink.send(events).await;
                // It costs something, and says nothing where everything is sent within a moment.
                if sent.is_err() || looked.elapsed() > LOOK {
                    progress.look_ahead().await?;
                    *looked = Instant::now();
                }
                sent?;
                progress.remember(id, upto, count)?;
                drop(sending);
            }
            match end {
                End::More => {}
                End::Current => break,
                End::Finished => {
                    progress.finish(id)?;
                    break;
                }
            }
        }
    }
    progress.is_done();
    *looked = Instant::now();
    Ok(())
}

struct Batch {
    events: Vec<Value>,
    upto: u64,
    end: End,
}

/// What follows a batch.
enum End {
    More,
    Current,
    Finished,
}

/// Reads as many events as are sent at once.
fn batch(reader: &mut SegmentReader, records: &dyn Records, form: EventForm) -> Result<Batch, NotSent> {
    let (id, most) = (reader.id(), most(form));
    let mut events = Vec::new();
    while events.len() < most {
        let end = match reader.next()? {
            Next::Record(record) => {
                records.read(record, form, &mut events).map_err(|_strange| NotSent::Strange(id))?;
                continue;
            }
            Next::NothingYet => End::Current,
            Next::End(_) => End::Finished,
        };
        return Ok(Batch { events, upto: reader.offset(), end });
    }
    Ok(Batch { events, upto: reader.offset(), end: End::More })
}

/// Events of a batch. Lago takes a hundred.
pub(crate) fn most(form: EventForm) -> usize {
    match form {
        EventForm::CloudEvents => 500,
        EventForm::Lago => 100,
    }
}

const EVERY: Duration = Duration::from_secs(1);
/// How often it is counted what waits, while a sink is behind.
pub(crate) const LOOK: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_longer_with_each_failure_and_has_an_end() {
        let pauses: Vec<_> = (1..9).map(|failures| backed_off(failures, None, 511).as_millis()).collect();
        assert_eq!(pauses, [1998, 3996, 7992, 15984, 31968, 59941, 59941, 59941]);
        assert!(backed_off(1, None, 0) < backed_off(1, None, 511));
        assert_eq!(backed_off(1, Some(Duration::from_secs(20)), 0), Duration::from_secs(20));
        assert_eq!(backed_off(1, Some(Duration::from_hours(20)), 0), LONGEST_PAUSE);
    }
}
