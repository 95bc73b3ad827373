//! A whole node: what serves, what is kept, and which configuration is live.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use firewall::Collections;
use futures::future::join_all;
use model::Document;
use parking_lot::Mutex;
use pipeline::Services;
use policies::partner_record::Sources;
use problem::Finding;
use proxy::{Gateway, Inherited, Service};
use snapshot::{Lent, Live, Snapshot};
use telemetry::export::SpanQueue;
use telemetry::metrics::Registry;
use telemetry::sink::Sink;
use telemetry::traceparent::{Callers, Sampler};
use waf::Persistence;
use watch::{Failures, LinesReading, Vitals};

use crate::authorities;
use crate::backends;
use crate::beside;
use crate::clock::now;
use crate::collector::{Collector, Exporting};
use crate::document::{Configuration, and_the_rest};
use crate::events;
use crate::jobs;
use crate::keeping::{self, Keeping};
use crate::observing::{self, Log, Shipments};
use crate::receivers;
use crate::start_error::StartError;
use crate::tasks::Tasks;
use crate::{room_events, rooms};

/// Label sets of one metric, beyond which exchanges are counted as `other`.
const LABEL_SETS: usize = 20_000;

/// Spans that may wait for the collector.
const SPANS: usize = 16 * 1024;

/// How long a node that ends waits for those who are told something.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a node does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It ends what is under way.
    Draining,
}

/// A configuration that serves from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Counts up with every change.
    pub generation: u64,
    /// Names the content.
    pub hash: String,
}

/// Reads certificates again, or says what is wrong with them.
type Reload = Box<dyn Fn(&Configuration) -> Vec<Finding> + Send + Sync>;

/// A node that serves.
pub struct Node {
    /// What serves now.
    pub live: Arc<Live>,
    /// The listeners.
    pub gateway: Gateway,
    /// The metrics.
    pub registry: Arc<Registry>,
    /// What is kept, if the configuration has a store.
    pub keeping: Option<Arc<Keeping>>,
    /// Where the configuration came from, to be read again.
    pub file: Option<PathBuf>,
    pub(crate) service: Arc<Service>,
    pub(crate) vitals: Vitals,
    pub(crate) current: Mutex<Arc<Configuration>>,
    pub(crate) spans: Option<Arc<SpanQueue>>,
    /// Exchanges that failed, for alerts.
    pub(crate) failures: Arc<Failures>,
    pub(crate) sources: Arc<Sources>,
    exporting: Exporting,
    pub(crate) upstreams: Mutex<jobs::Upstreams>,
    logs: Mutex<Vec<Arc<Log>>>,
    pub(crate) shipments: Mutex<Shipments>,
    other_certificates: Mutex<Option<Reload>>,
    lent: Lent,
    phase: AtomicU8,
    tidying: OnceLock<fn()>,
    pub(crate) exports: Mutex<jobs::Exports>,
    tasks: Mutex<Tasks>,
}

