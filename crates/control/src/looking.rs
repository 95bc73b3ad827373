//! What a node sees of itself, for its alerts; and the tasks that look, tell, and run jobs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use alerts::{Answers, Ending, Failure, Readings, Rules, Watch};
use authority::Certificate;
use model::Document;
use partners::EntityId;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use store::{Kind, UnixMicros};
use tokio::task::JoinSet;
use watch::{Breaker, Failed, How, Metrics};

use crate::Node;
use crate::alerting::Alerts;
use crate::clock::now;
use crate::cron::{Does, Jobs};
use crate::doing::Doing;
use crate::jobs as beside;
use crate::keeping::Keeping;

/// How often a node looks at itself.
const EVERY: Duration = Duration::from_secs(1);

/// Rounds from one look at answers to the next.
const NOW_AND_THEN: u32 = 3;

/// Rounds from one look at what expires to the next.
const SELDOM: u32 = 600;

/// Rounds from one time of forgetting to the next.
const FORGET: u32 = 3600;

/// Credentials that are told of at a time.
const EXPIRING: usize = 1000;

/// Looks at what the node sees of itself, for as long as it runs.
pub(crate) async fn look(node: Weak<Node>, alerts: Arc<Alerts>) {
    let (mut round, mut seen) = (0_u32, None);
    loop {
        {
            let Some(node) = node.upgrade() else { return };
            let generation = node.live.current().generation;
            let is_time = round.is_multiple_of(SELDOM) || seen != Some(generation);
            seen = Some(generation);
            let rules = alerts.rules();
            if rules.rules.is_empty() {
                // What was gathered under other rules is of no use.
                node.failures.take();
            } else {
                let mut readings = readings(&node);
                readings.answers = round.is_multiple_of(NOW_AND_THEN).then(|| answers(&node));
                if is_time {
                    (readings.certificates, readings.keys) = ending(&node, rules).await;
                }
                alerts.observe(readings).await;
            }
        }
        round = round.wrapping_add(1);
        tokio::time::sleep(EVERY).await;
    }
}

/// Tells receivers, for as long as the node runs.
pub(crate) async fn notify(keeping: Arc<Keeping>) {
    let alerts = &keeping.alerts;
    let mut round = 0_u32;
    loop {
        let is_seldom = round.is_multiple_of(FORGET);
        // Where there are no rules any more, what is open comes to its end all the same.
        if !alerts.rules().rules.is_empty() || (is_seldom && 0 < round) {
            let _telling = keeping.telling.read().await;
            alerts.round().await;
            if is_seldom && let Err(error) = alerts.forget().await {
                tracing::warn!(%error, "old alerts could not be forgotten; it is tried again");
            }
        }
        round = round.wrapping_add(1);
        tokio::time::sleep(EVERY).await;
    }
}

/// Runs jobs, for as long as the node runs.
pub(crate) async fn run_jobs(node: Weak<Node>, jobs: Arc<Jobs>) {
    let does: Arc<dyn Does> = Arc::new(Doing(node));
    let mut tasks = JoinSet::new();
    loop {
        jobs.round(&does, &mut tasks).await;
        tokio::time::sleep(EVERY).await;
    }
}

fn readings(node: &Node) -> Readings {
    let upstreams = beside::upstreams(node).into_iter().map(|upstream| {
        let is_down = upstream.healthy == 0 || upstream.breaker == Breaker::Open;
        (upstream.upstream, is_down)
    });
    let sinks = node.shipments.lock().readings().into_iter().map(|(name, reading)| (name, reading.age)).collect();
    let sources = beside::sources(&node.sources).into_iter().map(|source| (source.source, source.is_well)).collect();
    Readings {
        failures: node.failures.take().into_iter().map(failure).collect(),
        answers: None,
        upstreams: upstreams.collect(),
        sinks,
        event_sinks: node.exports.lock().ages(),
        usage_journal: node.keeping.as_ref().map(|keeping| fill(&keeping.journal())),
        sources,
        certificates: None,
        keys: None,
    }
}

/// How many hundredths of what it may have a journal has.
fn fill(journal: &journal::State) -> u8 {
    let all = journal.bytes.saturating_add(journal.room).max(1);
    u8::try_from(journal.bytes.saturating_mul(100) / all).unwrap_or(100)
}

