//! OTLP/HTTP logs, in the JSON form of the protocol.

use bytes::Bytes;
use model::logs::OtlpLogs;
use problem::{Finding, Pointer};
use serde_json::Value as Json;
use watch::text;

use super::Sent;
use upstream::Below;

use super::post::{Post, Service};
use crate::batch::Batch;
use crate::layout::{Layout, json_text, json_value, plain};
use crate::record::{Record, Value};

/// An OpenTelemetry receiver.
pub(crate) struct Otlp {
    post: Post,
    layout: Layout,
    service: String,
}

impl Otlp {
    pub(crate) fn compile(settings: &OtlpLogs, layout: Layout, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let OtlpLogs { url, headers, tls, compress, service: name, .. } = settings;
        let service = Service { url, headers, tls, compression: *compress };
        let post = Post::compile(&service, Below::Path("/v1/logs"), "application/json", at)?;
        Ok(Self { post, layout, service: name.clone() })
    }

    pub(crate) fn prepare(&self, batch: &Batch, which: &[usize]) -> Bytes {
        let mut body = Vec::with_capacity(which.len() * 1024);
        body.extend_from_slice(
            br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"#,
        );
        json_text(&mut body, &self.service);
        body.extend_from_slice(br#"}}]},"scopeLogs":[{"scope":{"name":"vestibule"},"logRecords":["#);
        let begin = body.len();
        for record in which.iter().filter_map(|index| Record::read(batch.record(*index)?)) {
            if body.len() > begin {
                body.push(b',');
            }
            self.record(&mut body, &record);
        }
        body.extend_from_slice(b"]}]}]}");
        self.post.compressed(body)
    }

    fn record(&self, to: &mut Vec<u8>, record: &Record<'_>) {
        // Numbers of 64 bits are text in the JSON form of protobuf.
        to.extend_from_slice(br#"{"timeUnixNano":""#);
        text::number(to, u128::from(record.time) * 1000);
        to.extend_from_slice(br#"","severityNumber":9,"eventName":"vestibule.access""#);
        if let Some(Value::Id(id)) = record.value(model::logs::Field::TraceId) {
            to.extend_from_slice(br#","traceId":""#);
            plain(to, &Value::Id(id));
            to.push(b'"');
        }
        to.extend_from_slice(br#","attributes":["#);
        let begin = to.len();
        self.layout.members(record, |name, value| {
            if to.len() > begin {
                to.push(b',');
            }
            to.extend_from_slice(br#"{"key":"#);
            json_text(to, name);
            to.extend_from_slice(br#","value":{"#);
            match &value {
                Value::Number(number) => {
                    to.extend_from_slice(br#""intValue":""#);
                    text::number(to, *number);
                    to.push(b'"');
                }
                Value::Milliseconds(_) => typed(to, br#""doubleValue":"#, &value),
                Value::Flag(_) => typed(to, br#""boolValue":"#, &value),
                Value::Json(object) => {
                    to.extend_from_slice(br#""stringValue":"#);
                    json_text(to, object);
                }
                Value::Text(_) | Value::Time(_) | Value::Id(_) | Value::Address(_) => {
                    typed(to, br#""stringValue":"#, &value);
                }
            }
            to.extend_from_slice(b"}}");
        });
        to.extend_from_slice(b"]}");
    }

    pub(crate) async fn send(&self, body: Bytes) -> Sent {
        match self.post.send(body).await {
            Ok(answer) => Sent::Taken { refused: refused(&answer.body) },
            Err(sent) => sent,
        }
    }
}

fn typed(to: &mut Vec<u8>, name: &[u8], value: &Value<'_>) {
    to.extend_from_slice(name);
    json_value(to, value);
}

/// How many records of a success were refused. The protocol says that they must not be sent again.
fn refused(body: &[u8]) -> u64 {
    let answer: Json = serde_json::from_slice(body).unwrap_or_default();
    let rejected = answer.pointer("/partialSuccess/rejectedLogRecords");
    let refused =
        rejected.and_then(|rejected| rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok())).unwrap_or(0);
    if refused > 0 {
        let why = answer.pointer("/partialSuccess/errorMessage").and_then(Json::as_str).unwrap_or_default();
        tracing::warn!(records = refused, why, "log records will never be taken");
    }
    refused
}
