//! The ways out of events: each takes a batch and says whether it has it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use model::room_events::{RoomEventRedis, RoomEventTarget, RoomEventWebhook};
use model::usage::{EventForm, EventHttp, EventSink};
use problem::{Finding, Pointer};
use serde_json::{Value, json};
use store_redis::Stream;
use telemetry::export::Sent;
use upstream::{Address, Below, Recipient};

use crate::export::NotSent;
use crate::jetstream::JetStream;
use crate::receiver::Receiver;
use crate::signature::{is_secret, rfc3339, signed_headers};

/// A way out.
pub struct Sink(Way);

enum Way {
    Http(Box<Receiver>, EventForm),
    Webhook(Box<Recipient>, String),
    Nats(Box<JetStream>),
    Redis(Box<Stream>),
    File(PathBuf),
    /// What the gateway says of itself.
    Diagnostics,
}

impl Sink {
    /// The way out that an operator wrote for usage, or what is wrong with it.
    pub fn of_usage(name: &str, written: &EventSink, at: &Pointer) -> Result<Self, Vec<Finding>> {
        Ok(Self(match written {
            EventSink::Http(http) => receiver(name, http, &at.at("http"))?,
            EventSink::Nats(nats) => Way::Nats(Box::new(JetStream::compile(nats, &at.at("nats"))?)),
            EventSink::File(file) => Way::File(file.path.clone()),
        }))
    }

    /// The way out that an operator wrote for what happens in waiting rooms, or what is wrong with it.
    pub fn of_rooms(name: &str, written: &RoomEventTarget, at: &Pointer) -> Result<Self, Vec<Finding>> {
        Ok(Self(match written {
            RoomEventTarget::Webhook(webhook) => signed(name, webhook, &at.at("webhook"))?,
            RoomEventTarget::Nats(nats) => Way::Nats(Box::new(JetStream::compile(nats, &at.at("nats"))?)),
            RoomEventTarget::Redis(RoomEventRedis { address, stream, longest }) => {
                let unfit = |unfit: store_redis::BadAddress| {
                    vec![Finding::new(&at.at("redis").at("address"), unfit.to_string())]
                };
                Way::Redis(Box::new(Stream::open(address, stream, *longest).map_err(unfit)?))
            }
            RoomEventTarget::File(file) => Way::File(file.path.clone()),
            RoomEventTarget::Log => Way::Diagnostics,
        }))
    }

    /// What it wants events to look like.
    pub(crate) fn form(&self) -> EventForm {
        match &self.0 {
            Way::Http(_, form) => *form,
            Way::Webhook(..) | Way::Nats(_) | Way::Redis(_) | Way::File(_) | Way::Diagnostics => EventForm::CloudEvents,
        }
    }

    /// Sends a batch. It is confirmed if this is done.
    pub(crate) async fn send(&self, events: Vec<Value>) -> Result<(), NotSent> {
        let (receiver, content_type, body) = match &self.0 {
            Way::Http(receiver, EventForm::CloudEvents) => {
                (receiver, "application/cloudevents-batch+json", Value::from(events))
            }
            Way::Http(receiver, EventForm::Lago) => (receiver, "application/json", json!({ "events": events })),
            Way::Nats(stream) => return Ok(stream.publish(&events).await?),
            Way::Webhook(recipient, secret) => return told(recipient, secret, &events).await,
            Way::Redis(stream) => {
                let entries: Vec<_> = events.iter().map(|event| (text(event, "type"), event.to_string())).collect();
                return Ok(stream.add(&entries).await?);
            }
            Way::Diagnostics => {
                for event in &events {
                    let (kind, room) = (text(event, "type"), text(event, "subject"));
                    let detail = event.get("data").unwrap_or(&Value::Null);
                    tracing::info!(kind, room, %detail, "something happened in a waiting room");
                }
                return Ok(());
            }
            Way::File(path) => {
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

/// Posts each event by itself, signed as Standard Webhooks are; those that were taken before one is not are posted again with
/// the same ids.
async fn told(recipient: &Recipient, secret: &str, events: &[Value]) -> Result<(), NotSent> {
    for event in events {
        let now = crate::now();
        let timestamp = event.get("time").cloned().unwrap_or_else(|| rfc3339(now).into());
        let body = json!({ "type": event.get("type"), "timestamp": timestamp, "data": event.get("data") }).to_string();
        let headers = signed_headers(&[secret], text(event, "id"), now, &body).map_err(NotSent::Said)?;
        let Ok(reply) = recipient.post(headers, Bytes::from(body), LONGEST_ANSWER).await else {
            return Err(NotSent::Later(None));
        };
        match reply.status.as_u16() {
            200..=299 => {}
            429 | 502..=504 => return Err(NotSent::Later(reply.retry_after)),
            _ => return Err(NotSent::Refused),
        }
    }
    Ok(())
}

fn signed(name: &str, webhook: &RoomEventWebhook, at: &Pointer) -> Result<Way, Vec<Finding>> {
    let RoomEventWebhook { url, secret, tls } = webhook;
    if !is_secret(secret) {
        let message =
            "is no secret: write `whsec_` and 16 bytes or more in base64, as `openssl rand -base64 32` makes them";
        return Err(vec![Finding::new(&at.at("secret"), message)]);
    }
    let advice = "write a URL such as `https://shop.example/rooms`";
    let (below, url_at, patience) = (Below::Nothing, &at.at("url"), PATIENCE);
    let address = Address { name, url, url_at, below, tls, at, advice, patience };
    Ok(Way::Webhook(Box::new(Recipient::compile(&address)?), secret.trim().to_owned()))
}

fn text<'a>(event: &'a Value, member: &str) -> &'a str {
    event.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn receiver(name: &str, http: &EventHttp, at: &Pointer) -> Result<Way, Vec<Finding>> {
    let advice = "write a URL such as `http://127.0.0.1:8888/api/v1/events`";
    let mut receiver = Receiver::of(name, &http.url, Below::Nothing, (&at.at("url"), advice))?;
    if let Some(text) = &http.authorization {
        let mut value = HeaderValue::try_from(text.trim()).map_err(|_invalid| {
            vec![Finding::new(&at.at("authorization"), "has characters that no header may have")]
        })?;
        value.set_sensitive(true);
        receiver = receiver.authorized(value);
    }
    Ok(Way::Http(Box::new(receiver), http.form))
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

/// How long a webhook may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: usize = 64 * 1024;

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
