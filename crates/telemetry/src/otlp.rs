//! Spans, and batches of them in the JSON form of the OpenTelemetry protocol (OTLP 1.x).
//!
//! The form is protobuf's JSON with its own rules: ids in hexadecimal, names in camel case, 64-bit
//! numbers as text, cases of enumerations as numbers.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// One span that has ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// The trace it belongs to.
    #[serde(serialize_with = "hex_128")]
    pub trace_id: u128,
    /// Its own id.
    #[serde(serialize_with = "hex_64")]
    pub span_id: u64,
    /// The span within which it happened.
    #[serde(serialize_with = "hex_64_if_any", skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<u64>,
    /// The `tracestate` field that came with it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_state: String,
    /// The trace's flags, and whether its parent was in another process.
    pub flags: u32,
    /// What it did, in few words.
    pub name: String,
    /// Who it was in a call.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since 1970.
    #[serde(serialize_with = "text", rename = "startTimeUnixNano")]
    pub began: u64,
    /// When it ended, in nanoseconds since 1970.
    #[serde(serialize_with = "text", rename = "endTimeUnixNano")]
    pub ended: u64,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
    /// How it went.
    #[serde(skip_serializing_if = "Status::is_unset")]
    pub status: Status,
}

impl Span {
    /// The trace is recorded.
    pub const SAMPLED: u32 = 0x001;
    /// It is known whether the parent was in another process.
    pub const HAS_IS_REMOTE: u32 = 0x100;
    /// The parent was in another process.
    pub const IS_REMOTE: u32 = 0x200;
}

/// Who a span was in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// The one that was called.
    Server,
    /// The one that called.
    Client,
}

impl Serialize for SpanKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(match self {
            Self::Server => 2,
            Self::Client => 3,
        })
    }
}

/// How a span went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing is said.
    #[default]
    Unset,
    /// It failed.
    Error,
}

impl Status {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_unset(&self) -> bool {
        *self == Self::Unset
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let code = match self {
            Self::Unset => 0,
            Self::Error => 2,
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("code", &code)?;
        map.end()
    }
}

/// One thing that is known of a span or of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// Its name, of OpenTelemetry's semantic conventions where these have one.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
}

impl Attribute {
    /// An attribute whose value is text.
    pub fn text(key: &'static str, value: impl Into<Text>) -> Self {
        Self { key, value: Value::StringValue(value.into()) }
    }

    /// An attribute whose value is a number.
    pub fn number(key: &'static str, value: u64) -> Self {
        Self { key, value: Value::IntValue(value) }
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// Text.
    StringValue(Text),
    /// A number.
    #[serde(serialize_with = "text")]
    IntValue(u64),
}

/// Text that is shared where that is possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Text of the program or of its own.
    Own(Cow<'static, str>),
    /// A name of the configuration.
    Shared(Arc<str>),
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::Own(Cow::Borrowed(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Own(Cow::Owned(text))
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Own(text) => text,
            Self::Shared(text) => text,
        })
    }
}

/// Who records spans: the attributes of the process (`service.name` and the like) and its version.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What is known of the process.
    pub attributes: Vec<Attribute>,
    /// The version of this program.
    pub version: &'static str,
}

/// The body of a request to `/v1/traces`, to be sent as `application/json`.
pub fn traces(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let request = Traces {
        resource_spans: [ResourceSpans {
            resource: Attributes { attributes: &resource.attributes },
            scope_spans: [ScopeSpans { scope: Scope { name: "vestibule", version: resource.version }, spans }],
        }],
    };
    let mut body = Vec::with_capacity(1024 * (1 + spans.len()));
    // Nothing here has a form that JSON lacks, and memory takes all that is written.
    request.serialize(&mut serde_json::Serializer::new(&mut body)).ok();
    body
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Traces<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Attributes<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Attributes<'a> {
    attributes: &'a [Attribute],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope<'a>,
    spans: &'a [Span],
}

#[derive(Serialize)]
struct Scope<'a> {
    name: &'a str,
    version: &'a str,
}

fn hex_128<S: Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:032x}"))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn hex_64<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:016x}"))
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn hex_64_if_any<S: Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    hex_64(&id.unwrap_or_default(), serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_batch_follows_the_rules_of_otlp_json() {
        let resource = Resource { attributes: vec![Attribute::text("service.name", "gateway")], version: "1.2.3" };
        let span = Span {
            trace_id: 0xabc,
            span_id: 0xdef,
            parent_span_id: Some(0x123),
            trace_state: "a=b".to_owned(),
            flags: Span::SAMPLED | Span::HAS_IS_REMOTE | Span::IS_REMOTE,
            name: "GET /orders/{id}".to_owned(),
            kind: SpanKind::Server,
            began: 1_767_225_600_000_000_000,
            ended: 1_767_225_600_001_000_000,
            attributes: vec![Attribute::number("http.response.status_code", 502)],
            status: Status::Error,
        };

        let read: serde_json::Value = serde_json::from_slice(&traces(&resource, &[span])).unwrap();

        let expected = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]},
            "scopeSpans": [{
                "scope": {"name": "vestibule", "version": "1.2.3"},
                "spans": [{
                    "traceId": "00000000000000000000000000000abc",
                    "spanId": "0000000000000def",
                    "parentSpanId": "0000000000000123",
                    "traceState": "a=b",
                    "flags": 0x301,
                    "name": "GET /orders/{id}",
                    "kind": 2,
                    "startTimeUnixNano": "1767225600000000000",
                    "endTimeUnixNano": "1767225600001000000",
                    "attributes": [{"key": "http.response.status_code", "value": {"intValue": "502"}}],
                    "status": {"code": 2},
                }],
            }],
        }]});
        assert_eq!(read, expected);
    }
}
