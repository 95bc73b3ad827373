//! What services that are told something do with it: spans and events.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use model::upstream::ClientTls;
use problem::{Finding, Pointer};
use telemetry::export::Sent;
use upstream::{Address, Below, Recipient};

/// A service that is told something.
pub struct Receiver {
    recipient: Recipient,
    authorization: Option<HeaderValue>,
}

impl Receiver {
    /// The service at a URL, or what is wrong with that. `advice` says what to write.
    pub fn of(name: &str, url: &str, below: Below, (at, advice): (&Pointer, &str)) -> Result<Self, Vec<Finding>> {
        let tls = &ClientTls::default();
        let address = Address { name, url, url_at: at, below, tls, at, advice, patience: PATIENCE };
        Ok(Self { recipient: Recipient::compile(&address)?, authorization: None })
    }

    /// Presents this as `Authorization`.
    #[must_use]
    pub fn authorized(self, authorization: HeaderValue) -> Self {
        Self { authorization: Some(authorization), ..self }
    }

    /// Posts a body once, and says what became of it.
    pub async fn post(&self, content_type: &'static str, body: Bytes) -> Sent {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        // What the answer says is of no use.
        let Ok(reply) = self.recipient.post(headers, body, LONGEST_ANSWER).await else { return Sent::Later(None) };
        match reply.status.as_u16() {
            200..=299 => Sent::Taken,
            429 | 502..=504 => Sent::Later(reply.retry_after),
            _ => Sent::Refused,
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: usize = 64 * 1024;
