//! What a node does beside serving: adding up usage, following the store, looking after upstreams and files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use exports::Export;
use journal::Journal;
use metering::Meter;
use model::usage::Usage;
use policies::partner_record::Sources;
use snapshot::Snapshot;
use telemetry::metrics::Counter;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use upstream::Upstream;
use watch::{Breaker, SourceReading, UpstreamReading};

use crate::Node;
use crate::authorities;
use crate::clock::now;
use crate::keeping::{Keeping, NotAddedUp};
use crate::tasks::{Tasks, kept};
use crate::{looking, room_events, rooms, sessions};

/// How often usage is added up and keys are followed.
const EVERY: Duration = Duration::from_secs(1);
/// How often usage is added up at the least. Who asks for it has it added up first.
const ADD_UP: Duration = Duration::from_secs(10);
/// How often the ledger of quotas is made short, and records are let go.
const COMPACT: Duration = Duration::from_mins(1);
/// How often it is written down when keys were last used.
const NOTE: Duration = Duration::from_mins(1);
/// How often old answers of the Admin API are forgotten.
const FORGET: Duration = Duration::from_hours(1);
/// How often it is looked whether signing keys are due.
const TEND: Duration = Duration::from_mins(1);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Starts everything that goes on beside serving.
pub(crate) fn start(node: &Arc<Node>, tasks: &mut Tasks) {
    if let Some(keeping) = &node.keeping {
        start_keeping(node, keeping, tasks);
        show_keeping(node, keeping);
    }
    // What counts as known is what there is now, and not when the task first runs.
    let (watching, known) = (Arc::downgrade(node), Watched::of(node));
    tasks.keep("watch-files", move || watch_files(watching.clone(), known.clone()));
    let sources = node.sources.clone();
    tasks.keep("refresh-records", move || refresh(sources.clone()));
    let shown = Arc::downgrade(node);
    watch::show_lines(&node.registry, move || shown.upgrade().map(|node| vec![node.lines()]).unwrap_or_default());
    let shown = Arc::downgrade(node);
    shipping::show(&node.registry, move || {
        shown.upgrade().map(|node| node.shipments.lock().readings()).unwrap_or_default()
    });
    let shown = Arc::downgrade(node);
    watch::show_upstreams(&node.registry, move || shown.upgrade().map(|node| upstreams(&node)).unwrap_or_default());
}

fn start_keeping(node: &Arc<Node>, keeping: &Arc<Keeping>, tasks: &mut Tasks) {
    let mut keep = Keep(tasks, keeping);
    keep.task("add-up", add_up);
    keep.task("follow", follow);
    keep.task("compact", compact);
    keep.task("note-uses", note_uses);
    keep.task("tell-webhooks", tell_webhooks);
    keep.task("forget", forget);
    keep.task("let-go", let_go);
    keep.task("look-around", look_around);
    keep.task("publish-revocations", publish_revocations);
    keep.task("notify", looking::notify);
    keep.task("share-collections", share_collections);
    keep.task("keep-records", keep_records);
    keep.task("tell-session-uses", |keeping| sessions::tell_uses(keeping.sessions.clone()));
    keep.task("rooms", |keeping| rooms::tend(keeping.rooms.clone(), keeping.alerts.clone()));
    keep.of_node(node, "tend-signers", tend_signers);
    keep.of_node(node, "close-sessions", |node, keeping| sessions::close_due(node, keeping.sessions.clone()));
    keep.of_node(node, "look", |node, keeping| looking::look(node, keeping.alerts.clone()));
    keep.of_node(node, "jobs", |node, keeping| looking::run_jobs(node, keeping.jobs.clone()));
}

/// Begins tasks that need what is kept.
struct Keep<'a>(&'a mut Tasks, &'a Arc<Keeping>);

impl Keep<'_> {
    fn task<F: Future<Output = ()> + Send + 'static>(&mut self, name: &str, begin: fn(Arc<Keeping>) -> F) {
        let keeping = self.1.clone();
        self.0.keep(name, move || begin(keeping.clone()));
    }

    fn of_node<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        node: &Arc<Node>,
        name: &str,
        begin: fn(Weak<Node>, Arc<Keeping>) -> F,
    ) {
        let (node, keeping) = (Arc::downgrade(node), self.1.clone());
        self.0.keep(name, move || begin(node.clone(), keeping.clone()));
    }
}

/// Fetches records again on which something open depends.
async fn refresh(sources: Arc<Sources>) {
    loop {
        tokio::time::sleep(EVERY).await;
        sources.refresh();
    }
}

