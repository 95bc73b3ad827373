//! POST to a service, by the client that backends are asked with.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::logs::BodyCompression;
use model::named::Named;
use model::upstream::ClientTls;
use problem::{Finding, Pointer};
use upstream::{Address, Below, Recipient, Reply};

use super::{PATIENCE, Sent};

/// A service that is posted to.
pub(crate) struct Post {
    recipient: Recipient,
    headers: Vec<(HeaderName, HeaderValue)>,
    content_type: &'static str,
    compression: BodyCompression,
}

/// What a sink's settings say of the service.
pub(crate) struct Service<'a> {
    pub(crate) url: &'a str,
    pub(crate) headers: &'a Named<String>,
    pub(crate) tls: &'a ClientTls,
    pub(crate) compression: BodyCompression,
}

/// An answer that means neither that all was taken nor that anything is wrong.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

impl Post {
    /// A service at its URL or below it, or what is wrong with it.
    pub(crate) fn compile(
        service: &Service<'_>,
        below: Below,
        content_type: &'static str,
        at: &Pointer,
    ) -> Result<Self, Vec<Finding>> {
        let Service { url, tls, .. } = service;
        let advice = "write a URL such as `https://logs.example`";
        let url_at = &at.at("url");
        let address = Address { name: "logs", url, url_at, below, tls, at, advice, patience: PATIENCE };
        let recipient = Recipient::compile(&address)?;
        let headers = crate::plan::headers(service.headers, at)?;
        Ok(Self { recipient, headers, content_type, compression: service.compression })
    }

    /// A body as it is sent.
    pub(crate) fn compressed(&self, body: Vec<u8>) -> Bytes {
        let packed = match self.compression {
            BodyCompression::None => Ok(body),
            BodyCompression::Gzip => gzip(&body),
            BodyCompression::Zstd => zstd::bulk::compress(&body, ZSTD_LEVEL),
        };
        // Memory takes all that is written.
        packed.unwrap_or_default().into()
    }

    /// Posts a body, and reads the answer if its status says success.
    pub(crate) async fn send(&self, body: Bytes) -> Result<Answer, Sent> {
        let encoding = match self.compression {
            BodyCompression::None => None,
            BodyCompression::Gzip => Some("gzip"),
            BodyCompression::Zstd => Some("zstd"),
        };
        let own = [(CONTENT_TYPE, self.content_type), (ACCEPT_ENCODING, "identity")].into_iter();
        let own = own.chain(encoding.map(|encoding| (CONTENT_ENCODING, encoding)));
        let mut headers: HeaderMap = own.map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        // Those of the operator come last, so that they win.
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        let reply = self.recipient.post(headers, body, LONGEST_ANSWER).await.map_err(|failed| match failed.cause {
            Some(cause) => Sent::later(cause),
            None => Sent::later(format_args!("{:?}", failed.kind)),
        })?;
        let Reply { status, retry_after, body } = reply;
        match status.as_u16() {
            200..=299 => Ok(Answer { body: body.map_err(Sent::later)? }),
            400 | 413 | 422 => Err(Sent::Unfit(format!("{status}: {}", beginning(&body.unwrap_or_default())))),
            // Whoever forgot a token or a path wants the records all the same, once it is put right.
            _ => Err(Sent::Later {
                after: retry_after,
                why: format!("{status}: {}", beginning(&body.unwrap_or_default())),
            }),
        }
    }
}

/// The beginning of an answer, for the log.
fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned()
}

/// Compresses with little effort: records are much alike.
pub(crate) fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// An answer to `_bulk` has a line for every record.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
const ZSTD_LEVEL: i32 = 1;
