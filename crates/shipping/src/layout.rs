//! What a record looks like at a sink: which fields under which names, and how values become JSON and `MessagePack`.

use std::borrow::Cow;

use model::logs::{Field, LogRecord};
use watch::text;

use crate::record::{FIELDS, Record, Value};

/// The names of a sink's records.
#[derive(Debug)]
pub(crate) struct Layout {
    fields: Vec<(Field, String)>,
    /// Request headers: the name of the header, and its name at the sink.
    headers: Vec<(String, String)>,
    added: Vec<(String, String)>,
}

impl Layout {
    pub(crate) fn of(written: &LogRecord) -> Self {
        let own_names = || FIELDS.iter().map(|(field, name)| (*field, (*name).to_owned())).collect();
        let mut fields: Vec<_> = written.fields.iter().map(|(name, field)| (*field, name.clone())).collect();
        if fields.is_empty() {
            fields = own_names();
        } else if !fields.iter().any(|(field, _)| *field == Field::Id) {
            fields.push((Field::Id, "id".to_owned()));
        }
        let headers =
            written.headers.iter().map(|(header, name)| (header.to_ascii_lowercase(), name.clone())).collect();
        let added = written.add.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        Self { fields, headers, added }
    }

    /// Tells the members of a record, in the order of the document.
    pub(crate) fn members<'a>(&'a self, record: &'a Record<'a>, mut tell: impl FnMut(&'a str, Value<'a>)) {
        for (field, name) in &self.fields {
            if let Some(value) = record.value(*field) {
                tell(name, value);
            }
        }
        for (header, name) in &self.headers {
            if let Some((_, value)) = record.headers.iter().find(|(known, _)| known == header) {
                tell(name, Value::Text(Cow::Borrowed(value)));
            }
        }
        for (name, text) in &self.added {
            tell(name, Value::Text(Cow::Borrowed(text)));
        }
    }

    /// Appends a record as a JSON object on one line, without its end.
    pub(crate) fn json(&self, to: &mut Vec<u8>, record: &Record<'_>) {
        to.push(b'{');
        let begin = to.len();
        self.members(record, |name, value| {
            if to.len() > begin {
                to.push(b',');
            }
            json_text(to, name);
            to.push(b':');
            json_value(to, &value);
        });
        to.push(b'}');
    }

    /// Appends a record as a map of `MessagePack`.
    pub(crate) fn message_pack(&self, to: &mut Vec<u8>, record: &Record<'_>) {
        let (mut count, mut members) = (0_u32, Vec::with_capacity(512));
        self.members(record, |name, value| {
            count += 1;
            pack_text(&mut members, name);
            pack_value(&mut members, &value);
        });
        // Memory takes all that is written.
        rmp::encode::write_map_len(to, count).ok();
        to.extend_from_slice(&members);
    }
}

/// Appends a text with its quotes.
pub(crate) fn json_text(to: &mut Vec<u8>, value: &str) {
    to.push(b'"');
    text::json(to, value.as_bytes());
    to.push(b'"');
}

/// Appends a value; ids, addresses and times are texts.
pub(crate) fn json_value(to: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(value) => json_text(to, value),
        Value::Json(object) => to.extend_from_slice(object.as_bytes()),
        Value::Number(number) => text::number(to, *number),
        Value::Milliseconds(microseconds) => text::milliseconds(to, std::time::Duration::from_micros(*microseconds)),
        Value::Flag(flag) => to.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Time(_) | Value::Id(_) | Value::Address(_) => {
            to.push(b'"');
            plain(to, value);
            to.push(b'"');
        }
    }
}

/// Appends a time, an id or an address as text that needs no escape.
pub(crate) fn plain(to: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Time(microseconds) => text::time(to, *microseconds),
        Value::Id(id) => text::hex(to, id.to_be_bytes()),
        Value::Address(address) => text::address(to, *address),
        Value::Text(_) | Value::Json(_) | Value::Number(_) | Value::Milliseconds(_) | Value::Flag(_) => {}
    }
}

fn pack_value(to: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) | Value::Json(text) => pack_text(to, text),
        Value::Number(number) => drop(rmp::encode::write_uint(to, *number)),
        Value::Milliseconds(microseconds) => drop(rmp::encode::write_f64(to, milliseconds(*microseconds))),
        Value::Flag(flag) => drop(rmp::encode::write_bool(to, *flag)),
        Value::Time(_) | Value::Id(_) | Value::Address(_) => {
            let mut text = Vec::with_capacity(40);
            plain(&mut text, value);
            pack_text(to, &String::from_utf8_lossy(&text));
        }
    }
}

pub(crate) fn pack_text(to: &mut Vec<u8>, text: &str) {
    rmp::encode::write_str(to, text).ok();
}

#[expect(clippy::cast_precision_loss, reason = "a duration of 52 bits of microseconds is 142 years")]
pub(crate) fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Request};
    use pipeline::Outcome;
    use pipeline::tester::exchange;
    use serde_json::json;
    use watch::Secrets;

    use super::*;
    use crate::record::{Selection, Shown, encode};

    fn record(written: &mut Vec<u8>) -> Record<'_> {
        let exchange = exchange(Request::get("/a\"b").header("x-pet", "cat"));
        let outcome = Outcome { took: std::time::Duration::from_micros(1500), complete: true, ..Outcome::default() };
        let headers = vec![(HeaderName::from_static("x-pet"), Shown::Kept)];
        encode(written, &exchange, &outcome, &Selection::new(&[], &[], headers, Secrets::default()));
        Record::read(written).unwrap()
    }

    fn layout(written: serde_json::Value) -> Layout {
        Layout::of(&serde_json::from_value(written).unwrap())
    }

    #[test]
    fn fields_have_the_names_that_the_operator_gave_them_and_an_id() {
        let layout = layout(json!({
            "fields": {"@timestamp": "time", "took": "duration_ms", "ok": "complete"},
            "headers": {"X-Pet": "pet"}, "add": {"site": "here"},
        }));
        let (mut written, mut line) = (Vec::new(), Vec::new());

        layout.json(&mut line, &record(&mut written));

        let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let expected = json!({
            "@timestamp": "2026-01-01T00:00:00.000000Z", "took": 1.5, "ok": true,
            "id": "00000000000000000000000000000001", "pet": "cat", "site": "here",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_record_is_the_same_in_message_pack() {
        let layout = layout(json!({}));
        let (mut written, mut packed, mut line) = (Vec::new(), Vec::new(), Vec::new());
        let record = record(&mut written);

        layout.message_pack(&mut packed, &record);
        layout.json(&mut line, &record);

        let read = rmpv::decode::read_value(&mut &packed[..]).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&line).unwrap();
        for (name, value) in read.as_map().unwrap() {
            let expected = &expected[name.as_str().unwrap()];
            assert_eq!(value.as_str(), expected.as_str(), "{name}");
            assert_eq!(value.as_f64(), expected.as_f64(), "{name}");
            assert_eq!(value.as_bool(), expected.as_bool(), "{name}");
        }
        assert_eq!(read.as_map().unwrap().len(), expected.as_object().unwrap().len());
    }
}