/// Brings usage records to the services that bill, and what happens in waiting rooms to those who shall be told.
pub(crate) fn export(node: &Node, exports: Vec<Export>, of_rooms: Vec<Export>, tasks: &mut Tasks) {
    let Some(keeping) = &node.keeping else { return };
    let mut exporting = node.exports.lock();
    exports::show(&node.registry, &exports::OF_USAGE, &exports);
    for export in exports.into_iter().map(Arc::new) {
        let (keeping, shown) = (keeping.clone(), export.clone());
        let task = tasks.keep("usage-events", move || {
            let (export, keeping) = (export.clone(), keeping.clone());
            async move { exports::run(&export, keeping.usage.clone(), keeping.folder.join("usage")).await }
        });
        exporting.of_usage.push((shown, task));
    }
    exports::show(&node.registry, &exports::OF_ROOMS, &of_rooms);
    for export in of_rooms.into_iter().map(Arc::new) {
        let (rooms, name) = (keeping.rooms.clone(), keeping.name.clone());
        exporting.of_rooms.push(export.clone());
        tasks.keep("room-events", move || room_events::run(export.clone(), rooms.clone(), name.clone()));
    }
}

/// What is on its way to others.
#[derive(Default)]
pub(crate) struct Exports {
    of_usage: Vec<(Arc<Export>, AbortHandle)>,
    of_rooms: Vec<Arc<Export>>,
}

impl Exports {
    /// Brings nothing to sinks that are not written any more, and has the journal of usage wait for them no longer.
    pub(crate) fn let_go(&mut self, usage: &Usage, journal: &Journal) {
        self.of_usage.retain(|(export, task)| {
            let stays = usage.events.contains_key(export.name());
            if !stays {
                tracing::info!(sink = export.name(), "a sink of usage events was taken out; nothing waits for it");
                task.abort();
                journal.let_go(&exports::consumer_of(export.name()));
            }
            stays
        });
    }

    /// All that bring events to sinks.
    pub(crate) fn all(&self) -> Vec<Arc<Export>> {
        self.of_usage.iter().map(|(export, _)| export).chain(&self.of_rooms).cloned().collect()
    }

    /// How old what waits for each of them is, by where they are written.
    pub(crate) fn ages(&self) -> Vec<(String, Duration)> {
        let of_usage = self.of_usage.iter().map(|(export, _)| ("usage.events", export));
        let all = of_usage.chain(self.of_rooms.iter().map(|export| ("room_events", export)));
        all.map(|(place, export)| (format!("{place}.{}", export.name()), export.age())).collect()
    }
}

/// Adds up usage every second; where very many callers make that a matter of more than a hundredth of the time, less often: each
/// of them is one row to change, whether it made one request since last time or ten.
async fn add_up(keeping: Arc<Keeping>) {
    loop {
        let began = Instant::now();
        if let Err(NotAddedUp::Failed(error)) = keeping.add_up().await {
            tracing::warn!(%error, "usage could not be added up; it stays in the journal");
        }
        tokio::time::sleep((began.elapsed() * 100).clamp(EVERY, ADD_UP)).await;
    }
}

async fn follow(keeping: Arc<Keeping>) {
    partners::follow(&keeping.index, &*keeping.registry, &*keeping.nodes, &keeping.name, EVERY).await;
}

