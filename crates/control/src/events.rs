//! Usage records on their way to services that bill, each as an event, at least once.
//!
//! What was sent is remembered only after it was confirmed: after a crash, what is not known to have arrived is sent again
//! with the same ids. A sink that is away costs disk and no record.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use journal::{Consumer, Journal, Next, SegmentId, SegmentReader};
use metering::UsageRecord;
use model::Document;
use model::units::Size;
use model::usage::{EventForm, EventHttp, EventSink};
use problem::{Finding, Pointer};
use serde_json::{Value, json};
use telemetry::export::Sent;
use upstream::Below;

use crate::receiver::Receiver;

/// What brings events to one sink.
pub(crate) struct Export {
    name: String,
    sink: Sink,
}

enum Sink {
    Http(Box<Receiver>, EventForm),
    File(PathBuf),
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
        let sink = match sink {
            EventSink::Http(http) => receiver(name, http, &at.at("http")),
            EventSink::File(file) => Ok(Sink::File(file.path.clone())),
        };
        match sink {
            Ok(sink) => exports.push(Export { name: name.clone(), sink }),
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(exports) } else { Err(findings) }
}

fn receiver(name: &str, http: &EventHttp, at: &Pointer) -> Result<Sink, Vec<Finding>> {
    let advice = "write a URL such as `http://127.0.0.1:8888/api/v1/events`";
    let mut receiver = Receiver::of(name, &http.url, Below::Nothing, (&at.at("url"), advice))?;
    if let Some(text) = &http.authorization {
        let mut value = HeaderValue::try_from(text.trim()).map_err(|_invalid| {
            vec![Finding::new(&at.at("authorization"), "has characters that no header may have")]
        })?;
        value.set_sensitive(true);
        receiver = receiver.authorized(value);
    }
    Ok(Sink::Http(Box::new(receiver), http.form))
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
    #[error("a newer version wrote segment {0} of the journal")]
    Strange(SegmentId),
}

/// Where a sink has come to.
struct Progress {
    consumer: Consumer,
    file: PathBuf,
    sent: BTreeMap<SegmentId, u64>,
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
    progress: &mut Option<Progress>,
) -> Result<(), NotSent> {
    if progress.is_none() {
        *progress = Progress::begin(&export.name, journal, folder)?;
    }
    // Another process of this store does it.
    let Some(progress) = progress else { return Ok(()) };
    for id in progress.consumer.segments()? {
        let from = progress.sent.get(&id).copied().unwrap_or_default();
        let Some(mut reader) = progress.consumer.read(id, from)? else { continue };
        loop {
            let Batch { events, upto, end } = batch(&mut reader, export.sink.form())?;
            if !events.is_empty() {
                export.send(events).await?;
                progress.remember(id, upto)?;
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

impl Sink {
    fn form(&self) -> EventForm {
        match self {
            Self::Http(_, form) => *form,
            Self::File(_) => EventForm::CloudEvents,
        }
    }
}

impl Export {
    /// Sends a batch. It is confirmed if this is done.
    async fn send(&self, events: Vec<Value>) -> Result<(), NotSent> {
        let (receiver, content_type, body) = match &self.sink {
            Sink::Http(receiver, EventForm::CloudEvents) => {
                (receiver, "application/cloudevents-batch+json", Value::from(events))
            }
            Sink::Http(receiver, EventForm::Lago) => (receiver, "application/json", json!({ "events": events })),
            Sink::File(path) => {
                let path = path.clone();
                let written = tokio::task::spawn_blocking(move || append(&path, &events)).await;
                return Ok(written.map_err(io::Error::other)??);
            }
        };
        match receiver.post(content_type, Bytes::from(body.to_string())).await {
            Sent::Taken => Ok(()),
            Sent::Later(asked) => Err(NotSent::Later(asked)),
            Sent::Refused => Err(NotSent::Refused),
        }
    }
}

/// Adds a line for each event, and waits for the disk. A line that a crash cut short is removed before.
fn append(path: &Path, events: &[Value]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let whole = end_of_last_line(&mut file)?;
    file.set_len(whole)?;
    let mut lines = String::new();
    for event in events {
        lines += &event.to_string();
        lines.push('\n');
    }
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

/// Behind the last line feed of a file.
fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = [0; 4096];
    while end > 0 {
        let length = end.min(block.len() as u64);
        let Some(part) = usize::try_from(length).ok().and_then(|length| block.get_mut(..length)) else { break };
        file.seek(SeekFrom::Start(end - length))?;
        file.read_exact(part)?;
        if let Some(feed) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(end - length + feed as u64 + 1);
        }
        end -= length;
    }
    Ok(0)
}

impl Progress {
    fn begin(name: &str, journal: &Journal, folder: &Path) -> Result<Option<Self>, NotSent> {
        let name = consumer_of(name);
        let Some(consumer) = journal.consumer(&name)? else { return Ok(None) };
        let file = folder.join(format!("{name}.cursor"));
        let lines = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        // A line that cannot be read is a segment from its beginning: rather twice than not at all.
        let sent = lines.lines().filter_map(|line| {
            let (id, offset) = line.split_once(' ')?;
            Some((id.parse().ok()?, offset.parse().ok()?))
        });
        Ok(Some(Self { consumer, file, sent: sent.collect() }))
    }

    /// Remembers, also after a crash, that everything before a place was confirmed.
    fn remember(&mut self, id: SegmentId, upto: u64) -> io::Result<()> {
        self.sent.insert(id, upto);
        let written = self.file.with_extension("cursor-new");
        let mut file = File::create(&written)?;
        let lines: Vec<_> = self.sent.iter().map(|(id, offset)| format!("{id} {offset}\n")).collect();
        file.write_all(lines.concat().as_bytes())?;
        file.sync_data()?;
        fs::rename(&written, &self.file)
    }

    /// This sink needs a segment no more.
    fn finish(&mut self, id: SegmentId) -> Result<(), NotSent> {
        self.consumer.done([id])?;
        self.sent.remove(&id);
        Ok(())
    }
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

    #[test]
    fn a_line_that_a_crash_cut_short_is_not_left_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let long = "x".repeat(10_000);
        for (before, after) in
            [("", "1\n"), ("{\"cut", "1\n"), ("0\n{\"cut", "0\n1\n"), (&long, "1\n"), ("0\n", "0\n1\n")]
        {
            fs::write(&path, before).unwrap();
            append(&path, &[json!(1)]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }
}
