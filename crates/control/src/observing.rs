//! What every exchange tells its end to: usage, metrics, access logs, spans.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use model::Document;
use model::logs::{LineFormat, LogFile, LogSink};
use parking_lot::Mutex;
use pipeline::{Kept, OnFinish};
use problem::{Finding, Pointer};
use serde_json::Value;
use shipping::{Plan, Reading, Recorder, Shelf, Shipment};
use snapshot::Snapshot;
use telemetry::export::SpanQueue;
use telemetry::metrics::Registry;
use telemetry::sink::{Output, Rotation, Sink};
use watch::{AccessLog, Form, Metrics, Query, Secrets, Spans};

use crate::clock::now;

/// Bytes of log lines that may wait for a slow disk or terminal.
const ROOM: usize = 32 * 1024 * 1024;

/// A place that access logs go to, kept as long as a snapshot writes to it.
pub(crate) struct Log {
    pub(crate) sink: Arc<Sink>,
}

/// The access logs of a document, opened.
#[derive(Default)]
pub(crate) struct Logs {
    pub(crate) lines: Vec<(Arc<Log>, Form)>,
    pub(crate) shipped: Vec<Shipped>,
}

/// A sink that records are shipped to.
pub(crate) struct Shipped {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) plan: Arc<Plan>,
    /// As they were written; what has the same goes on as it is.
    pub(crate) settings: Value,
}

/// The access logs of a document, opened. What is shipped waits in a folder of the store.
pub(crate) fn logs(document: &Document, kept: &Kept) -> Result<Logs, Vec<Finding>> {
    let (mut logs, mut findings) = (Logs::default(), Vec::new());
    let plans = plans(document).map_err(|found| findings.extend(found)).unwrap_or_default();
    for (index, log) in document.logs.iter().enumerate() {
        let (name, output, format) = match log {
            LogSink::Stdout(stdout) => ("stdout".to_owned(), Output::Stdout, stdout.format),
            LogSink::File(file) => (file_name(file), output(file), file.format),
            LogSink::Fluent(_)
            | LogSink::Elasticsearch(_)
            | LogSink::Otlp(_)
            | LogSink::Http(_)
            | LogSink::Syslog(_) => {
                continue;
            }
        };
        let form = match format {
            LineFormat::Json => Form::Json,
            LineFormat::Combined => Form::Combined,
            LineFormat::Firewall => Form::Firewall,
            LineFormat::Modsecurity => Form::Sections,
        };
        match open(&name, output, kept) {
            Ok(log) => logs.lines.push((log, form)),
            Err(error) => {
                let at = Pointer::default().at("logs").at(index);
                findings.push(Finding::new(&at, format!("{name} cannot be written to: {error}")));
            }
        }
    }
    let shelves = document.store.as_ref().map(|store| store.folder().join("logs")).unwrap_or_default();
    for (index, plan) in plans {
        let settings = serde_json::to_value(document.logs.get(index)).unwrap_or_default();
        match shelf(&shelves, &plan, kept) {
            Ok(shelf) => logs.shipped.push(Shipped { shelf, plan: Arc::new(plan), settings }),
            Err(error) => {
                let message = format!("`{}` cannot be kept in {}: {error}", plan.name, shelves.display());
                findings.push(Finding::new(&Pointer::default().at("logs").at(index), message));
            }
        }
    }
    if findings.is_empty() { Ok(logs) } else { Err(findings) }
}

/// A log goes on as it is only if it is rotated as before.
fn file_name(file: &LogFile) -> String {
    let path = file.path.display();
    file.rotate
        .map_or_else(|| path.to_string(), |rotate| format!("{path} rotated at {} keep {}", rotate.at, rotate.keep))
}

fn output(file: &LogFile) -> Output {
    let Some(rotate) = file.rotate else { return Output::File(file.path.clone()) };
    let keep = usize::try_from(rotate.keep).unwrap_or(usize::MAX);
    Output::Rotated(file.path.clone(), Rotation { at: rotate.at.bytes(), keep, clock: || now().0 })
}