impl Node {
    /// Starts a node. `inherited` are listening sockets of a process that this one takes over from.
    pub async fn start(
        configuration: Configuration,
        file: Option<PathBuf>,
        inherited: Inherited,
    ) -> Result<Arc<Self>, StartError> {
        let document = &configuration.document;
        let all = |found| StartError::Findings(and_the_rest(&configuration, found));
        backends::expect(document).map_err(all)?;
        let keeping = keep(document).await.map_err(|error| error.or_findings(all))?;
        let services = keeping.as_ref().map_or_else(alone, |keeping| keeping.lend(Services::default()));
        let sources = Arc::new(Sources::default());
        let lent = Lent { services: Arc::new(beside::lend(services, sources.clone())), kept: Arc::default() };
        let registry = Arc::new(Registry::new(LABEL_SETS));
        telemetry::metrics::describe_process(&registry);
        let spans = document.tracing.as_ref().map(|_| SpanQueue::new(SPANS));
        let collector = document.tracing.as_ref().map(Collector::of).transpose().map_err(all)?;
        let exports = events::exports(document).map_err(all)?;
        let room_exports = room_events::exports(document, keeping.as_deref()).map_err(all)?;
        let sampler = document.tracing.as_ref().map(|tracing| Sampler::new(tracing.sample, Callers::Decide));

        prepare(keeping.as_ref(), document).map_err(all)?;
        let compiled = Snapshot::compile(document, 1, &configuration.hash, &lent).map_err(all)?;
        let live = Arc::new(Live::new(compiled));
        let service = Arc::new(Service::new(live.clone(), sampler));
        let workers = document.workers.map_or_else(std::thread::available_parallelism, |workers| {
            Ok(workers.try_into().unwrap_or(std::num::NonZeroUsize::MIN))
        });
        let gateway = Gateway::start(&service, workers?.get(), inherited)?;
        let shown = sources.clone();
        watch::show_sources(&registry, move || jobs::sources(&shown));
        let vitals = Vitals::new(&registry);
        let node = Arc::new(Self {
            exports: Mutex::default(),
            tasks: Mutex::new(Tasks::new(vitals.task_panics.clone())),
            vitals,
            current: Mutex::new(Arc::new(configuration)),
            upstreams: Mutex::default(),
            logs: Mutex::default(),
            shipments: Mutex::default(),
            other_certificates: Mutex::default(),
            phase: AtomicU8::new(0),
            tidying: OnceLock::new(),
            live,
            gateway,
            registry,
            keeping,
            file,
            service,
            spans,
            failures: Arc::default(),
            sources,
            exporting: Exporting::default(),
            lent,
        });
        let current = node.current.lock().clone();
        node.publish_as(current, 1).map_err(StartError::Findings)?;
        jobs::start(&node, &mut node.tasks.lock());
        jobs::export(&node, exports, room_exports, &mut node.tasks.lock());
        if let (Some(queue), Some(collector)) = (&node.spans, collector) {
            let service = node.configuration().document.tracing.as_ref().map(|tracing| tracing.service.clone());
            node.exporting.start(queue, collector, &service.unwrap_or_default());
            watch::show_spans(&node.registry, queue.clone());
        }
        Ok(node)
    }

    /// Serves another configuration from now on, unless something is wrong with it: then everything stays as it is.
    pub fn publish(&self, configuration: Configuration) -> Result<Published, Vec<Finding>> {
        let generation = self.live.current().generation + 1;
        let published = self.publish_as(Arc::new(configuration), generation);
        match &published {
            Ok(published) => {
                tracing::info!(generation, hash = published.hash, "a new configuration serves");
                for finding in self.reload_other_certificates() {
                    tracing::error!(%finding, "a certificate was not taken; the old one serves on");
                }
                if let Some(tidy) = self.tidying.get() {
                    tidy();
                }
            }
            Err(findings) => {
                self.vitals.reload_failures.add(1);
                for finding in findings {
                    tracing::error!(%finding, "the configuration was not taken");
                }
            }
        }
        published
    }

    /// Reads the file again and serves what it says now.
    pub fn reload(&self) -> Result<Published, Vec<Finding>> {
        let Some(file) = &self.file else {
            return Err(vec![Finding::new(&problem::Pointer::default(), "the configuration came from no file")]);
        };
        match Configuration::open(file) {
            Ok(configuration) => self.publish(configuration),
            Err(findings) => {
                self.vitals.reload_failures.add(1);
                for finding in &findings {
                    tracing::error!(%finding, "the configuration was not taken");
                }
                Err(findings)
            }
        }
    }

    /// Has `tidy` run after each change of the configuration, on the thread that read the new one.
    pub fn tidy_by(&self, tidy: fn()) {
        // Whoever was first may stay.
        self.tidying.set(tidy).ok();
    }

    /// The configuration that serves, as it was written.
    pub fn configuration(&self) -> Arc<Configuration> {
        self.current.lock().clone()
    }

    /// The rule files of the firewall, as far as they are in use.
    pub(crate) fn rule_files(&self) -> Vec<PathBuf> {
        firewall::Shelf::kept(&self.lent.kept).map_or_else(Vec::new, |shelf| shelf.files())
    }

    /// What the node does at the moment.
    pub fn phase(&self) -> Phase {
        if self.phase.load(Ordering::Relaxed) == 0 { Phase::Serving } else { Phase::Draining }
    }

