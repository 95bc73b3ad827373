//! The way of spans to a collector: OTLP over HTTP.

use exports::Receiver;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use model::document::Tracing;
use parking_lot::Mutex;
use problem::{Finding, Pointer};
use telemetry::export::{Exporter, Sent, SpanQueue, Transport};
use telemetry::otlp::{Attribute, Resource};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use upstream::Below;

/// A collector, and how it is asked.
pub(crate) struct Collector(Receiver);

impl Collector {
    /// The collector of a document, or what is wrong with its address.
    pub(crate) fn of(tracing: &Tracing) -> Result<Self, Vec<Finding>> {
        let at = Pointer::default().at("tracing").at("otlp");
        let advice = "write a URL such as `http://127.0.0.1:4318`";
        Receiver::of("traces", &tracing.otlp, Below::Path("/v1/traces"), (&at, advice)).map(Self)
    }
}

impl Transport for Collector {
    fn send(&self, body: Bytes) -> BoxFuture<'_, Sent> {
        Box::pin(self.0.post("application/json", body))
    }
}

/// The task that sends spans, and how it is told to end.
#[derive(Default)]
pub(crate) struct Exporting(Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>);

impl Exporting {
    /// Sends what is in `queue` from now on.
    pub(crate) fn start(&self, queue: &Arc<SpanQueue>, collector: Collector, service: &str) {
        let attributes = vec![Attribute::text("service.name", service.to_owned())];
        let resource = Resource { attributes, version: env!("CARGO_PKG_VERSION") };
        let (stop, stopped) = oneshot::channel();
        let exporter = Exporter::new(queue.clone(), resource, collector);
        let run = async move {
            exporter
                .run(async {
                    // An end without a word is an end, too.
                    stopped.await.ok();
                })
                .await;
        };
        #[expect(clippy::disallowed_methods, reason = "it is awaited when the node stops")]
        let task = tokio::spawn(run);
        *self.0.lock() = Some((stop, task));
    }

    /// Gives what is left a last chance, and ends.
    pub(crate) async fn finish(&self) {
        let running = self.0.lock().take();
        if let Some((stop, task)) = running {
            // Whoever hears no more has ended by itself.
            stop.send(()).ok();
            drop(task.await);
        }
    }
}
