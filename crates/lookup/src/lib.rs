//! Answers of a slow, unreliable source: remembered, refreshed ahead of time, served stale while the source is in trouble.
//!
//! One question is asked once at a time, however many wait for it. Deliberately not here: how the source is asked, and
//! where that runs.

mod entry;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use self::entry::{Entry, Flight};

/// What a source says about a question, unless it is in trouble.
pub type Said<V> = Result<Option<Lasting<V>>, Trouble>;

/// An answer, and how long it is as good as new if not as long as others.
#[derive(Clone, Copy, Debug)]
pub struct Lasting<V> {
    /// The answer.
    pub value: V,
    /// How long it is as good as new; the [`Terms`] say so where this does not.
    pub fresh: Option<Duration>,
}

impl<V> From<V> for Lasting<V> {
    fn from(value: V) -> Self {
        Self { value, fresh: None }
    }
}

/// Why a source gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// How long answers hold.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long an answer is as good as new.
    pub fresh: Duration,
    /// When one that is asked for is fetched again, while it still is.
    pub refresh_after: Duration,
    /// For how long after that it serves if there is no newer one.
    pub stale: Duration,
    /// How long it is remembered that there is nothing.
    pub absent: Duration,
    /// How long somebody waits who could be served a stale answer.
    pub patience: Duration,
    /// How long somebody waits who could not.
    pub cold_patience: Duration,
    /// How long a source in trouble is left alone about one question.
    pub pause: Duration,
    /// How many answers are remembered.
    pub most: usize,
}

/// What is known by now.
#[derive(Debug, PartialEq, Eq)]
pub enum Known<V> {
    /// There is something.
    Found(Arc<V>),
    /// There is nothing.
    Absent,
    /// Nobody can say.
    Unavailable,
}

/// What is known now, or what to wait for.
pub enum Step<'a, V> {
    /// It is known.
    Now(Known<V>),
    /// Somebody is asked.
    Wait(BoxFuture<'a, Known<V>>),
}

/// How a source does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Answers that are remembered.
    pub entries: u64,
    /// The age of the oldest answer that can still be served.
    pub oldest: Duration,
    /// Whether the source answered when it was asked last, or was never asked.
    pub is_well: bool,
    /// Answers that the source gave.
    pub answered: u64,
    /// Times that it gave none.
    pub failed: u64,
    /// Answers that were served as good as new.
    pub served_fresh: u64,
    /// Answers that were served stale.
    pub served_stale: u64,
    /// Times that there was nothing to serve because of the source.
    pub unavailable: u64,
}

/// How answers about one question hang together, for those that something depends on.
pub struct Ties<V> {
    /// An answer takes over from the one before it.
    pub succeed: fn(&mut V, &V),
    /// The source says that there is nothing any more.
    pub end: fn(&V),
    /// Whether something depends on an answer, although nobody may ask for it.
    pub is_in_use: fn(&V) -> bool,
}

impl<V> Default for Ties<V> {
    fn default() -> Self {
        Self { succeed: |_, _| (), end: |_| (), is_in_use: |_| false }
    }
}

/// What is remembered beyond this process, for its next start and for others. Nothing of it fails: what cannot be
/// remembered is not.
pub trait Memory<V>: Send + Sync {
    /// The answer to a question, and how old it is. It comes soon, or there is none.
    fn recall(&self, key: &str) -> BoxFuture<'static, Option<(V, Duration)>>;
    /// Remembers what the source just answered.
    fn keep(&self, key: &str, value: &V);
    /// Forgets a question, to which the source said that there is nothing.
    fn forget(&self, key: &str);
}

/// The answers of one source.
pub struct Lookups<V> {
    terms: Terms,
    ties: Ties<V>,
    memory: Option<Box<dyn Memory<V>>>,
    shards: Vec<Mutex<HashMap<String, Entry<V>>>>,
    hasher: RandomState,
    is_in_trouble: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
    served_fresh: AtomicU64,
    served_stale: AtomicU64,
    unavailable: AtomicU64,
}