    /// Prepares for a successor that works with the same store. To be called before it is started; what is returned is to be
    /// dropped when it ended.
    pub fn expect_successor(&self) -> Expecting {
        let keeping = self.keeping.clone();
        if let Some(keeping) = &keeping {
            keeping.quotas.expect();
        }
        Expecting(keeping)
    }

    /// Opens log files again, after they were moved away.
    pub fn reopen_logs(&self) {
        self.logs.lock().iter().for_each(|log| log.sink.reopen());
    }

    /// What became of the lines of access logs.
    pub(crate) fn lines(&self) -> LinesReading {
        let logs = self.logs.lock();
        let sum = |count: fn(&Sink) -> u64| logs.iter().map(|log| count(&log.sink)).sum();
        LinesReading { log: "access", written: sum(Sink::written), dropped: sum(Sink::dropped) }
    }

    /// Panics of policies are counted here, and messages that were refused before an exchange.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Has certificates that are not the listeners' own read again whenever those are, such as the admin listener's.
    pub fn watch_certificates(&self, reload: impl Fn(&Configuration) -> Vec<Finding> + Send + Sync + 'static) {
        *self.other_certificates.lock() = Some(Box::new(reload));
    }

    /// Reads all certificates again. Those with findings serve on as they are.
    pub fn reload_certificates(&self) -> Vec<Finding> {
        let mut findings = self.gateway.reload_certificates();
        findings.extend(self.reload_other_certificates());
        findings
    }

    fn reload_other_certificates(&self) -> Vec<Finding> {
        let configuration = self.configuration();
        let findings = self.other_certificates.lock().as_ref().map(|reload| reload(&configuration));
        located(&configuration, findings.unwrap_or_default())
    }

    /// Ends what is under way, writes everything down, and stops.
    pub async fn stop(&self) {
        self.phase.store(1, Ordering::Relaxed);
        if let Some(keeping) = &self.keeping {
            // A successor waits for them, and so do visitors.
            keeping.rooms.let_go();
        }
        let patience = self.configuration().document.shutdown.drain.duration();
        self.gateway.drain(patience).await;
        // What somebody was told just now is kept, so that the next one does not tell it again; and nothing more is told.
        let quiet = match &self.keeping {
            Some(keeping) => {
                let exports = self.exports.lock().all();
                let resting = join_all(exports.iter().map(|export| export.rest()));
                tokio::time::timeout(LAST_WORDS, async { (keeping.telling.write().await, resting.await) }).await.ok()
            }
            None => None,
        };
        self.tasks.lock().abort_all();
        drop(quiet);
        self.exporting.finish().await;
        if let Some(keeping) = &self.keeping {
            // What cannot be added up now stays in the journal.
            drop(keeping.add_up().await);
            keeping.note_uses().await;
            keeping.collections.share().await;
            keeping.records.write().await;
            keeping.webhooks.let_go().await;
            keeping.alerts.post.let_go().await;
            keeping.jobs.let_go().await;
            // What cannot be told now ends a little earlier.
            drop(keeping.sessions.tell_uses().await);
            // One that left without a word is forgotten after a while.
            drop(keeping.nodes.leaves(&keeping.name).await);
        }
        Shipments::finish(&self.shipments).await;
        for log in &*self.logs.lock() {
            log.sink.close(Duration::from_secs(5));
        }
    }

