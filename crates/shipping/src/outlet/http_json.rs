//! JSON by POST, in lines or as an array.

use bytes::Bytes;
use model::logs::{BatchForm, HttpLogs};
use problem::{Finding, Pointer};

use super::Sent;
use upstream::Below;

use super::post::{Post, Service};
use crate::batch::Batch;
use crate::layout::Layout;
use crate::record::Record;

/// A service that takes JSON by POST.
pub(crate) struct HttpJson {
    post: Post,
    layout: Layout,
    form: BatchForm,
}

impl HttpJson {
    pub(crate) fn compile(settings: &HttpLogs, layout: Layout, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let HttpLogs { url, headers, tls, compress, form, .. } = settings;
        let service = Service { url, headers, tls, compression: *compress };
        let content_type = match form {
            BatchForm::Lines => "application/x-ndjson",
            BatchForm::Array => "application/json",
        };
        Ok(Self { post: Post::compile(&service, Below::Nothing, content_type, at)?, layout, form: *form })
    }

    pub(crate) fn prepare(&self, batch: &Batch, which: &[usize]) -> Bytes {
        let mut body = Vec::with_capacity(which.len() * 640);
        let (begin, between, end) = match self.form {
            BatchForm::Lines => (&b""[..], b'\n', b'\n'),
            BatchForm::Array => (&b"["[..], b',', b']'),
        };
        body.extend_from_slice(begin);
        for record in which.iter().filter_map(|index| Record::read(batch.record(*index)?)) {
            if body.len() > begin.len() {
                body.push(between);
            }
            self.layout.json(&mut body, &record);
        }
        body.push(end);
        self.post.compressed(body)
    }

    pub(crate) async fn send(&self, body: Bytes) -> Sent {
        match self.post.send(body).await {
            Ok(_) => Sent::Taken { refused: 0 },
            Err(sent) => sent,
        }
    }
}
