//! Alerts of all nodes of a store: what this node sees goes in, what is open comes out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use alerts::{Judge, Notice, Readings, Rules, Sight, Verdict, book};
use limits::{Brink, Reached};
use parking_lot::{Mutex, RwLock};
use store::{
    Alert, AlertId, AlertLevel, AlertStage, Commit, EntityId, Kind, Listing, Registry, Revision, Row, StoreError,
    UnixMicros, Write,
};

use crate::duty::Post;
use crate::receivers::Receivers;
use crate::webhooks::Clock;

/// Alerts of all nodes of a store.
pub struct Alerts {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) clock: Clock,
    /// What this process is called among the nodes.
    pub(crate) node: String,
    pub(crate) rules: RwLock<Arc<Rules>>,
    pub(crate) receivers: RwLock<Arc<Receivers>>,
    /// Whoever holds it tells receivers.
    pub(crate) post: Post,
    /// Receivers that took nothing: how often, and until when they are left alone.
    pub(crate) paused: Mutex<HashMap<String, (u32, UnixMicros)>>,
    /// Notices that each receiver took, and those that it did not.
    pub(crate) told: Mutex<BTreeMap<String, [u64; 2]>>,
    judge: tokio::sync::Mutex<Judge>,
    /// What was seen elsewhere, or could not be kept yet.
    reported: Mutex<Vec<Sight>>,
    brink: Near,
}

/// Callers that came near the end of a quota.
#[derive(Default)]
struct Near {
    /// The shares of quotas to look at, for policies that are compiled from now on.
    shares: RwLock<Box<[u8]>>,
    /// Hashes of what was seen, so that it is not said for each request.
    seen: Mutex<HashSet<u64>>,
    hasher: RandomState,
}

/// Why an alert is not there, or not told of.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// There is no such alert.
    #[error("there is no alert `{0}`")]
    NoAlert(AlertId),
    /// There is no such receiver.
    #[error("there is no receiver `{0}`; the configuration has them under `alerts`")]
    NoReceiver(String),
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a receiver does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverState {
    /// Its name in the configuration.
    pub name: String,
    /// `webhook`, `mail` or `sentry`.
    pub kind: &'static str,
    /// Notices that it took from this process.
    pub taken: u64,
    /// Times that it did not take one.
    pub failed: u64,
    /// Until when it is left alone, because it takes nothing.
    pub paused_until: Option<UnixMicros>,
}

impl Alerts {
    /// Alerts in a registry, as seen by a process of this name (`node`).
    pub fn new(registry: Arc<dyn Registry>, node: String, clock: Clock) -> Self {
        Self {
            post: Post::new(registry.clone(), clock.clone(), "alerts", node.clone()),
            registry,
            clock,
            node,
            rules: RwLock::default(),
            receivers: RwLock::default(),
            paused: Mutex::default(),
            told: Mutex::default(),
            judge: tokio::sync::Mutex::default(),
            reported: Mutex::default(),
            brink: Near::default(),
        }
    }

    /// What policies are to look at that are compiled from now on.
    pub(crate) fn expect(&self, rules: &Rules) {
        let mut shares: Vec<u8> = rules.rules.iter().flat_map(|rule| shares(&rule.watch)).copied().collect();
        shares.sort_unstable();
        shares.dedup();
        *self.brink.shares.write() = shares.into();
    }

    /// From now on this holds.
    pub(crate) fn set(&self, rules: Rules, receivers: Receivers) {
        // What was seen while nobody looked is not news.
        if self.rules().rules.is_empty()
            && let Ok(mut judge) = self.judge.try_lock()
        {
            *judge = Judge::default();
        }
        *self.rules.write() = Arc::new(rules);
        *self.receivers.write() = Arc::new(receivers);
    }

    /// The names that alerts have as their rule's: those of the rules that hold, and that of what is wrong beyond them.
    pub fn rule_names(&self) -> Vec<String> {
        let rules = self.rules();
        rules.rules.iter().map(|rule| rule.name.clone()).chain([alerts::BEYOND.to_owned()]).collect()
    }

