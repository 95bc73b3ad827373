//! What every exchange tells its end to: usage, metrics, access logs, spans.

use std::sync::Arc;

use model::document::{LineFormat, LogSink};
use pipeline::{Kept, OnFinish};
use problem::{Finding, Pointer};
use snapshot::Snapshot;
use telemetry::export::SpanQueue;
use telemetry::metrics::Registry;
use telemetry::sink::{Output, Sink};
use watch::{AccessLog, Form, Metrics, Query, Secrets, Spans};

/// Bytes of log lines that may wait for a slow disk or terminal.
const ROOM: usize = 32 * 1024 * 1024;

/// A place that access logs go to, kept as long as a snapshot writes to it.
pub(crate) struct Log {
    pub(crate) sink: Arc<Sink>,
}

/// The access logs of a document, opened.
pub(crate) fn logs(written: &[LogSink], kept: &Kept) -> Result<Vec<(Arc<Log>, Form)>, Vec<Finding>> {
    let (mut logs, mut findings) = (Vec::new(), Vec::new());
    for (index, log) in written.iter().enumerate() {
        let (name, output, format) = match log {
            LogSink::Stdout(stdout) => ("stdout".to_owned(), Output::Stdout, stdout.format),
            LogSink::File(file) => (file.path.display().to_string(), Output::File(file.path.clone()), file.format),
        };
        let form = match format {
            LineFormat::Json => Form::Json,
            LineFormat::Combined => Form::Combined,
        };
        match open(&name, output, kept) {
            Ok(log) => logs.push((log, form)),
            Err(error) => {
                let at = Pointer::default().at("logs").at(index);
                findings.push(Finding::new(&at, format!("{name} cannot be written to: {error}")));
            }
        }
    }
    if findings.is_empty() { Ok(logs) } else { Err(findings) }
}

/// The log of this name, opened unless it is open.
fn open(name: &str, output: Output, kept: &Kept) -> std::io::Result<Arc<Log>> {
    if let Some(log) = kept.find(name) {
        return Ok(log);
    }
    let sink = Arc::new(Sink::start(name, output, ROOM)?);
    Ok(kept.keep(name, || Log { sink }))
}

/// What the exchanges of a snapshot tell their end to.
pub(crate) fn observers(
    snapshot: &Snapshot,
    registry: &Registry,
    logs: &[(Arc<Log>, Form)],
    spans: Option<&Arc<SpanQueue>>,
) -> Vec<Arc<dyn OnFinish>> {
    let mut routes: Vec<_> = snapshot.routes.iter().map(|route| route.names.clone()).collect();
    routes.push(snapshot.unrouted.names.clone());
    let upstreams: Vec<_> = snapshot.upstreams.values().map(|upstream| upstream.name.clone()).collect();
    let mut observers: Vec<Arc<dyn OnFinish>> = vec![Arc::new(Metrics::new(registry, &routes, &upstreams))];
    for (log, form) in logs {
        observers.push(Arc::new(AccessLog::new(log.sink.clone(), *form, masked())));
    }
    if let Some(queue) = spans {
        observers.push(Arc::new(Spans::new(queue.clone(), masked())));
    }
    observers
}

/// Queries are kept, but for what is named like a secret.
fn masked() -> Query {
    Query::Mask(Secrets::and([]))
}