/// Answers of APIs: what all threads have counted is summed up.
fn answers(node: &Node) -> Vec<Answers> {
    let answers = Metrics::answers(&node.registry).into_iter();
    answers
        .filter(|(api, _)| !api.is_empty())
        .map(|(api, [all, failed])| Answers { api: api.into(), all, failed })
        .collect()
}

fn failure(failed: Failed) -> Failure {
    let Failed { route, how, upstream, count, example } = failed;
    Failure {
        api: route.api.to_string(),
        route: route.template.to_string(),
        kind: match how {
            How::Problem(code) => code.to_owned(),
            How::Status(status) => format!("status-{status}"),
            How::Other => "other".to_owned(),
        },
        upstream: upstream.map(|upstream| upstream.to_string()),
        count,
        example: example.to_string(),
    }
}

/// What expires: certificates, and keys.
async fn ending(node: &Node, rules: Arc<Rules>) -> (Option<Vec<Ending>>, Option<Vec<Ending>>) {
    let (document, keeping) = (node.configuration().document.clone(), node.keeping.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let longest =
            |pick: fn(&Watch) -> Option<Duration>| rules.rules.iter().filter_map(|rule| pick(&rule.watch)).max();
        let of_certificates = longest(|watch| match watch {
            Watch::Certificates(before) => Some(*before),
            _ => None,
        });
        let of_keys = longest(|watch| match watch {
            Watch::Keys(before) => Some(*before),
            _ => None,
        });
        let mut certificates = of_files(&document);
        certificates.extend(keeping.iter().flat_map(|keeping| of_authorities(keeping)));
        certificates.extend(of_partners(keeping.as_deref(), Kind::Certificate, of_certificates));
        (certificates, of_partners(keeping.as_deref(), Kind::Key, of_keys))
    })
    .await;
    // Only a panic keeps it from looking.
    looked.map_or((None, None), |(certificates, keys)| (Some(certificates), Some(keys)))
}

/// Certificates of listeners. Those that cannot be read serve no more than from memory, which is told elsewhere.
fn of_files(document: &Document) -> Vec<Ending> {
    let listeners = document.listeners.iter().map(|(name, listener)| (format!("listener {name}"), &listener.tls));
    let admin = document.admin.iter().map(|admin| ("the admin listener".to_owned(), &admin.tls));
    let mut endings = Vec::new();
    for (owner, tls) in listeners.chain(admin) {
        for files in tls.iter().flat_map(|tls| &tls.certificates) {
            let Ok(der) = CertificateDer::from_pem_file(&files.cert) else { continue };
            let Ok(said) = Certificate::of(&der) else { continue };
            let what = format!("certificate {}", files.cert.display());
            endings.push(Ending {
                owner: owner.clone(),
                what,
                at: UnixMicros(said.not_after.saturating_mul(1_000_000)),
            });
        }
    }
    endings
}

fn of_authorities(keeping: &Keeping) -> Vec<Ending> {
    let ends = keeping.authorities.ends().into_iter().map(|(name, not_after)| Ending {
        owner: format!("authority {name}"),
        what: "the certificate".to_owned(),
        at: UnixMicros(not_after.saturating_mul(1_000_000)),
    });
    ends.collect()
}

/// Credentials of partners that expire within a time, or did in the last days.
fn of_partners(keeping: Option<&Keeping>, kind: Kind, before: Option<Duration>) -> Vec<Ending> {
    let (Some(keeping), Some(before)) = (keeping, before) else { return Vec::new() };
    let from = now();
    let until = UnixMicros(from.0.saturating_add(u64::try_from(before.as_micros()).unwrap_or(u64::MAX)));
    let expiring = keeping.index.expiring(&(from..until), EXPIRING);
    let named = |id: &EntityId| match kind {
        Kind::Certificate => format!("certificate {}", id.path().chars().take(16).collect::<String>()),
        _ => format!("key {}", id.path()),
    };
    let of_kind = expiring.into_iter().filter(|expiring| expiring.id.kind() == kind);
    of_kind
        .map(|expiring| Ending { owner: format!("app {}", expiring.app), what: named(&expiring.id), at: expiring.at })
        .collect()
}