/// The plans of the sinks that records are shipped to, each with its place among the logs; or all that is wrong with them.
pub(crate) fn plans(document: &Document) -> Result<Vec<(usize, Plan)>, Vec<Finding>> {
    let (mut plans, mut findings) = (Vec::<(usize, Plan)>::new(), Vec::new());
    for (index, log) in document.logs.iter().enumerate() {
        let at = Pointer::default().at("logs").at(index);
        match Plan::of(log, &at) {
            None => {}
            Some(Err(found)) => findings.extend(found),
            Some(Ok(_)) if document.store.is_none() => {
                let message = "needs a folder for what the sink has still to take; write `store: {embedded: ./data}`";
                findings.push(Finding::new(&at, message));
            }
            Some(Ok(plan)) if plans.iter().any(|(_, other)| other.name == plan.name) => {
                let message = format!("there is a sink `{}` already; give this one a `name` of its own", plan.name);
                findings.push(Finding::new(&at, message));
            }
            Some(Ok(plan)) => plans.push((index, plan)),
        }
    }
    if findings.is_empty() { Ok(plans) } else { Err(findings) }
}

/// The log of this name, opened unless it is open.
fn open(name: &str, output: Output, kept: &Kept) -> std::io::Result<Arc<Log>> {
    if let Some(log) = kept.find(name) {
        return Ok(log);
    }
    let sink = Arc::new(Sink::start(name, output, ROOM)?);
    Ok(kept.keep(name, || Log { sink }))
}

/// The shelf of a sink, opened unless it is open.
fn shelf(shelves: &Path, plan: &Plan, kept: &Kept) -> Result<Arc<Shelf>, journal::Error> {
    if let Some(shelf) = kept.find(&plan.name) {
        return Ok(shelf);
    }
    let shelf = Shelf::open(shelves, &plan.name, plan.keep, now().0)?;
    Ok(kept.keep(&plan.name, || shelf))
}

/// What ships records: a task for each sink.
#[derive(Default)]
pub(crate) struct Shipments(HashMap<Box<str>, (Value, Arc<Shelf>, Shipment)>);

impl Shipments {
    /// Ships to these sinks from now on, and to no others. What is written as before goes on undisturbed.
    pub(crate) fn look_after(&mut self, shipped: &[Shipped]) {
        self.0.retain(|name, (settings, _, shipment)| {
            let stays = shipped.iter().any(|sink| sink.shelf.name == *name && sink.settings == *settings);
            if !stays {
                shipment.end();
            }
            stays
        });
        for Shipped { shelf, plan, settings } in shipped {
            if self.0.contains_key(&shelf.name) {
                continue;
            }
            shelf.keep(plan.keep);
            match Shipment::start(shelf.clone(), plan.clone(), || now().0) {
                Ok(shipment) => {
                    self.0.insert(shelf.name.clone(), (settings.clone(), shelf.clone(), shipment));
                }
                Err(error) => {
                    tracing::error!(sink = &*shelf.name, %error, "log records cannot be shipped; they wait on disk");
                }
            }
        }
    }

    /// What is known of each sink now.
    pub(crate) fn readings(&self) -> Vec<(String, Reading)> {
        let now = now().0;
        self.0.iter().map(|(name, (_, shelf, _))| (name.to_string(), shelf.reading(now))).collect()
    }

    /// Ships what can be shipped soon, and ends.
    pub(crate) async fn finish(shipments: &Mutex<Self>) {
        let ending = std::mem::take(&mut shipments.lock().0);
        for (_, _, shipment) in ending.values() {
            shipment.end();
        }
        for (_, _, shipment) in ending.into_values() {
            shipment.finish().await;
        }
    }
}

/// What the exchanges of a snapshot tell their end to.
pub(crate) fn observers(
    snapshot: &Snapshot,
    registry: &Registry,
    logs: &Logs,
    spans: Option<&Arc<SpanQueue>>,
) -> Vec<Arc<dyn OnFinish>> {
    let mut routes: Vec<_> = snapshot.routes.iter().map(|route| route.names.clone()).collect();
    routes.push(snapshot.unrouted.names.clone());
    let upstreams: Vec<_> = snapshot.upstreams.values().map(|upstream| upstream.name.clone()).collect();
    let mut observers: Vec<Arc<dyn OnFinish>> = vec![Arc::new(Metrics::new(registry, &routes, &upstreams))];
    for (log, form) in &logs.lines {
        observers.push(Arc::new(AccessLog::new(log.sink.clone(), *form, masked())));
    }
    for Shipped { shelf, plan, .. } in &logs.shipped {
        observers.push(Arc::new(Recorder::new(shelf.clone(), plan.clone())));
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
