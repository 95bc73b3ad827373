//! Extended CONNECT (RFC 8441) of clients that speak HTTP/2, towards backends that expect an upgrade of HTTP/1.1.

use std::time::Duration;

use alarm::Alarm;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header, response};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::served::{Served, Tunnel};
use crate::tunnel;

const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;

/// Makes an extended CONNECT for a WebSocket the upgrade that a backend expects, and returns the client's side of it.
pub(crate) fn begin(request: &mut Request<hyper::body::Incoming>) -> Option<OnUpgrade> {
    if request.method() != Method::CONNECT {
        return None;
    }
    let is_websocket = request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    if !is_websocket {
        return None;
    }
    let client = hyper::upgrade::on(&mut *request);
    request.extensions_mut().remove::<Protocol>();
    *request.method_mut() = Method::GET;
    // HTTP/2 has no such key, and the backend's proof that it has seen ours is for no client's eyes.
    let key = STANDARD.encode(telemetry::ids::trace_id().to_be_bytes());
    let headers = request.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(key) = HeaderValue::try_from(key) {
        headers.insert(KEY, key);
    }
    Some(client)
}

/// Makes the backend's `101` what agrees to an extended CONNECT.
pub(crate) fn agree(head: &mut response::Parts) {
    head.status = StatusCode::OK;
    for name in [header::UPGRADE, header::CONNECTION, header::SEC_WEBSOCKET_ACCEPT] {
        head.headers.remove(name);
    }
}

/// Passes bytes in both directions; what is `held` is let go of at the end.
#[expect(clippy::disallowed_methods, reason = "a tunnel ends when either side does, or after its idle time")]
pub(crate) fn relay(client: OnUpgrade, tunnel: Tunnel, idle: Duration, held: (Served, impl Send + 'static)) {
    tokio::spawn(async move {
        match client.await {
            Ok(client) => tunnel::relay(TokioIo::new(client), tunnel, idle, &Alarm::new()).await,
            Err(error) => tracing::debug!(%error, "a stream could not become a tunnel"),
        }
        drop(held);
    });
}
