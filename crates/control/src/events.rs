//! Usage records as events for services that bill.

use std::sync::Arc;

use exports::{Begins, Export, Records, Sink, Strange, Terms};
use metering::UsageRecord;
use model::Document;
use model::units::Size;
use model::usage::{EventForm, OnFullJournal};
use problem::{Finding, Pointer};
use serde_json::Value;

/// What no company used is nobody's to pay.
struct Usage;

impl Records for Usage {
    fn read(&self, record: &[u8], form: EventForm, events: &mut Vec<Value>) -> Result<(), Strange> {
        let record = UsageRecord::decode(record).ok_or(Strange)?;
        if !record.company.is_empty() {
            events.push(match form {
                EventForm::CloudEvents => record.cloud_event(),
                EventForm::Lago => record.lago_event(),
            });
        }
        Ok(())
    }

    fn at(&self, record: &[u8]) -> Result<Option<u64>, Strange> {
        let record = UsageRecord::decode(record).ok_or(Strange)?;
        Ok((!record.company.is_empty()).then_some(record.at))
    }
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
        let most_segments = match document.usage.on_full {
            OnFullJournal::Refuse => None,
            OnFullJournal::DropOldest => Some(MOST_WAITING),
        };
        let terms = Terms { what: "usage", begins: Begins::WithEverything, most_segments };
        match Sink::of_usage(name, sink, &at) {
            Ok(sink) => exports.push(Export::new(name, sink, terms, Arc::new(Usage))),
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(exports) } else { Err(findings) }
}

/// Segments of the journal, of 4 MiB each, that wait for a sink at most where it may miss some.
const MOST_WAITING: usize = 1536;

/// Bytes that may be kept at most: the rest of the journal is for what comes while a store or a sink is away.
const MOST_KEPT: u64 = 6 << 30;