    /// The rules that hold.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.read().clone()
    }

    /// Reports what somebody else sees than the rules' own looking.
    pub(crate) fn report(&self, sight: Sight) {
        let mut reported = self.reported.lock();
        if reported.len() < REPORTED {
            reported.push(sight);
        }
    }

    /// Looks at what the node sees of itself, and keeps what is wrong and what is well again.
    pub(crate) async fn observe(&self, readings: Readings) {
        let (rules, now) = (self.rules(), (self.clock)());
        let mut sights = std::mem::take(&mut *self.reported.lock());
        sights.extend(self.judge.lock().await.judge(&rules, readings, now));
        let mut left = Vec::new();
        for sight in sights {
            if let Err(error) = self.keep(&sight, &rules, now).await {
                if left.is_empty() {
                    tracing::warn!(%error, "alerts wait for the store");
                }
                left.push(sight);
            }
        }
        for sight in left {
            self.report(sight);
        }
    }

    /// How many things are wrong at the moment, as far as this node sees.
    pub(crate) fn wrong(&self) -> u64 {
        self.judge.try_lock().map_or(0, |judge| judge.wrong() as u64)
    }

    /// Takes what is seen into its alert, whoever else does that at the same time.
    async fn keep(&self, sight: &Sight, rules: &Rules, now: UnixMicros) -> Result<(), StoreError> {
        let mut tries = TRIES;
        loop {
            let found = self.registry.find(&EntityId::from(&sight.id)).await?;
            let write = if let Some(stored) = found {
                let mut alert: Alert = stored.entity()?;
                if !book::absorb(&mut alert, sight, &self.node, rules.calm, now) {
                    return Ok(());
                }
                Write::Replace(Row::of(&alert), Some(stored.revision))
            } else {
                let Some(alert) = book::opened(sight, &self.node, now) else { return Ok(()) };
                if sight.kind != OVERFLOW && self.is_full(sight.level, rules).await? {
                    let overflow = alerts::overflow(rules.most_open, sight);
                    return Box::pin(self.keep(&overflow, rules, now)).await;
                }
                tracing::warn!(alert = %alert.id, rule = alert.rule, summary = alert.summary, "an alert is open");
                Write::Create(Row::of(&alert))
            };
            tries -= 1;
            match self.registry.commit(Commit::of(write)).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Changed(_) | StoreError::Exists(_) | StoreError::NotFound(_)) if 0 < tries => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether as many alerts are open as may be. What can wait leaves half of the places to what cannot.
    async fn is_full(&self, level: AlertLevel, rules: &Rules) -> Result<bool, StoreError> {
        let places = match level {
            AlertLevel::Error => rules.most_open,
            AlertLevel::Warning => rules.most_open.div_ceil(2),
        };
        let listing = Listing { label: Some(Alert::OPEN), limit: places, ..Listing::of(Kind::Alert) };
        Ok(places <= self.registry.list(listing).await?.len())
    }

    /// Alerts that are open, or those that are over, in the order of their ids.
    pub async fn list(&self, open: bool) -> Result<Vec<Alert>, AlertError> {
        let labels: &[_] = if open { &[Alert::OPEN] } else { &[Alert::ENDING, Alert::OVER] };
        let mut alerts = Vec::new();
        for label in labels {
            alerts.extend(self.labelled(label).await?.into_iter().map(|(alert, _)| alert));
        }
        Ok(alerts)
    }

    /// The alert of this id.
    pub async fn alert(&self, id: &AlertId) -> Result<Alert, AlertError> {
        let found = self.registry.find(&EntityId::from(id)).await?;
        Ok(found.ok_or_else(|| AlertError::NoAlert(id.clone()))?.entity()?)
    }

    /// Says that what an alert is about is well. It is over, unless somebody sees it again.
    pub async fn close(&self, id: &AlertId) -> Result<Alert, AlertError> {
        let mut tries = TRIES;
        loop {
            let found = self.registry.find(&EntityId::from(id)).await?;
            let stored = found.ok_or_else(|| AlertError::NoAlert(id.clone()))?;
            let mut alert: Alert = stored.entity()?;
            let now = (self.clock)();
            alert.nodes.values_mut().for_each(|until| *until = now);
            if !book::close_if_over(&mut alert, now) {
                return Ok(alert);
            }
            tries -= 1;
            match self.registry.commit(Commit::of(Write::Replace(Row::of(&alert), Some(stored.revision)))).await {
                Ok(_) => return Ok(alert),
                Err(StoreError::Changed(_)) if 0 < tries => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How the receivers do, as far as this process told them.
    pub fn receivers(&self) -> Vec<ReceiverState> {
        let (receivers, told, paused) = (self.receivers.read().clone(), self.told.lock(), self.paused.lock());
        let state = |(name, receiver): (&String, &Arc<crate::receivers::Receiver>)| {
            let [taken, failed] = told.get(name).copied().unwrap_or_default();
            let paused_until = paused.get(name).map(|(_, until)| *until);
            ReceiverState { name: name.clone(), kind: receiver.kind(), taken, failed, paused_until }
        };
        receivers.iter().map(state).collect()
    }

    /// Tells a receiver of an alert that is none, and answers why it did not take it.
    pub async fn test(&self, receiver: &str) -> Result<Result<(), String>, AlertError> {
        let known = self.receivers.read().get(receiver).cloned();
        let known = known.ok_or_else(|| AlertError::NoReceiver(receiver.to_owned()))?;
        let now = (self.clock)();
        let sight = Sight {
            id: AlertId::of(&now.0.to_be_bytes()),
            rule: "test".to_owned(),
            kind: "test",
            level: AlertLevel::Warning,
            summary: "this is a test: nothing is wrong".to_owned(),
            advice: "Nothing: it shows that notices arrive.".to_owned(),
            labels: BTreeMap::new(),
            count: 1,
            example: None,
            verdict: Verdict::Wrong(Duration::ZERO),
        };
        let Some(alert) = book::opened(&sight, &self.node, now) else { return Ok(Ok(())) };
        let notice = Notice::new(&alert, receiver, AlertStage::Opened);
        Ok(known.tell(&[notice], &self.node, now).await)
    }

    pub(crate) async fn labelled(&self, label: &str) -> Result<Vec<(Alert, Revision)>, StoreError> {
        let stored = self.registry.list(Listing { label: Some(label), ..Listing::of(Kind::Alert) }).await?;
        stored.iter().map(|stored| Ok((stored.entity()?, stored.revision))).collect()
    }

    /// A caller came near the end of a quota.
    fn near(&self, reached: &Reached<'_>) {
        let rules = self.rules();
        let left = Duration::from_micros(reached.ends.saturating_mul(1_000_000).saturating_sub(reached.now));
        for rule in rules.of_kind("quota") {
            let alerts::Watch::Quota { at, windows_from } = &rule.watch else { continue };
            if at.contains(&reached.share) && windows_from.as_secs() <= reached.lasts {
                self.report(alerts::quota(rule, (reached.quota, reached.whom), (reached.share, reached.limit), left));
            }
        }
    }
}

impl Brink for Alerts {
    fn shares(&self) -> Box<[u8]> {
        self.brink.shares.read().clone()
    }

    fn reached(&self, reached: &Reached<'_>) {
        let Reached { quota, whom, share, ends, .. } = reached;
        let hash = self.brink.hasher.hash_one((quota, whom, share, ends));
        // What is refused is said again, so that no request waits for another one. Who comes as far is there once.
        let seen = if reached.is_refused { self.brink.seen.try_lock() } else { Some(self.brink.seen.lock()) };
        let Some(mut seen) = seen else { return };
        if SEEN <= seen.len() {
            seen.clear();
        }
        if seen.insert(hash) {
            drop(seen);
            self.near(reached);
        }
    }
}

fn shares(watch: &alerts::Watch) -> &[u8] {
    match watch {
        alerts::Watch::Quota { at, .. } => at,
        _ => &[],
    }
}

/// How often an alert is written that others write at the same time.
const TRIES: usize = 16;

/// What may wait to be kept.
const REPORTED: usize = 1000;

/// Callers near the end of a quota that are remembered.
const SEEN: usize = 10_000;

/// The kind of the alert that counts what is wrong beyond those that may be open.
const OVERFLOW: &str = "most_open";
