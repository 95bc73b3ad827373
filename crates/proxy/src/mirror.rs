//! Copies of requests for another upstream, whose answers nobody waits for.

use std::sync::Arc;

use alarm::Alarm;
use http_body_util::BodyExt;
use pipeline::{Body, Exchange};
use upstream::{Outgoing, Upstream};

/// Sends a copy of the request in the background, if its body is in memory; a body that streams is not copied.
pub(crate) fn copy(upstream: &Arc<Upstream>, exchange: &Exchange, body: &Body) {
    let Some(body) = body.again() else { return };
    let (mut head, upstream, client) = (exchange.head.clone(), upstream.clone(), exchange.client);
    head.headers.remove(http::header::EXPECT);
    #[expect(clippy::disallowed_methods, reason = "nothing is lost when a copy is cut, and the upstream limits them")]
    tokio::spawn(async move {
        let alarm = Alarm::new();
        let outgoing = Outgoing { head: &mut head, body, client, alarm: &alarm, interim: None };
        match upstream.send(outgoing).await {
            Ok(answer) => {
                let mut body = answer.response.into_body();
                while let Some(Ok(_)) = body.frame().await {}
            }
            Err(failed) => tracing::debug!(upstream = &*upstream.name, kind = ?failed.kind, "a copy got no answer"),
        }
    });
}