impl<V: Send + Sync + 'static> Lookups<V> {
    /// Remembers nothing yet.
    pub fn new(terms: Terms) -> Self {
        Self::tied(terms, Ties::default())
    }

    /// As [`Self::new`], for answers that something depends on.
    pub fn tied(terms: Terms, ties: Ties<V>) -> Self {
        Self {
            terms,
            ties,
            memory: None,
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            is_in_trouble: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            served_fresh: AtomicU64::new(0),
            served_stale: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
        }
    }

    /// Has answers remembered beyond this process, too: whatever is asked, the memory is asked first.
    #[must_use]
    pub fn with_memory(self, memory: Box<dyn Memory<V>>) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// What is known about `key`; `ask` asks the source, and `run` runs that to its end, whoever waits for it.
    pub fn find(
        self: &Arc<Self>,
        key: String,
        ask: impl FnOnce() -> BoxFuture<'static, Said<V>>,
        run: impl FnOnce(BoxFuture<'static, ()>),
    ) -> Step<'_, V> {
        let now = Instant::now();
        let (began, flight, limit) = {
            let Some(mut shard) = self.shard(&key) else { return Step::Now(Known::Unavailable) };
            if let Some(entry) = shard.get(&key)
                && !entry.state(&self.terms, now).is_due
            {
                return Step::Now(self.known(entry, now));
            }
            self.make_room(&mut shard, &key, now);
            let entry = shard.entry(key.clone()).or_default();
            let state = entry.state(&self.terms, now);
            if self.may_ask(entry, now) {
                let (flight, work) = self.flight(key.clone(), now, ask());
                entry.flight = Some(flight);
                run(work);
            }
            let Some(flight) = entry.running().filter(|_| !state.is_fresh) else {
                return Step::Now(self.known(entry, now));
            };
            let patience = if state.can_serve { self.terms.patience } else { self.terms.cold_patience };
            // Counted from when the source was asked: who comes later waits no second time.
            let limit = flight.began + patience;
            if state.can_serve && limit <= now {
                return Step::Now(self.known(entry, now));
            }
            (flight.began, flight.ended.clone(), limit.max(now))
        };
        Step::Wait(Box::pin(self.wait(key, flight, (began, limit))))
    }

    /// Questions that are due to be asked again, because something depends on their answers although nobody asks.
    pub fn due_in_use(&self) -> Vec<String> {
        let now = Instant::now();
        let mut due = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let is_due = |entry: &Entry<V>| {
                self.is_in_use(entry) && entry.state(&self.terms, now).is_due && self.may_ask(entry, now)
            };
            due.extend(shard.iter().filter(|(_, entry)| is_due(entry)).map(|(key, _)| key.clone()));
        }
        due
    }

    /// Asks about `key` anew, unless that is under way; `run` runs it to its end.
    pub fn refresh(
        self: &Arc<Self>,
        key: String,
        ask: impl FnOnce() -> BoxFuture<'static, Said<V>>,
        run: impl FnOnce(BoxFuture<'static, ()>),
    ) {
        let now = Instant::now();
        let Some(mut shard) = self.shard(&key) else { return };
        if let Some(entry) = shard.get_mut(&key).filter(|entry| self.may_ask(entry, now)) {
            let (flight, work) = self.flight(key, now, ask());
            entry.flight = Some(flight);
            run(work);
        }
    }

    fn is_in_use(&self, entry: &Entry<V>) -> bool {
        matches!(entry.answer(), Some(Some(answer)) if (self.ties.is_in_use)(answer))
    }

    fn may_ask(&self, entry: &Entry<V>, now: Instant) -> bool {
        entry.running().is_none() && !entry.is_left_alone(&self.terms, now)
    }

    /// A question that is to be asked, and the work that asks it.
    fn flight(
        self: &Arc<Self>,
        key: String,
        began: Instant,
        asked: BoxFuture<'static, Said<V>>,
    ) -> (Flight, BoxFuture<'static, ()>) {
        let (ends, ended) = watch::channel(());
        (Flight { began, ended }, self.clone().fly(key, asked, ends))
    }

    /// How the source does.
    pub fn reading(&self) -> Reading {
        let now = Instant::now();
        let (mut entries, mut oldest) = (0, Duration::ZERO);
        for shard in &self.shards {
            for entry in shard.lock().values().filter(|entry| entry.state(&self.terms, now).can_serve) {
                entries += 1;
                oldest = oldest.max(entry.age(now).unwrap_or_default());
            }
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            entries,
            oldest,
            is_well: !self.is_in_trouble.load(Ordering::Relaxed),
            answered: count(&self.answered),
            failed: count(&self.failed),
            served_fresh: count(&self.served_fresh),
            served_stale: count(&self.served_stale),
            unavailable: count(&self.unavailable),
        }
    }

    async fn wait(
        &self,
        key: String,
        mut ended: watch::Receiver<()>,
        (began, mut limit): (Instant, Instant),
    ) -> Known<V> {
        // It ends when its sender goes, with or without an answer; or there is no more time, and what is known must do.
        while let Ok(Ok(())) = timeout_at(limit, ended.changed()).await {
            // Something was recalled that can be served.
            limit = limit.min(began + self.terms.patience);
        }
        let Some(shard) = self.shard(&key) else { return Known::Unavailable };
        match shard.get(&key) {
            Some(entry) => self.known(entry, Instant::now()),
            None => self.nothing(),
        }
    }

    /// Asks, and writes down what came of it. The sender goes at the end, also if this is dropped before.
    fn fly(
        self: Arc<Self>,
        key: String,
        asked: BoxFuture<'static, Said<V>>,
        ends: watch::Sender<()>,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if self.is_recalled_as_new(&key, &ends).await {
                return;
            }
            let said = asked.await;
            let now = Instant::now();
            self.is_in_trouble.store(said.is_err(), Ordering::Relaxed);
            let counter = if said.is_ok() { &self.answered } else { &self.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            if let (Some(memory), Ok(answer)) = (&self.memory, &said) {
                match answer {
                    Some(answer) => memory.keep(&key, &answer.value),
                    None => memory.forget(&key),
                }
            }
            if let Some(mut shard) = self.shard(&key) {
                let entry = shard.entry(key).or_default();
                match said {
                    Ok(answer) => entry.learn(answer, now, &self.ties),
                    Err(_) => entry.failed = Some(now),
                }
            }
            drop(ends);
        })
    }

    /// Learns what the memory has that is newer. Whether that is as good as new, so that the source need not be asked.
    async fn is_recalled_as_new(&self, key: &str, ends: &watch::Sender<()>) -> bool {
        let Some(memory) = &self.memory else { return false };
        let Some((value, age)) = memory.recall(key).await else { return false };
        let now = Instant::now();
        let (Some(at), Some(mut shard)) = (now.checked_sub(age), self.shard(key)) else { return false };
        let entry = shard.entry(key.to_owned()).or_default();
        if entry.age(now).is_some_and(|known| known <= age + NEWER) {
            return false;
        }
        entry.learn(Some(value.into()), at, &self.ties);
        let state = entry.state(&self.terms, now);
        if state.can_serve {
            // Whoever waits need not wait for as long as without any answer.
            ends.send_replace(());
        }
        !state.is_due
    }

    /// What an entry has to say, however old, as long as it may be served.
    fn known(&self, entry: &Entry<V>, now: Instant) -> Known<V> {
        let state = entry.state(&self.terms, now);
        match entry.answer().filter(|_| state.can_serve) {
            Some(answer) => {
                let counter = if state.is_fresh { &self.served_fresh } else { &self.served_stale };
                counter.fetch_add(1, Ordering::Relaxed);
                answer.clone().map_or(Known::Absent, Known::Found)
            }
            None => self.nothing(),
        }
    }

    fn nothing(&self) -> Known<V> {
        self.unavailable.fetch_add(1, Ordering::Relaxed);
        Known::Unavailable
    }

    fn shard(&self, key: &str) -> Option<parking_lot::MutexGuard<'_, HashMap<String, Entry<V>>>> {
        let number = self.hasher.hash_one(key) % SHARDS as u64;
        self.shards.get(usize::try_from(number).ok()?).map(Mutex::lock)
    }

    /// Forgets what is of no use any more, and the oldest quarter if that is not enough; never what something depends on.
    fn make_room(&self, shard: &mut HashMap<String, Entry<V>>, key: &str, now: Instant) {
        let most = (self.terms.most / SHARDS).max(1);
        if shard.len() < most || shard.contains_key(key) {
            return;
        }
        let is_needed = |entry: &Entry<V>| entry.running().is_some() || self.is_in_use(entry);
        shard.retain(|_, entry| is_needed(entry) || entry.state(&self.terms, now).can_serve);
        if shard.len() < most {
            return;
        }
        let mut ages: Vec<_> = shard.values().filter_map(|entry| entry.age(now)).collect();
        ages.sort_unstable();
        let limit = ages.get(ages.len() * 3 / 4).copied().unwrap_or_default();
        shard.retain(|_, entry| self.is_in_use(entry) || entry.age(now).is_none_or(|age| age < limit));
        if shard.len() >= most {
            shard.retain(|_, entry| self.is_in_use(entry));
        }
    }
}

/// By how much an answer must be newer to take another one's place: two clocks measured them.
const NEWER: Duration = Duration::from_secs(1);

/// Parts with a lock each, so that threads seldom want the same one.
const SHARDS: usize = 16;

#[cfg(test)]
mod tests;
