//! What a node tells the store of its collections, and what it learns from others by it.

use std::collections::BTreeMap;
use std::mem::take;
use std::slice;

use store::{
    Changed, Collection, CollectionId, Commit, EntityId, Kind, Listing, Registry, Revision, Row, StoreError, Stored,
    UnixMicros, Write,
};

use super::change::{Changes, apply, joined};
use super::{Collections, MOST, SECOND};

/// How far this node is with the store.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Up to which revision it is known; none, before everything was read.
    since: Option<Revision>,
    /// When what is over was last taken out here, and there.
    tidied: UnixMicros,
    swept: UnixMicros,
}

/// What of a collection is being told.
struct Told {
    id: CollectionId,
    changes: Changes,
    ends: UnixMicros,
}

/// What became of collections that were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    Whole,
    /// Another node changed one of them at the same time, and nothing was written.
    Late,
}

impl Collections {
    /// Brings to the store what changed here, and learns what changed elsewhere. What the store does not take now is
    /// brought again.
    pub async fn share(&self) {
        let Some(registry) = &self.registry else { return };
        let mut shared = self.shared.lock().await;
        if let Err(error) = self.share_with(&**registry, &mut shared).await {
            tracing::warn!(%error, "what the firewall remembers could not be shared; it is tried again");
        }
    }

    async fn share_with(&self, registry: &dyn Registry, shared: &mut Shared) -> Result<(), StoreError> {
        self.bring(registry).await?;
        let latest = registry.revision().await?;
        shared.since = Some(match shared.since {
            Some(since) if since <= latest => self.learn(registry, since).await?,
            // A store that was restored from a backup is read as a new one is.
            Some(_) | None => self.learn_all(registry, latest).await?,
        });
        let now = (self.clock)();
        if now.0 > shared.tidied.0.saturating_add(TIDY) {
            shared.tidied = now;
            self.known.lock().tidy(now);
        }
        if now.0 > shared.swept.0.saturating_add(SWEEP) {
            shared.swept = now;
            sweep(registry, now).await?;
        }
        Ok(())
    }

