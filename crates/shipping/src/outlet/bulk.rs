//! Elasticsearch and `OpenSearch`: `_bulk`, with the id of each record for `_id`.

use bytes::Bytes;
use model::logs::Elasticsearch;
use problem::{Finding, Pointer};
use serde_json::Value as Json;

use super::Sent;
use upstream::Below;

use super::post::{Post, Service};
use crate::batch::Batch;
use crate::layout::{Layout, json_text, plain};
use crate::record::{Record, Value};

/// An index or a data stream.
pub(crate) struct Bulk {
    post: Post,
    layout: Layout,
    index: String,
}

impl Bulk {
    pub(crate) fn compile(settings: &Elasticsearch, layout: Layout, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let Elasticsearch { url, index, headers, tls, compress, .. } = settings;
        let service = Service { url, headers, tls, compression: *compress };
        let post = Post::compile(&service, Below::Path("/_bulk"), "application/x-ndjson", at)?;
        Ok(Self { post, layout, index: index.clone() })
    }

    pub(crate) fn prepare(&self, batch: &Batch, which: &[usize]) -> Bytes {
        let mut body = Vec::with_capacity(which.len() * 768);
        for record in which.iter().filter_map(|index| Record::read(batch.record(*index)?)) {
            // `create`, because a data stream takes nothing else, and because it leaves alone what is there.
            body.extend_from_slice(b"{\"create\":{\"_index\":");
            json_text(&mut body, &self.index);
            body.extend_from_slice(b",\"_id\":\"");
            plain(&mut body, &Value::Id(record.id));
            body.extend_from_slice(b"\"}}\n");
            self.layout.json(&mut body, &record);
            body.push(b'\n');
        }
        self.post.compressed(body)
    }

    pub(crate) async fn send(&self, body: Bytes, count: usize) -> Sent {
        match self.post.send(body).await {
            Ok(answer) => judged(&answer.body, count),
            Err(sent) => sent,
        }
    }
}

/// What an answer says of each record.
fn judged(body: &[u8], count: usize) -> Sent {
    let Ok(answer) = serde_json::from_slice::<Json>(body) else {
        return Sent::later("the answer to _bulk is no JSON");
    };
    if answer.get("errors") == Some(&Json::Bool(false)) {
        return Sent::Taken { refused: 0 };
    }
    let items = answer.get("items").and_then(Json::as_array).filter(|items| items.len() == count);
    let Some(items) = items else { return Sent::later("the answer to _bulk does not speak of all records") };
    let (mut left, mut refused) = (Vec::new(), 0);
    for (place, item) in items.iter().enumerate() {
        let result = item.as_object().and_then(|item| item.values().next());
        match result.and_then(|result| result.get("status")).and_then(Json::as_u64) {
            // A record that is there already was sent before, and its confirmation did not arrive.
            Some(200..=299 | 409) => {}
            // Somebody has to give a permission, or make the index: that is waited out.
            Some(401 | 403 | 404) => left.push(place),
            Some(status @ 400..=428) => {
                refused += 1;
                let error = result.and_then(|result| result.get("error")).map(Json::to_string).unwrap_or_default();
                tracing::warn!(status, error, "a log record will never be taken");
            }
            _ => left.push(place),
        }
    }
    if left.is_empty() { Sent::Taken { refused } } else { Sent::Left { left, refused } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_record_by_record() {
        for (answer, expected) in [
            (r#"{"errors":false,"items":[]}"#, Sent::Taken { refused: 0 }),
            (
                r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409}}]}"#,
                Sent::Taken { refused: 0 },
            ),
            (
                r#"{"errors":true,"items":[{"create":{"status":429}},{"create":{"status":400,"error":{"type":"x"}}}]}"#,
                Sent::Left { left: vec![0], refused: 1 },
            ),
        ] {
            assert_eq!(judged(answer.as_bytes(), 2), expected, "{answer}");
        }
        for status in [401, 403, 404, 503] {
            let item = format!(r#"{{"create":{{"status":{status},"error":{{"type":"security_exception"}}}}}}"#);
            let answer = format!(r#"{{"errors":true,"items":[{{"create":{{"status":201}}}},{item}]}}"#);
            assert_eq!(judged(answer.as_bytes(), 2), Sent::Left { left: vec![1], refused: 0 }, "{status}");
        }
        for nonsense in ["", "{}", r#"{"errors":true,"items":[{"create":{"status":201}}]}"#] {
            assert!(matches!(judged(nonsense.as_bytes(), 2), Sent::Later { .. }), "{nonsense}");
        }
    }
}
