//! The ways out of events: each takes a batch and says whether it has it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderValue;
use model::usage::{EventForm, EventHttp, EventSink};
use problem::{Finding, Pointer};
use serde_json::{Value, json};
use telemetry::export::Sent;
use upstream::Below;

use super::NotSent;
use super::jetstream::JetStream;
use crate::receiver::Receiver;

/// A way out.
pub(super) enum Sink {
    Http(Box<Receiver>, EventForm),
    Nats(Box<JetStream>),
    File(PathBuf),
}

impl Sink {
    /// The way out that an operator wrote, or what is wrong with it.
    pub(super) fn compile(name: &str, written: &EventSink, at: &Pointer) -> Result<Self, Vec<Finding>> {
        match written {
            EventSink::Http(http) => receiver(name, http, &at.at("http")),
            EventSink::Nats(nats) => Ok(Self::Nats(Box::new(JetStream::compile(nats, &at.at("nats"))?))),
            EventSink::File(file) => Ok(Self::File(file.path.clone())),
        }
    }

    /// What it wants events to look like.
    pub(super) fn form(&self) -> EventForm {
        match self {
            Self::Http(_, form) => *form,
            Self::Nats(_) | Self::File(_) => EventForm::CloudEvents,
        }
    }

    /// Sends a batch. It is confirmed if this is done.
    pub(super) async fn send(&self, events: Vec<Value>) -> Result<(), NotSent> {
        let (receiver, content_type, body) = match self {
            Self::Http(receiver, EventForm::CloudEvents) => {
                (receiver, "application/cloudevents-batch+json", Value::from(events))
            }
            Self::Http(receiver, EventForm::Lago) => (receiver, "application/json", json!({ "events": events })),
            Self::Nats(stream) => return Ok(stream.publish(&events).await?),
            Self::File(path) => {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
