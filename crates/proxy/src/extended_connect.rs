//! Extended CONNECT (RFC 8441) of clients that speak HTTP/2, towards backends that expect an upgrade of HTTP/1.1.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::{HeaderName, HeaderValue, Method, StatusCode, header, request, response};

const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;

/// Makes an extended CONNECT for a WebSocket the upgrade that a backend expects, and says whether it was one.
pub(crate) fn begin(head: &mut request::Parts) -> bool {
    let protocol = head.extensions.remove::<Protocol>();
    let is_websocket = protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
    if head.method != Method::CONNECT || !is_websocket {
        return false;
    }
    head.method = Method::GET;
    // HTTP/2 has no such key, and the backend's proof that it has seen ours is for no client's eyes.
    let key = STANDARD.encode(telemetry::ids::trace_id().to_be_bytes());
    let headers = &mut head.headers;
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(key) = HeaderValue::try_from(key) {
        headers.insert(KEY, key);
    }
    true
}

/// Makes the backend's `101` what agrees to an extended CONNECT.
pub(crate) fn agree(head: &mut response::Parts) {
    head.status = StatusCode::OK;
    for name in [header::UPGRADE, header::CONNECTION, header::SEC_WEBSOCKET_ACCEPT] {
        head.headers.remove(name);
    }
}
