//! Records in the store, for the next start and for other nodes: sealed, bounded, and behind what requests wait for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use futures::future::BoxFuture;
use lookup::Memory;
use parking_lot::Mutex;
use pipeline::Record;
use secrets::SealingKey;
use serde::{Deserialize, Serialize};
use store::{
    Clock, Commit, EntityId, KeptRecord, KeptRecordId, Kind, Listing, Registry, Row, StoreError, Stored, UnixMicros,
    Write,
};

use super::Remembered;

/// Records in the store.
///
/// A record is found by a keyed hash of all that makes a question what it is, and only a node with the key of the vault can
/// read it.
pub struct Archive {
    registry: Arc<dyn Registry>,
    key: SealingKey,
    clock: Clock,
    waiting: Mutex<HashMap<KeptRecordId, Waiting>>,
    sweep: tokio::sync::Mutex<Sweep>,
}

/// What the store does not know yet.
#[derive(Clone)]
enum Waiting {
    Keep { content: Content, ends: UnixMicros },
    Forget,
}

/// What is sealed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Content {
    /// When the source said it.
    at: UnixMicros,
    members: Vec<(String, String)>,
}

/// How far the store was looked through for what is over.
#[derive(Default)]
struct Sweep {
    after: Option<String>,
    /// Records that were seen in this round.
    seen: usize,
    /// Records of the last round, and those that were added since.
    count: usize,
    /// When it goes on.
    due: UnixMicros,
}

impl Archive {
    /// The records of a store, under this key.
    pub fn new(registry: Arc<dyn Registry>, key: SealingKey, clock: Clock) -> Self {
        Self { registry, key, clock, waiting: Mutex::default(), sweep: tokio::sync::Mutex::default() }
    }

    /// Brings to the store what waits for it, and takes out what is over. What the store does not take now is brought again.
    pub async fn write(&self) {
        let mut sweep = self.sweep.lock().await;
        if let Err(error) = self.bring(&mut sweep).await {
            tracing::warn!(%error, "records of partners could not be kept; it is tried again");
        } else if let Err(error) = self.forget_old(&mut sweep).await {
            tracing::warn!(%error, "old records of partners could not be taken out; it is tried again");
        }
    }

    async fn bring(&self, sweep: &mut Sweep) -> Result<(), StoreError> {
        let some: Vec<_> = {
            let mut waiting = self.waiting.lock();
            let ids: Vec<_> = waiting.keys().take(AT_ONCE).cloned().collect();
            ids.into_iter().filter_map(|id| waiting.remove_entry(&id)).collect()
        };
        if some.is_empty() {
            return Ok(());
        }
        let done = self.commit(&some, sweep).await;
        if done.is_err() {
            let mut waiting = self.waiting.lock();
            // What came meanwhile is newer.
            for (id, what) in some {
                waiting.entry(id).or_insert(what);
            }
        }
        match done {
            // Another node wrote the same, and it is looked at anew.
            Err(StoreError::Changed(_) | StoreError::Exists(_) | StoreError::NotFound(_)) => Ok(()),
            done => done,
        }
    }

