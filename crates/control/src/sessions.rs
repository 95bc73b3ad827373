//! Sessions of partners at backends: kept in the store, told of their uses, and closed when they are due.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Request;
use secrets::{SealingKey, Vault};
use sessions::{Answered, Asks, Reading, Sessions};
use store::{InMemoryLeases, Leases};
use telemetry::metrics::{Definition, Registry, Unit};

use crate::Node;
use crate::clock::now;

/// How often the store is told which sessions were used, and asked which are due.
const EVERY: Duration = Duration::from_secs(1);

/// The name of the key in the vault that seals what closes sessions.
const KEY: &str = "sessions";

/// The sessions whose places are in `leases`.
pub(crate) fn sessions(leases: Arc<dyn Leases>, vault: &Vault) -> Result<Sessions, secrets::Error> {
    Ok(Sessions::new(leases, sealing_key(vault, KEY)?, Arc::new(now)))
}

/// The key of this name in the vault, which is made if there is none.
pub(crate) fn sealing_key(vault: &Vault, name: &str) -> Result<SealingKey, secrets::Error> {
    vault.update(name, |kept| {
        if let Some(key) = kept.and_then(|bytes| SealingKey::from_bytes(&bytes)) {
            return Ok((key, None));
        }
        let key = SealingKey::generate()?;
        let bytes = key.bytes().to_vec();
        Ok((key, Some(bytes)))
    })
}

/// No sessions, for documents that are only looked at.
pub(crate) fn none() -> Option<Arc<Sessions>> {
    let leases = Arc::new(InMemoryLeases::new(Arc::new(now)));
    Some(Arc::new(Sessions::new(leases, SealingKey::from_bytes(&[0; 32])?, Arc::new(now))))
}

/// The upstreams of whatever document serves.
struct Serving(Weak<Node>);

impl Asks for Serving {
    fn ask(&self, upstream: &str, request: Request<Bytes>, most: usize) -> BoxFuture<'static, Answered> {
        match self.0.upgrade().and_then(|node| node.live.current().backend(upstream)) {
            Some(backend) => backend.ask(request, most),
            None => std::future::ready(Err(format!("there is no upstream `{upstream}`"))).boxed(),
        }
    }
}

/// Closes sessions that nobody closed.
pub(crate) async fn close_due(node: Weak<Node>, sessions: Arc<Sessions>) {
    let asks = Serving(node);
    loop {
        match sessions.close_due(&asks).await {
            // There may be more.
            Ok(1..) => continue,
            Ok(0) => {}
            Err(cause) => tracing::warn!(%cause, "sessions that are due could not be closed; it is tried again"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Tells the store which sessions were used, and counts them now and then.
pub(crate) async fn tell_uses(sessions: Arc<Sessions>) {
    for second in 0_u64.. {
        tokio::time::sleep(EVERY).await;
        if let Err(cause) = sessions.tell_uses().await {
            tracing::warn!(%cause, "the store could not be told which sessions were used; it is tried again");
        } else if second.is_multiple_of(COUNT) {
            // What fails here fails above in a moment, and is told there.
            sessions.count_all().await.ok();
        }
    }
}

/// Shows, at every scrape, what became of sessions.
pub(crate) fn show(registry: &Registry, sessions: Arc<Sessions>) {
    registry.collect_with(move |scrape| {
        let Reading { opened, refused, ousted, ended, closed, failed, given_up, counting } = sessions.reading();
        for (event, count) in [
            ("opened", opened),
            ("refused", refused),
            ("ousted", ousted),
            ("ended", ended),
            ("closed", closed),
            ("close-failed", failed),
            ("given-up", given_up),
        ] {
            scrape.counter(&EVENTS, &[event], float(count));
        }
        scrape.gauge(&OPEN, &[], float(counting));
    });
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
fn float(value: u64) -> f64 {
    value as f64
}

/// In how many seconds sessions are counted once.
const COUNT: u64 = 10;

static EVENTS: Definition = Definition {
    name: "vestibule_session_events",
    help: "Sessions at backends: opened, refused at the maximum, ousted by another, ended by callers, closed by the gateway, \
           tried in vain to be closed, given up.",
    labels: &["event"],
    unit: Unit::Count,
    bounds: &[],
};
static OPEN: Definition = Definition {
    name: "vestibule_sessions",
    help: "Sessions at backends that have a place, on whatever node; counted every ten seconds.",
    labels: &[],
    unit: Unit::Count,
    bounds: &[],
};