/// Brings what rules of the firewall remember to other nodes, and learns what those remember.
async fn share_collections(keeping: Arc<Keeping>) {
    loop {
        keeping.collections.share().await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Keeps what other services said of partners.
async fn keep_records(keeping: Arc<Keeping>) {
    loop {
        keeping.records.write().await;
        tokio::time::sleep(EVERY).await;
    }
}

async fn compact(keeping: Arc<Keeping>) {
    loop {
        tokio::time::sleep(COMPACT).await;
        let quotas = keeping.quotas.clone();
        let done = tokio::task::spawn_blocking(move || quotas.compact(now().0 / 1_000_000)).await;
        if let Err(error) = done {
            tracing::error!(%error, "the ledger of quotas could not be compacted");
        }
    }
}

async fn note_uses(keeping: Arc<Keeping>) {
    loop {
        tokio::time::sleep(NOTE).await;
        keeping.note_uses().await;
    }
}

async fn tell_webhooks(keeping: Arc<Keeping>) {
    loop {
        let telling = keeping.telling.read().await;
        keeping.webhooks.round().await;
        drop(telling);
        tokio::time::sleep(EVERY).await;
    }
}

async fn forget(keeping: Arc<Keeping>) {
    loop {
        if let Err(error) = keeping.partners.forget_replies().await {
            tracing::warn!(%error, "old answers of the Admin API could not be forgotten; it is tried again");
        }
        if let Err(error) = keeping.partners.forget_issuances().await {
            tracing::warn!(%error, "signatures of certificates that are over could not be forgotten; it is tried again");
        }
        tokio::time::sleep(FORGET).await;
    }
}

/// Lets usage records go that were kept long enough.
async fn let_go(keeping: Arc<Keeping>) {
    loop {
        let kept = keeping.clone();
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(now().0);
        let done = move || kept.kept.as_ref().map_or(Ok(()), |kept| kept.let_go(now));
        // Only a panic keeps it from looking.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(done).await {
            tracing::warn!(%error, "usage records that were kept long enough could not be let go");
        }
        tokio::time::sleep(COMPACT).await;
    }
}

/// Notices when another process begins or ends to work with the store.
async fn look_around(keeping: Arc<Keeping>) {
    loop {
        let quotas = keeping.quotas.clone();
        // Only a panic keeps it from looking.
        drop(tokio::task::spawn_blocking(move || quotas.look_around()).await);
        tokio::time::sleep(EVERY).await;
    }
}

/// Makes the next keys to sign with, and forgets old ones, when it is time.
async fn tend_signers(node: Weak<Node>, keeping: Arc<Keeping>) {
    loop {
        tokio::time::sleep(TEND).await;
        let Some(configuration) = node.upgrade().map(|node| node.configuration()) else { return };
        let signers = keeping.signers.clone();
        // Only a panic keeps them from being looked after.
        drop(tokio::task::spawn_blocking(move || signers.tend_all(&configuration.document)).await);
    }
}

/// Signs lists of revoked certificates soon after something was revoked, and before the last ones are over.
async fn publish_revocations(keeping: Arc<Keeping>) {
    let mut seen = None;
    let mut rest = 0;
    loop {
        let changes = keeping.index.certificate_changes();
        if seen != Some(changes) || rest == 0 {
            match keeping.authorities.tend(&keeping.partners).await {
                Ok(()) => (seen, rest) = (Some(changes), TEND.as_secs()),
                Err(error) => tracing::warn!(%error, "revocation lists could not be signed; it is tried again"),
            }
        }
        if rest == TEND.as_secs() {
            let authorities = keeping.authorities.clone();
            // Only a panic keeps them from being looked after.
            drop(tokio::task::spawn_blocking(move || authorities.follow()).await);
        }
        rest = rest.saturating_sub(EVERY.as_secs());
        tokio::time::sleep(EVERY).await;
    }
}

fn show_keeping(node: &Arc<Node>, keeping: &Arc<Keeping>) {
    let (journal, meter): (_, Arc<Meter>) = (keeping.usage.clone(), keeping.meter.clone());
    watch::show_journal(&node.registry, move || {
        let state = journal.state();
        watch::JournalReading {
            failures: meter.lost(),
            bytes: state.bytes,
            segments: state.segments,
            ..watch::JournalReading::default()
        }
    });
    sessions::show(&node.registry, keeping.sessions.clone());
    authorities::show(&node.registry, keeping.authorities.clone());
    let alerts = keeping.alerts.clone();
    watch::show_alerts(&node.registry, move || {
        let notices = alerts.receivers().into_iter().map(|state| (state.name, [state.taken, state.failed])).collect();
        watch::AlertsReading { wrong: alerts.wrong(), notices }
    });
    let jobs = keeping.jobs.clone();
    watch::show_jobs(&node.registry, move || jobs.counts());
    let rooms = keeping.rooms.clone();
    ::room_events::metrics::show(&node.registry, move || rooms.readings());
    if let Some(counts) = keeping.counts.clone() {
        watch::show_counts(&node.registry, move || {
            let store_redis::Reading { is_there, asked, unanswered, debts } = counts.reading();
            watch::CountsReading { is_there, asked, unanswered, owed: debts as u64 }
        });
    }
}

/// The tasks that look after upstreams: one each.
#[derive(Default)]
pub(crate) struct Upstreams(HashMap<usize, (Weak<Upstream>, AbortHandle)>);

impl Upstreams {
    /// Looks after the upstreams of a snapshot, and no others.
    pub(crate) fn look_after(&mut self, snapshot: &Snapshot, panics: &Counter) {
        let wanted: HashMap<usize, &Arc<Upstream>> =
            snapshot.upstreams.values().map(|upstream| (Arc::as_ptr(upstream).addr(), upstream)).collect();
        self.0.retain(|address, (_, task)| {
            let stays = wanted.contains_key(address);
            if !stays {
                task.abort();
            }
            stays
        });
        for (address, upstream) in wanted {
            self.0.entry(address).or_insert_with(|| (Arc::downgrade(upstream), maintain(upstream.clone(), panics)));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it is aborted when its upstream is of no use any more")]
fn maintain(upstream: Arc<Upstream>, panics: &Counter) -> AbortHandle {
    let name = format!("upstream {}", upstream.name);
    tokio::spawn(kept(name, panics.clone(), move || upstream.clone().maintain())).abort_handle()
}

/// How the sources of partners' records do.
pub(crate) fn sources(sources: &Sources) -> Vec<SourceReading> {
    let reading = |(source, reading): (String, lookup::Reading)| SourceReading {
        source,
        records: reading.entries,
        oldest: reading.oldest,
        is_well: reading.is_well,
        answered: reading.answered,
        failed: reading.failed,
        served: [reading.served_fresh, reading.served_stale, reading.unavailable],
    };
    sources.readings().into_iter().map(reading).collect()
}

pub(crate) fn upstreams(node: &Node) -> Vec<UpstreamReading> {
    let snapshot = node.live.current();
    let reading = |upstream: &Arc<Upstream>| {
        let targets = upstream.targets();
        let healthy = targets.iter().filter(|target| target.is_in_service(|| upstream.now())).count();
        let idle: usize = targets.iter().map(|target| target.idle_connections()).sum();
        UpstreamReading {
            upstream: upstream.name.to_string(),
            busy: u64::from(upstream.in_flight()),
            idle: idle as u64,
            pending: upstream.pending() as u64,
            breaker: if upstream.breaker().is_open() { Breaker::Open } else { Breaker::Closed },
            healthy: healthy as u64,
            ejected: (targets.len() - healthy) as u64,
        }
    };
    snapshot.upstreams.values().map(reading).collect()
}

/// Looks at the configuration's file and at certificates, and takes them anew when they have changed.
async fn watch_files(node: Weak<Node>, mut known: Watched) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(node) = node.upgrade() else { return };
        let seen = Watched::of(&node);
        // A file that is being written is not read before it has rested for one look.
        let has_changed = seen.configuration != known.configuration || seen.rules != known.rules;
        if has_changed && seen.rests() {
            (known.configuration, known.rules) = (seen.configuration, seen.rules);
            // What is wrong is told where it is found.
            drop(node.reload());
            let now = Watched::of(&node);
            (known.certificates, known.rules) = (now.certificates, now.rules);
        } else if seen.certificates != known.certificates && seen.rests() {
            known.certificates = seen.certificates;
            for finding in node.reload_certificates() {
                tracing::error!(%finding, "a certificate was not taken; the old one serves on");
            }
        }
    }
}

/// When files were changed.
#[derive(Clone, PartialEq, Eq)]
struct Watched {
    configuration: Option<SystemTime>,
    certificates: Vec<(PathBuf, Option<SystemTime>)>,
    /// Rule files of the firewall, and files of AS numbers.
    rules: Vec<(PathBuf, Option<SystemTime>)>,
}

impl Watched {
    fn of(node: &Node) -> Self {
        let configuration = node.configuration();
        let document = &configuration.document;
        let tls = document.listeners.values().filter_map(|listener| listener.tls.as_ref());
        let tls = tls.chain(document.admin.as_ref().and_then(|admin| admin.tls.as_ref()));
        let files = tls.flat_map(|tls| {
            let pairs = tls.certificates.iter().flat_map(|files| [&files.cert, &files.key]);
            let trust = tls.client_trust.iter().flat_map(|trust| std::iter::once(&trust.cert).chain(&trust.crl));
            pairs.chain(&tls.client_ca).chain(trust)
        });
        let numbers = rooms::announcers::files(document).map(Path::to_owned);
        let rules = node.rule_files().into_iter().chain(numbers);
        Self {
            configuration: node.file.as_deref().and_then(changed),
            certificates: files.map(|file| (file.clone(), changed(file))).collect(),
            rules: rules.map(|file| (file.clone(), changed(&file))).collect(),
        }
    }

    fn rests(&self) -> bool {
        let times =
            self.certificates.iter().chain(&self.rules).map(|(_, time)| *time).chain([self.configuration]).flatten();
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(now().0);
        times.max().is_none_or(|latest| now.duration_since(latest).map_or(true, |age| age > LOOK / 4))
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