    async fn commit(&self, some: &[(KeptRecordId, Waiting)], sweep: &mut Sweep) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        let mut created = 0;
        for (id, what) in some {
            let found = self.registry.find(&EntityId::from(id)).await?;
            match (what, found) {
                (Waiting::Forget, Some(stored)) => writes.push(Write::Delete(stored.row.id, Some(stored.revision))),
                (Waiting::Forget, None) => {}
                (Waiting::Keep { content, ends }, found) => {
                    let known = found.as_ref().and_then(|stored| self.content(stored));
                    let Some(row) = self.row(id, content, *ends).filter(|_| !is_known(content, known.as_ref())) else {
                        continue;
                    };
                    match found {
                        Some(stored) => writes.push(Write::Replace(row, Some(stored.revision))),
                        None if sweep.count + created < MOST => {
                            created += 1;
                            writes.push(Write::Create(row));
                        }
                        None => {}
                    }
                }
            }
        }
        if !writes.is_empty() {
            self.registry.commit(Commit { writes, ..Commit::default() }).await?;
        }
        sweep.count += created;
        Ok(())
    }

    /// Takes out what is over: a page at a time, and then not for a while.
    async fn forget_old(&self, sweep: &mut Sweep) -> Result<(), StoreError> {
        let now = (self.clock)();
        if now < sweep.due {
            return Ok(());
        }
        let listing = Listing { after: sweep.after.as_deref(), limit: PAGE, ..Listing::of(Kind::Record) };
        let page = self.registry.list(listing).await?;
        let last = page.last().map(|stored| stored.row.id.path().to_owned());
        let is_last = page.len() < PAGE;
        for stored in page {
            // One that cannot be read serves nobody.
            if stored.entity::<KeptRecord>().is_ok_and(|kept| kept.ends > now) {
                sweep.seen += 1;
                continue;
            }
            match self.registry.commit(Commit::of(Write::Delete(stored.row.id, Some(stored.revision)))).await {
                // Another node was there before, or it is needed again.
                Ok(_) | Err(StoreError::Changed(_) | StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if is_last {
            *sweep = Sweep { count: sweep.seen, due: UnixMicros(now.0.saturating_add(REST)), ..Sweep::default() };
        } else {
            sweep.after = last;
        }
        Ok(())
    }

    fn row(&self, id: &KeptRecordId, content: &Content, ends: UnixMicros) -> Option<Row> {
        let text = serde_json::to_vec(content).ok().filter(|text| text.len() <= LONGEST)?;
        let sealed = self.key.seal(&text, &id.to_string()).ok()?;
        Some(Row::of(&KeptRecord { id: id.clone(), sealed, ends }))
    }

    fn content(&self, stored: &Stored) -> Option<Content> {
        let kept: KeptRecord = stored.entity().ok()?;
        serde_json::from_slice(&self.key.open(&kept.sealed, &kept.id.to_string())?).ok()
    }

    async fn found(&self, id: &KeptRecordId) -> Option<(Record, Duration)> {
        let found = tokio::time::timeout(PATIENCE, self.registry.find(&EntityId::from(id))).await.ok()?;
        let content = self.content(&found.ok()??)?;
        let now = (self.clock)();
        // One that a node wrote whose clock is far ahead would be as good as new for too long.
        if content.at.0 > now.0.saturating_add(AHEAD) {
            return None;
        }
        let age = Duration::from_micros(now.0.saturating_sub(content.at.0));
        let members = content.members.into_iter().map(|(name, value)| (name.into(), value));
        Some((Record { members: members.collect() }, age))
    }

    fn wait(&self, id: KeptRecordId, what: Waiting) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING || waiting.contains_key(&id) {
            waiting.insert(id, what);
        }
    }
}

/// Whether the store has the same already, and not since long ago.
fn is_known(content: &Content, known: Option<&Content>) -> bool {
    known.is_some_and(|known| known.members == content.members && content.at.0 < known.at.0.saturating_add(AGAIN))
}

/// The records of one source in an archive.
pub(super) struct Archived {
    archive: Arc<Archive>,
    names: hmac::Key,
    /// How long a record serves.
    serves: Duration,
}

impl Archived {
    /// Those of the source of this name, which says all that makes it what it is.
    pub(super) fn new(archive: Arc<Archive>, source: &str, serves: Duration) -> Self {
        let key = hmac::sign(&hmac::Key::new(HMAC_SHA256, archive.key.bytes()), source.as_bytes());
        Self { names: hmac::Key::new(HMAC_SHA256, key.as_ref()), archive, serves }
    }

    fn id(&self, question: &str) -> KeptRecordId {
        KeptRecordId::of(hmac::sign(&self.names, question.as_bytes()).as_ref())
    }
}

impl Memory<Remembered> for Archived {
    fn recall(&self, question: &str) -> BoxFuture<'static, Option<(Remembered, Duration)>> {
        let (archive, id) = (self.archive.clone(), self.id(question));
        Box::pin(async move { archive.found(&id).await.map(|(record, age)| (record.into(), age)) })
    }

    fn keep(&self, question: &str, value: &Remembered) {
        let at = (self.archive.clock)();
        let serves = u64::try_from(self.serves.as_micros()).unwrap_or(u64::MAX);
        let members = value.record.members.iter().map(|(name, value)| (name.to_string(), value.clone()));
        let content = Content { at, members: members.collect() };
        let ends = UnixMicros(at.0.saturating_add(serves));
        self.archive.wait(self.id(question), Waiting::Keep { content, ends });
    }

    fn forget(&self, question: &str) {
        self.archive.wait(self.id(question), Waiting::Forget);
    }
}

/// How long a question waits for the store before it goes to the source.
const PATIENCE: Duration = Duration::from_secs(1);
/// Records that are brought to the store in one step.
const AT_ONCE: usize = 500;
/// Records that wait for the store; while it is away for long, further ones are not kept.
const WAITING: usize = 10_000;
/// Records in the store, beyond which none is added.
const MOST: usize = 100_000;
/// Bytes of a record that is kept.
const LONGEST: usize = 16 * 1024;
/// Microseconds after which a record that stayed the same is written again.
const AGAIN: u64 = 60_000_000;
/// Microseconds by which clocks of nodes may differ.
const AHEAD: u64 = 60_000_000;
/// Records that are looked at in one step, to find those that are over.
const PAGE: usize = 1000;
/// Microseconds from one time of looking at all of them to the next.
const REST: u64 = 600_000_000;

#[cfg(test)]
mod tests;
