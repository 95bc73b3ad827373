//! A record as it lies on disk: what is known of one exchange, without the names of its fields.
//!
//! A version, the time, the id, and then fields: a byte that names the field and says how its value is written, and the
//! value. So a reader passes over fields that it does not know.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;
use http::header::USER_AGENT;
use model::logs::Field;
use pipeline::{Audited, Exchange, Outcome};
use watch::{Query, Secrets};

use journal::wire::{Source, put_bytes, put_number};

/// A value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    /// An object in JSON.
    Json(Cow<'a, str>),
    Number(u64),
    /// Microseconds, which are told as milliseconds.
    Milliseconds(u64),
    Flag(bool),
    /// Microseconds since 1970.
    Time(u64),
    Id(u128),
    Address(IpAddr),
}

/// A record, read.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// When the exchange began, in microseconds since 1970.
    pub(crate) time: u64,
    pub(crate) id: u128,
    values: [Option<Value<'a>>; FIELDS.len()],
    /// Request headers, by name.
    pub(crate) headers: Vec<(&'a str, Cow<'a, str>)>,
}

/// What is written of exchanges: which fields, which headers, and what of them is replaced.
#[derive(Debug)]
pub(crate) struct Selection {
    wanted: u32,
    masked: u32,
    headers: Vec<(HeaderName, Shown)>,
    query: Query,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Kept,
    Masked,
}

impl Selection {
    /// Without `wanted` fields, all are.
    pub(crate) fn new(wanted: &[Field], masked: &[Field], headers: Vec<(HeaderName, Shown)>, query: Secrets) -> Self {
        let bits = |fields: &[Field]| fields.iter().fold(0, |bits, field| bits | bit(number(*field)));
        let wanted = if wanted.is_empty() { u32::MAX } else { bits(wanted) };
        Self { wanted, masked: bits(masked), headers, query: Query::Mask(query) }
    }
}

/// Appends a record.
pub(crate) fn encode(to: &mut Vec<u8>, exchange: &Exchange, outcome: &Outcome, selection: &Selection) {
    to.push(VERSION);
    // The id begins with the time, too: compressed, the second costs next to nothing.
    to.extend_from_slice(&exchange.began_at.to_be_bytes());
    to.extend_from_slice(&exchange.id.0.to_be_bytes());
    let mut fields = Fields { to, selection };
    fields.address(Field::Client, exchange.client);
    fields.text(Field::Method, exchange.method.as_str());
    fields.target(watch::target(exchange));
    fields.text(Field::Host, &exchange.host);
    fields.text(Field::Scheme, exchange.scheme);
    fields.text(Field::HttpVersion, watch::version(exchange));
    if let Some(status) = outcome.status {
        fields.number(Field::Status, status.as_u16().into());
    }
    fields.flag(Field::Complete, outcome.complete);
    fields.number(Field::BytesIn, outcome.received);
    fields.number(Field::BytesOut, outcome.sent);
    fields.milliseconds(Field::DurationMs, outcome.took);
    names(&mut fields, exchange);
    if let Some(upstream) = &outcome.upstream {
        fields.text(Field::Upstream, &upstream.name);
        fields.text(Field::UpstreamTarget, &upstream.target);
        fields.number(Field::UpstreamAttempts, upstream.attempts.into());
        if let Some(first_byte) = upstream.first_byte {
            fields.milliseconds(Field::UpstreamFirstByteMs, first_byte);
        }
    }
    if let Some(problem) = outcome.problem {
        fields.text(Field::Problem, problem);
    }
    if let Some(agent) = exchange.headers().get(USER_AGENT) {
        fields.bytes(Field::UserAgent, agent.as_bytes());
    }
    if exchange.trace.trace_id != 0 {
        fields.id(Field::TraceId, exchange.trace.trace_id);
    }
    if let Some(audited) = exchange.audited.get().filter(|audited| audited.is_logged()) {
        fields.audited(&**audited);
    }
    headers(to, exchange, selection);
}

fn names(fields: &mut Fields<'_>, exchange: &Exchange) {
    if !exchange.route.api.is_empty() {
        fields.text(Field::Api, &exchange.route.api);
        fields.text(Field::Route, &exchange.route.template);
    }
    if let Some(caller) = &exchange.caller {
        if let Some(company) = &caller.company {
            fields.text(Field::Company, company);
        }
        if let Some(app) = &caller.app {
            fields.text(Field::App, app);
        }
        fields.text(Field::Credential, &caller.credential);
    }
    if let Some(product) = &exchange.product {
        fields.text(Field::Product, product);
    }
}

fn headers(to: &mut Vec<u8>, exchange: &Exchange, selection: &Selection) {
    for (name, shown) in &selection.headers {
        let Some(value) = exchange.headers().get(name) else { continue };
        to.push(key(HEADER, Wire::Header));
        put_bytes(to, name.as_str().as_bytes());
        match shown {
            Shown::Kept => put_bytes(to, value.as_bytes().get(..LONGEST_HEADER).unwrap_or(value.as_bytes())),
            Shown::Masked => put_bytes(to, MASK),
        }
    }
}

