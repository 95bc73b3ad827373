//! What those who are told something know us by: signatures of Standard Webhooks.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use store::UnixMicros;

/// The headers of Standard Webhooks, with a signature by each of these secrets.
pub fn signed_headers(secrets: &[&str], id: &str, now: UnixMicros, body: &str) -> Result<HeaderMap, String> {
    let seconds = now.0 / 1_000_000;
    let signed = format!("{id}.{seconds}.{body}");
    let signature = |secret: &&str| format!("v1,{}", STANDARD.encode(sign(secret, signed.as_bytes())));
    let signatures: Vec<String> = secrets.iter().map(signature).collect();
    let text = |text: String| HeaderValue::try_from(text).map_err(|error| error.to_string());
    Ok(HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (USER_AGENT, HeaderValue::from_static(concat!("Vestibule/", env!("CARGO_PKG_VERSION")))),
        (HeaderName::from_static("webhook-id"), text(id.to_owned())?),
        (HeaderName::from_static("webhook-timestamp"), HeaderValue::from(seconds)),
        (HeaderName::from_static("webhook-signature"), text(signatures.join(" "))?),
    ]))
}

/// Whether a text is a secret as Standard Webhooks write it, of a length that cannot be guessed.
pub fn is_secret(text: &str) -> bool {
    let key = text.trim().strip_prefix(PREFIX).and_then(|key| STANDARD.decode(key).ok());
    key.is_some_and(|key| SHORTEST_KEY <= key.len())
}

fn sign(secret: &str, text: &[u8]) -> Vec<u8> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX).unwrap_or_default()).unwrap_or_default();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text).as_ref().to_vec()
}

/// A moment as RFC 3339 writes it.
pub fn rfc3339(at: UnixMicros) -> String {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX).to_string()
}

const PREFIX: &str = "whsec_";

/// Bytes of a key.
const SHORTEST_KEY: usize = 16;
