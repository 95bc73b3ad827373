//! Usage records on their way to services that bill, each as an event, at least once.
//!
//! What was sent is remembered only after it was confirmed: after a crash, what is not known to have arrived is sent again
//! with the same ids. A sink that is away costs disk and no record.

mod jetstream;
mod lag;
mod progress;
mod sink;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use journal::{Journal, Next, SegmentId, SegmentReader};
use metering::UsageRecord;
use model::Document;
use model::units::Size;
use model::usage::EventForm;
use problem::{Finding, Pointer};
use serde_json::Value;
use telemetry::metrics::Registry;
use tokio::time::Instant;

use self::lag::Lag;
use self::progress::Progress;
use self::sink::Sink;

/// What brings events to one sink.
pub(crate) struct Export {
    name: String,
    sink: Sink,
    lag: Arc<Lag>,
}

/// The exports of a document, or what is wrong with them.
pub(crate) fn exports(document: &Document) -> Result<Vec<Export>, Vec<Finding>> {
    let (mut exports, mut findings) = (Vec::new(), Vec::new());
    let usage = Pointer::default().at("usage");
    let members = [("keep", document.usage.keep.is_some()), ("events", !document.usage.events.is_empty())];
    for (member, _) in members.into_iter().filter(|(_, is_written)| *is_written && document.store.is_none()) {
        findings.push(Finding::new(&usage.at(member), "needs `store`, where usage records are"));
    }
    if document.usage.keep_bytes.bytes() > MOST_KEPT {
        let message = format!(
            "is more than {}: the journal has 8GiB, and requests are refused when it is full",
            Size::new(MOST_KEPT)
        );
        findings.push(Finding::new(&usage.at("keep_bytes"), message));
    }
    for (name, sink) in &document.usage.events {
        let at = usage.at("events").at(name);
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if name.is_empty() || !name.chars().all(is_name) {
            let message = format!("`{name}` cannot be a name here: write lower case letters, digits and `-`");
            findings.push(Finding::new(&at, message));
        }
        match Sink::compile(name, sink, &at) {
            Ok(sink) => exports.push(Export { name: name.clone(), sink, lag: Arc::default() }),
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(exports) } else { Err(findings) }
}

/// The name by which the usage journal knows a sink.
pub(crate) fn consumer_of(name: &str) -> String {
    format!("events-{name}")
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum NotSent {
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
    #[error("a newer version wrote segment {0} of the journal")]
    Strange(SegmentId),
}

/// Shows how far each sink is behind.
pub(crate) fn show(registry: &Registry, exports: &[Export]) {
    lag::show(registry, exports.iter().map(|export| (export.name.clone(), export.lag.clone())).collect());
}

/// Brings records to a sink for as long as the node runs. `folder` is the journal's.
pub(crate) async fn run(export: Export, journal: Arc<Journal>, folder: PathBuf) {
    let (mut progress, mut failures) = (None, 0_u32);
    loop {
        let pause = match round(&export, &journal, &folder, &mut progress).await {
            Ok(()) => {
                if failures > 0 {
                    tracing::info!(sink = export.name, "usage events are taken again");
                }
                failures = 0;
                EVERY
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(sink = export.name, %error, "usage events are not sent; they stay in the journal");
                }
                export.lag.failed();
                failures = failures.saturating_add(1);
                let asked = if let NotSent::Later(asked) = error { asked } else { None };
                backed_off(failures, asked, RandomState::new().hash_one(failures))
            }
        };
        tokio::time::sleep(pause).await;
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
        let begun = Progress::begin(&export.name, journal, folder, export.lag.clone())?;
        *kept = begun.map(|progress| (progress, Instant::now()));
    }
    // Another process of this store does it.
    let Some((progress, looked)) = kept else { return Ok(()) };
    for id in progress.consumer.segments()? {
        let Some(mut reader) = progress.consumer.read(id, progress.of(id))? else { continue };
        loop {
            let Batch { events, upto, end } = batch(&mut reader, export.sink.form())?;
            let count = events.len() as u64;
            if count > 0 {
                let sent = export.sink.send(events).await;
                // It costs something, and says nothing where everything is sent within a moment.
                if sent.is_err() || looked.elapsed() > LOOK {
                    progress.look_ahead().await?;
                    *looked = Instant::now();
                }
                sent?;
                progress.remember(id, upto, count)?;
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

/// Reads as many events as are sent at once. What no company used is nobody's to pay.
fn batch(reader: &mut SegmentReader, form: EventForm) -> Result<Batch, NotSent> {
    let (id, most) = (reader.id(), most(form));
    let mut events = Vec::new();
    while events.len() < most {
        let end = match reader.next()? {
            Next::Record(record) => {
                let record = UsageRecord::decode(record).ok_or(NotSent::Strange(id))?;
                if !record.company.is_empty() {
                    events.push(match form {
                        EventForm::CloudEvents => record.cloud_event(),
                        EventForm::Lago => record.lago_event(),
                    });
                }
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
fn most(form: EventForm) -> usize {
    match form {
        EventForm::CloudEvents => 500,
        EventForm::Lago => 100,
    }
}

/// Bytes that may be kept at most: the rest of the journal is for what comes while a store or a sink is away.
const MOST_KEPT: u64 = 6 << 30;

const EVERY: Duration = Duration::from_secs(1);
/// How often it is counted what waits, while a sink is behind.
const LOOK: Duration = Duration::from_secs(10);
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