/// Where fields are written, unless they are left out or replaced.
struct Fields<'a> {
    to: &'a mut Vec<u8>,
    selection: &'a Selection,
}

impl Fields<'_> {
    /// Begins a field, if its own value is to be written.
    fn begin(&mut self, field: Field, wire: Wire) -> Option<&mut Vec<u8>> {
        let number = number(field);
        if self.selection.wanted & bit(number) == 0 {
            return None;
        }
        if self.selection.masked & bit(number) != 0 {
            self.to.push(key(number, Wire::Text));
            put_bytes(self.to, MASK);
            return None;
        }
        self.to.push(key(number, wire));
        Some(self.to)
    }

    fn bytes(&mut self, field: Field, value: &[u8]) {
        if let Some(to) = self.begin(field, Wire::Text) {
            put_bytes(to, watch::text::bounded(value));
        }
    }

    fn text(&mut self, field: Field, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    fn audited(&mut self, audited: &dyn Audited) {
        let Some(to) = self.begin(Field::Firewall, Wire::Text) else { return };
        let mut told = Vec::new();
        audited.json(&mut told);
        put_bytes(to, &told);
    }

    fn target(&mut self, target: &str) {
        let query = &self.selection.query;
        let Some(to) = self.begin(Field::Target, Wire::Text) else { return };
        let mut length = 0;
        query.pieces(target, |piece| length += piece.len());
        let length = length.min(watch::text::MOST);
        put_number(to, length as u64);
        let mut room = length;
        query.pieces(target, |piece| {
            let piece = piece.as_bytes();
            to.extend_from_slice(piece.get(..room).unwrap_or(piece));
            room = room.saturating_sub(piece.len());
        });
    }

    fn number(&mut self, field: Field, value: u64) {
        if let Some(to) = self.begin(field, Wire::Number) {
            put_number(to, value);
        }
    }

    fn milliseconds(&mut self, field: Field, value: std::time::Duration) {
        if let Some(to) = self.begin(field, Wire::Microseconds) {
            put_number(to, u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn flag(&mut self, field: Field, value: bool) {
        if let Some(to) = self.begin(field, Wire::Flag) {
            put_number(to, value.into());
        }
    }

    fn address(&mut self, field: Field, value: IpAddr) {
        let Some(to) = self.begin(field, Wire::Address) else { return };
        match value {
            IpAddr::V4(address) => put_bytes(to, &address.octets()),
            IpAddr::V6(address) => put_bytes(to, &address.octets()),
        }
    }

    fn id(&mut self, field: Field, value: u128) {
        if let Some(to) = self.begin(field, Wire::Id) {
            to.extend_from_slice(&value.to_be_bytes());
        }
    }
}

impl<'a> Record<'a> {
    /// Reads a record, unless it is none that this version of the program could have written or pass over.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Source(bytes);
        if from.array::<1>()? != [VERSION] {
            return None;
        }
        let (time, id) = (u64::from_be_bytes(from.array()?), u128::from_be_bytes(from.array()?));
        let mut record = Self { time, id, values: Default::default(), headers: Vec::new() };
        while let Some([key]) = from.array() {
            let number = key >> WIRE_BITS;
            let value = match Wire::of(key) {
                Wire::Text => Value::Text(String::from_utf8_lossy(from.bytes()?)),
                Wire::Number => Value::Number(from.number()?),
                Wire::Microseconds => Value::Milliseconds(from.number()?),
                Wire::Flag => Value::Flag(from.number()? != 0),
                Wire::Address => Value::Address(address(from.bytes()?)?),
                Wire::Id => Value::Id(u128::from_be_bytes(from.array()?)),
                Wire::Header => {
                    let name = from.text()?;
                    record.headers.push((name, String::from_utf8_lossy(from.bytes()?)));
                    continue;
                }
                Wire::Other => return None,
            };
            if let Some(place) = record.values.get_mut(usize::from(number)) {
                *place = Some(value);
            }
        }
        Some(record)
    }

    /// The value of a field, if it is known.
    pub(crate) fn value(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::Time => Some(Value::Time(self.time)),
            Field::Id => Some(Value::Id(self.id)),
            // It may have been masked, and is no object then.
            Field::Firewall => match self.values.get(usize::from(number(field)))?.clone()? {
                Value::Text(text) if text.starts_with('{') => Some(Value::Json(text)),
                value => Some(value),
            },
            field => self.values.get(usize::from(number(field)))?.clone(),
        }
    }
}

/// The time of a record, which every version has at the same place.
pub(crate) fn time_of(record: &[u8]) -> u64 {
    record.get(1..9).and_then(|time| time.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// All fields with their own names. The place of a field here is its number on disk, which never changes.
pub(crate) const FIELDS: [(Field, &str); 27] = [
    (Field::Time, "time"),
    (Field::Id, "id"),
    (Field::Client, "client"),
    (Field::Method, "method"),
    (Field::Target, "target"),
    (Field::Host, "host"),
    (Field::Scheme, "scheme"),
    (Field::HttpVersion, "http_version"),
    (Field::Status, "status"),
    (Field::Complete, "complete"),
    (Field::BytesIn, "bytes_in"),
    (Field::BytesOut, "bytes_out"),
    (Field::DurationMs, "duration_ms"),
    (Field::Api, "api"),
    (Field::Route, "route"),
    (Field::Company, "company"),
    (Field::App, "app"),
    (Field::Credential, "credential"),
    (Field::Product, "product"),
    (Field::Upstream, "upstream"),
    (Field::UpstreamTarget, "upstream_target"),
    (Field::UpstreamAttempts, "upstream_attempts"),
    (Field::UpstreamFirstByteMs, "upstream_first_byte_ms"),
    (Field::Problem, "problem"),
    (Field::UserAgent, "user_agent"),
    (Field::TraceId, "trace_id"),
    (Field::Firewall, "firewall"),
];

/// The number of a field on disk: its place in [`FIELDS`], which a test compares.
fn number(field: Field) -> u8 {
    // The cases stand in the order of the table.
    field as u8
}

fn bit(number: u8) -> u32 {
    1 << number
}

fn key(number: u8, wire: Wire) -> u8 {
    number << WIRE_BITS | wire as u8
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match *octets {
        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(octets).ok()?)),
    }
}

/// How a value is written.
#[derive(Clone, Copy)]
enum Wire {
    Text = 0,
    Number = 1,
    Microseconds = 2,
    Flag = 3,
    Address = 4,
    Id = 5,
    Header = 6,
    Other = 7,
}

impl Wire {
    fn of(key: u8) -> Self {
        match key & ((1 << WIRE_BITS) - 1) {
            0 => Self::Text,
            1 => Self::Number,
            2 => Self::Microseconds,
            3 => Self::Flag,
            4 => Self::Address,
            5 => Self::Id,
            6 => Self::Header,
            _ => Self::Other,
        }
    }
}

const VERSION: u8 = 1;
const WIRE_BITS: u8 = 3;
/// The number that no field has.
const HEADER: u8 = 31;
const MASK: &[u8] = b"***";
/// So many bytes of a request header are written.
const LONGEST_HEADER: usize = 1024;

#[cfg(test)]
mod tests {
    use http::Request;
    use pipeline::tester::exchange;
    use proptest::prelude::*;

    use super::*;

    fn everything() -> Selection {
        Selection::new(&[], &[], Vec::new(), Secrets::default())
    }

    #[test]
    fn the_number_of_a_field_is_its_place_in_the_table() {
        for (place, (field, name)) in FIELDS.iter().enumerate() {
            assert_eq!(usize::from(number(*field)), place);
            assert_eq!(serde_json::to_value(field).unwrap(), *name);
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let exchange = exchange(Request::get("/a?token=s3&b=1").header("user-agent", "curl/8"));
        let outcome = Outcome { sent: 300, took: std::time::Duration::from_micros(1500), ..Outcome::default() };
        let mut written = Vec::new();

        encode(&mut written, &exchange, &outcome, &everything());

        let record = Record::read(&written).unwrap();
        assert_eq!((record.time, record.id), (exchange.began_at, exchange.id.0));
        assert_eq!(time_of(&written), exchange.began_at);
        for (field, expected) in [
            (Field::Client, Value::Address("192.0.2.1".parse().unwrap())),
            (Field::Target, Value::Text("/a?token=***&b=1".into())),
            (Field::BytesOut, Value::Number(300)),
            (Field::Complete, Value::Flag(false)),
            (Field::DurationMs, Value::Milliseconds(1500)),
            (Field::UserAgent, Value::Text("curl/8".into())),
        ] {
            assert_eq!(record.value(field), Some(expected));
        }
        assert_eq!(record.value(Field::Status), None);
    }

    #[test]
    fn what_is_masked_or_not_wanted_is_not_written_at_all() {
        let request = Request::get("/a?colour=s3cret").header("user-agent", "s3cret").header("x-pet", "s3cret");
        let exchange = exchange(request.header("x-name", "plain"));
        let headers = [("x-pet", Shown::Masked), ("x-name", Shown::Kept)];
        let headers = headers.map(|(name, shown)| (HeaderName::from_static(name), shown));
        let wanted = [Field::Target, Field::UserAgent, Field::Client];
        let masked = [Field::UserAgent, Field::Client];
        let selection = Selection::new(&wanted, &masked, headers.into(), Secrets::and(["colour"]));
        let mut written = Vec::new();

        encode(&mut written, &exchange, &Outcome::default(), &selection);

        assert!(!String::from_utf8_lossy(&written).contains("s3cret"));
        let record = Record::read(&written).unwrap();
        assert_eq!(record.value(Field::Client), Some(Value::Text("***".into())));
        assert_eq!(record.value(Field::Host), None);
        assert_eq!(record.headers, [("x-pet", "***".into()), ("x-name", "plain".into())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
            let mut versioned = vec![VERSION];
            versioned.extend_from_slice(&bytes);
            let _ = (Record::read(&bytes).is_some(), Record::read(&versioned).is_some());
        }
    }
}