    fn publish_as(&self, configuration: Arc<Configuration>, generation: u64) -> Result<Published, Vec<Finding>> {
        let mut current = self.current.lock();
        let located = |found| located(&configuration, found);
        let all = |found| and_the_rest(&configuration, found);
        let document = &configuration.document;
        backends::expect(document).map_err(all)?;
        prepare(self.keeping.as_ref(), document).map_err(all)?;
        let mut snapshot = Snapshot::compile(document, generation, &configuration.hash, &self.lent).map_err(all)?;
        let products = keeping::products(document, &|_| false).map_err(all)?;
        let plans = billing::plans(document, &|_| false).map_err(all)?;
        let rules = alerts::compile(document, &|_| false).map_err(all)?;
        let receivers = receivers::receivers(document).map_err(all)?;
        let scheduled = ::jobs::compile(document, &|_| false).map_err(all)?;
        let logs = observing::logs(document, &self.lent.kept).map_err(located)?;
        snapshot.observers = observing::observers(&snapshot, &self.registry, &logs, self.spans.as_ref());
        if let Some(keeping) = &self.keeping {
            snapshot.observers.insert(0, keeping.meter.clone());
        }
        if !rules.rules.is_empty() {
            snapshot.observers.push(self.failures.clone());
        }
        self.gateway.listen(&snapshot).map_err(located)?;
        if let Some(keeping) = &self.keeping {
            keeping.index.set_file_products(products);
            keeping.index.set_peppers(&document.imported_keys.peppers);
            keeping.index.set_apis(document.apis.keys().cloned().collect());
            keeping.authorities.publish();
            keeping.accounts.set_plans(plans);
            keeping.webhooks.set(document.webhooks.clone());
            keeping.alerts.set(rules, receivers);
            keeping.jobs.set(scheduled);
            keeping.rooms.set(document);
            self.exports.lock().let_go(&document.usage, &keeping.usage);
        }
        warn_of_what_needs_a_restart(&current, &configuration);
        self.live.replace(snapshot);
        self.shipments.lock().look_after(&logs.shipped);
        *self.logs.lock() = logs.lines.into_iter().map(|(log, _)| log).collect();
        let panics = self.vitals.task_panics.with(&["upstream"]);
        self.upstreams.lock().look_after(&self.live.current(), &panics);
        self.lent.kept.sweep();
        self.vitals.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        let hash = configuration.hash.clone();
        *current = configuration;
        Ok(Published { generation, hash })
    }
}

/// What policies find where nothing is kept.
fn alone() -> Services {
    Services::default().with::<dyn Persistence>(Arc::new(Collections::alone(Arc::new(now))))
}

/// Opens the store of a document, if it has one.
async fn keep(document: &Document) -> Result<Option<Arc<Keeping>>, StartError> {
    let Some(store) = &document.store else { return Ok(None) };
    let keeping = Keeping::open(store, &document.usage, &document.encryption).await?;
    if !document.rooms.is_empty() {
        keeping.rooms.expect_kept().await.map_err(StartError::Findings)?;
    }
    Ok(Some(Arc::new(keeping)))
}

/// A successor was started and may count.
pub struct Expecting(Option<Arc<Keeping>>);

impl Drop for Expecting {
    fn drop(&mut self) {
        if let Some(keeping) = &self.0 {
            keeping.quotas.despair();
        }
    }
}

/// Has the keys at hand that a document names, before it is compiled.
fn prepare(keeping: Option<&Arc<Keeping>>, document: &Document) -> Result<(), Vec<Finding>> {
    let Some(keeping) = keeping else {
        let findings = [authorities::check(document), rooms::check(document)].concat();
        return if findings.is_empty() { Ok(()) } else { Err(findings) };
    };
    keeping.alerts.expect(&alerts::compile(document, &|_| false)?);
    keeping.signers.prepare(document)?;
    keeping.rooms.prepare(document)?;
    keeping.authorities.prepare(document)
}

fn located(configuration: &Configuration, mut found: Vec<Finding>) -> Vec<Finding> {
    configuration.source.locate(&mut found);
    found
}

/// A running node keeps its store, its threads and its admin listener; a change of these waits for a restart.
fn warn_of_what_needs_a_restart(old: &Configuration, new: &Configuration) {
    let parts = |configuration: &Configuration| {
        let document = &configuration.document;
        [
            ("store", serde_json::to_value(&document.store)),
            ("encryption", serde_json::to_value(&document.encryption)),
            ("workers", serde_json::to_value(document.workers)),
            ("admin", serde_json::to_value(&document.admin)),
            ("tracing", serde_json::to_value(&document.tracing)),
            ("usage", serde_json::to_value(&document.usage)),
            ("room_events", serde_json::to_value(&document.room_events)),
            ("diagnostics", serde_json::to_value(&document.diagnostics)),
        ]
        .map(|(name, value)| (name, value.unwrap_or_default()))
    };
    for ((name, old), (_, new)) in parts(old).into_iter().zip(parts(new)) {
        if old != new {
            tracing::warn!(setting = name, "a changed setting takes effect at the next start");
        }
    }
}