    /// Tells the store, several collections at a time: each commit waits for a disk, and wakes everybody who follows.
    async fn bring(&self, registry: &dyn Registry) -> Result<(), StoreError> {
        let waiting: Vec<CollectionId> = {
            let known = self.known.lock();
            let waiting = known.held.iter().filter(|(_, held)| !held.pending.is_empty());
            waiting.map(|(id, _)| id.clone()).take(AT_ONCE).collect()
        };
        for some in waiting.chunks(TOGETHER) {
            if self.bring_together(registry, some).await? == Brought::Whole {
                continue;
            }
            for one in some {
                for _ in 0..TRIES {
                    if self.bring_together(registry, slice::from_ref(one)).await? == Brought::Whole {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn bring_together(&self, registry: &dyn Registry, ids: &[CollectionId]) -> Result<Brought, StoreError> {
        let told: Vec<Told> = {
            let mut known = self.known.lock();
            let taken = ids.iter().filter_map(|id| {
                let held = known.held.get_mut(id)?;
                Some(Told { id: id.clone(), changes: take(&mut held.pending), ends: held.ends })
            });
            taken.collect()
        };
        let now = (self.clock)();
        let written = write(registry, &told, now).await;
        let mut known = self.known.lock();
        if let Ok(Some(collections)) = written {
            for collection in collections {
                if let Some(held) = known.held.get_mut(&collection.id) {
                    held.values = collection.values;
                    // What changed meanwhile is on top of it.
                    apply(&mut held.values, &held.pending, now);
                }
            }
            return Ok(Brought::Whole);
        }
        for Told { id, changes, .. } in told {
            if let Some(held) = known.held.get_mut(&id) {
                held.pending = joined(changes, take(&mut held.pending), now);
            }
        }
        written.map(|_| Brought::Late)
    }

    /// Reads everything, a page at a time. What changes meanwhile is learnt afterwards.
    async fn learn_all(&self, registry: &dyn Registry, latest: Revision) -> Result<Revision, StoreError> {
        let mut after: Option<String> = None;
        for _ in 0..MOST.div_ceil(AT_ONCE) {
            let page = page(registry, after.as_deref()).await?;
            for stored in &page {
                self.learn_one(stored.entity()?);
            }
            after = page.last().map(|last| last.row.id.path().to_owned());
            if page.len() < AT_ONCE {
                break;
            }
        }
        Ok(latest)
    }

    async fn learn(&self, registry: &dyn Registry, mut since: Revision) -> Result<Revision, StoreError> {
        loop {
            let changes = registry.changes_since(since, AT_ONCE).await?;
            let is_last = changes.len() < AT_ONCE;
            for change in changes {
                since = since.max(change.revision);
                match change.now {
                    Changed::Is(row) if row.id.kind() == Kind::Collection => self.learn_one(row.entity()?),
                    // The end of a collection is known before.
                    Changed::Is(_) | Changed::Gone(_) => {}
                }
            }
            if is_last {
                return Ok(since);
            }
        }
    }

    fn learn_one(&self, collection: Collection) {
        let now = (self.clock)();
        let mut known = self.known.lock();
        let ends = known.held.get(&collection.id).map_or(collection.ends, |held| held.ends.max(collection.ends));
        let held = known.enter(collection.id, ends);
        held.values = collection.values;
        apply(&mut held.values, &held.pending, now);
    }
}

/// Writes what changed into collections of the store. None, if another node changed one of them at the same time.
async fn write(registry: &dyn Registry, told: &[Told], now: UnixMicros) -> Result<Option<Vec<Collection>>, StoreError> {
    let (mut writes, mut collections) = (Vec::new(), Vec::new());
    for Told { id, changes, ends } in told {
        let found = registry.find(&EntityId::from(id)).await?;
        let stored = found.as_ref().map(Stored::entity::<Collection>).transpose()?;
        // One whose time is over begins anew.
        let alive = stored.filter(|stored| stored.ends > now);
        let mut collection =
            alive.unwrap_or_else(|| Collection { id: id.clone(), values: BTreeMap::new(), ends: *ends });
        collection.ends = collection.ends.max(*ends);
        apply(&mut collection.values, changes, now);
        collection.values.retain(|_, value| value.expires.is_none_or(|expires| expires > now));
        let row = Row::of(&collection);
        writes.push(match found {
            Some(stored) => Write::Replace(row, Some(stored.revision)),
            None => Write::Create(row),
        });
        collections.push(collection);
    }
    match registry.commit(Commit { writes, ..Commit::default() }).await {
        Ok(_) => Ok(Some(collections)),
        Err(StoreError::Changed(_) | StoreError::Exists(_) | StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes out of the store what is over.
async fn sweep(registry: &dyn Registry, now: UnixMicros) -> Result<(), StoreError> {
    let mut after: Option<String> = None;
    loop {
        let page = page(registry, after.as_deref()).await?;
        let mut over = Vec::new();
        for stored in &page {
            if stored.entity::<Collection>()?.ends <= now {
                over.push(Write::Delete(stored.row.id.clone(), Some(stored.revision)));
            }
        }
        for some in over.chunks(TOGETHER) {
            if delete(registry, some.to_vec()).await? == Brought::Late {
                for one in some {
                    // Another node was there before, or it is needed again.
                    delete(registry, vec![one.clone()]).await?;
                }
            }
        }
        after = page.last().map(|last| last.row.id.path().to_owned());
        if page.len() < AT_ONCE {
            return Ok(());
        }
    }
}

async fn delete(registry: &dyn Registry, writes: Vec<Write>) -> Result<Brought, StoreError> {
    match registry.commit(Commit { writes, ..Commit::default() }).await {
        Ok(_) => Ok(Brought::Whole),
        Err(StoreError::Changed(_) | StoreError::NotFound(_)) => Ok(Brought::Late),
        Err(error) => Err(error),
    }
}

async fn page(registry: &dyn Registry, after: Option<&str>) -> Result<Vec<Stored>, StoreError> {
    registry.list(Listing { after, limit: AT_ONCE, ..Listing::of(Kind::Collection) }).await
}

/// What is brought to the store in a round, or learnt of it at a time.
const AT_ONCE: usize = 2000;
/// Collections of one commit. More of them would be more often too late where nodes change the same ones.
const TOGETHER: usize = 16;
const TRIES: usize = 16;
/// How often what is over is taken out, here and in the store, in microseconds.
const TIDY: u64 = 60 * SECOND;
const SWEEP: u64 = 600 * SECOND;
