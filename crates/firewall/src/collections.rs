//! What rules remember from one request to the next, of an address, a session, a user: here at once, and on other nodes of
//! the store within a second or two.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use store::{
    Clock, Collection, CollectionId, Commit, EntityId, Kind, Listing, Registry, Remembered, Revision, Row, StoreError,
    Stored, UnixMicros, Write,
};
use waf::{Difference, Kept, Persistence, Place};

/// What rules remember.
///
/// A request never waits for the store: what rules change holds on this node at once, and is brought to the store as how
/// it changed, so that a number which several nodes raise is raised by all of them.
pub struct Collections {
    registry: Option<Arc<dyn Registry>>,
    clock: Clock,
    known: Mutex<HashMap<CollectionId, Held>>,
    /// Up to which revision the store is known, and when what is over was last taken out.
    shared: tokio::sync::Mutex<(Option<Revision>, UnixMicros)>,
}

#[derive(Debug, Default)]
struct Held {
    values: BTreeMap<String, Remembered>,
    ends: UnixMicros,
    /// What the store does not know yet.
    pending: Vec<Difference>,
}

impl Collections {
    /// Collections of one node, which a restart forgets.
    pub fn alone(clock: Clock) -> Self {
        Self { registry: None, clock, known: Mutex::default(), shared: tokio::sync::Mutex::default() }
    }

    /// Collections that all nodes of a store share.
    pub fn shared(registry: Arc<dyn Registry>, clock: Clock) -> Self {
        Self { registry: Some(registry), ..Self::alone(clock) }
    }

    /// Brings to the store what changed here, and learns what changed elsewhere. What the store does not take now is
    /// brought again.
    pub async fn share(&self) {
        let Some(registry) = &self.registry else { return };
        let mut shared = self.shared.lock().await;
        let (since, tidied) = &mut *shared;
        let done = async {
            self.bring(&**registry).await?;
            *since = Some(self.learn(&**registry, *since).await?);
            let now = (self.clock)();
            if now.0 > tidied.0.saturating_add(TIDY) {
                *tidied = now;
                self.forget(&**registry, now).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, "what the firewall remembers could not be shared; it is tried again");
        }
    }

    async fn bring(&self, registry: &dyn Registry) -> Result<(), StoreError> {
        let waiting: Vec<CollectionId> = {
            let known = self.known.lock();
            known.iter().filter(|(_, held)| !held.pending.is_empty()).map(|(id, _)| id.clone()).take(AT_ONCE).collect()
        };
        for id in waiting {
            let (pending, ends) = match self.known.lock().get_mut(&id) {
                Some(held) => (std::mem::take(&mut held.pending), held.ends),
                None => continue,
            };
            match self.bring_one(registry, &id, &pending, ends).await {
                Ok(values) => {
                    if let Some(held) = self.known.lock().get_mut(&id) {
                        // What changed meanwhile is on top of it.
                        let newer = held.pending.clone();
                        held.values = values;
                        for change in &newer {
                            apply(&mut held.values, change, (self.clock)());
                        }
                    }
                }
                Err(error) => {
                    if let Some(held) = self.known.lock().get_mut(&id) {
                        held.pending.splice(0..0, pending);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes changes into a collection of the store, whoever else does that at the same time.
    async fn bring_one(
        &self,
        registry: &dyn Registry,
        id: &CollectionId,
        changes: &[Difference],
        ends: UnixMicros,
    ) -> Result<BTreeMap<String, Remembered>, StoreError> {
        let mut tries = TRIES;
        loop {
            let now = (self.clock)();
            let found = registry.find(&EntityId::from(id)).await?;
            let stored = found.as_ref().map(Stored::entity::<Collection>).transpose()?;
            let mut collection = stored.unwrap_or_else(|| Collection { id: id.clone(), values: BTreeMap::new(), ends });
            // One whose time is over begins anew.
            if collection.ends <= now {
                collection.values.clear();
            }
            collection.ends = collection.ends.max(ends);
            for change in changes {
                apply(&mut collection.values, change, now);
            }
            let row = Row::of(&collection);
            let write = match found {
                Some(stored) => Write::Replace(row, Some(stored.revision)),
                None => Write::Create(row),
            };
            tries -= 1;
            match registry.commit(Commit::of(write)).await {
                Ok(_) => return Ok(collection.values),
                Err(StoreError::Changed(_) | StoreError::Exists(_) | StoreError::NotFound(_)) if tries > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Learns what is in the store: all of it at first, and then what changed since.
    async fn learn(&self, registry: &dyn Registry, since: Option<Revision>) -> Result<Revision, StoreError> {
        let Some(mut since) = since else {
            let revision = registry.revision().await?;
            for stored in registry.list(Listing { limit: MOST, ..Listing::of(Kind::Collection) }).await? {
                self.take(&stored.entity()?);
            }
            return Ok(revision);
        };
        loop {
            let changes = registry.changes_since(since, AT_ONCE).await?;
            let is_last = changes.len() < AT_ONCE;
            for change in changes {
                since = since.max(change.revision);
                match change.now {
                    store::Changed::Is(row) if row.id.kind() == Kind::Collection => self.take(&row.entity()?),
                    store::Changed::Is(_) | store::Changed::Gone(_) => {}
                }
            }
            if is_last {
                return Ok(since);
            }
        }
    }

    fn take(&self, collection: &Collection) {
        let mut known = self.known.lock();
        if known.len() >= MOST && !known.contains_key(&collection.id) {
            return;
        }
        let held = known.entry(collection.id.clone()).or_default();
        held.values.clone_from(&collection.values);
        held.ends = held.ends.max(collection.ends);
        let Held { values, pending, .. } = held;
        for change in &*pending {
            apply(values, change, (self.clock)());
        }
    }

    /// Takes out what is over, here and in the store.
    async fn forget(&self, registry: &dyn Registry, now: UnixMicros) -> Result<(), StoreError> {
        self.known.lock().retain(|_, held| held.ends > now || !held.pending.is_empty());
        for stored in registry.list(Listing::of(Kind::Collection)).await? {
            let collection: Collection = stored.entity()?;
            if collection.ends > now {
                continue;
            }
            let write = Write::Delete(stored.row.id.clone(), Some(stored.revision));
            match registry.commit(Commit::of(write)).await {
                // Another node was there before, or it is needed again.
                Ok(_) | Err(StoreError::Changed(_) | StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Persistence for Collections {
    fn load(&self, place: &Place<'_>) -> Vec<Kept> {
        let (id, now) = (id(place), (self.clock)());
        let known = self.known.lock();
        let Some(held) = known.get(&id).filter(|held| held.ends > now) else { return Vec::new() };
        let alive = held.values.iter().filter(|(_, value)| value.expires.is_none_or(|expires| expires > now));
        let kept = alive.map(|(name, value)| Kept {
            name: name.as_bytes().to_vec(),
            value: value.value.as_bytes().to_vec(),
            expires: value.expires.map(|expires| expires.0 / 1_000_000),
            changed: value.changed.0 / 1_000_000,
        });
        kept.collect()
    }

    fn store(&self, place: &Place<'_>, changes: &[Difference], timeout: u64) {
        let (id, now) = (id(place), (self.clock)());
        let mut known = self.known.lock();
        if known.len() >= MOST && !known.contains_key(&id) {
            known.retain(|_, held| held.ends > now || !held.pending.is_empty());
            if known.len() >= MOST {
                // Whoever invents addresses or sessions must not take all memory.
                return;
            }
        }
        let held = known.entry(id).or_default();
        if held.ends <= now {
            held.values.clear();
        }
        held.ends = UnixMicros(now.0.saturating_add(timeout.saturating_mul(1_000_000)));
        for change in changes {
            apply(&mut held.values, change, now);
        }
        if self.registry.is_some() && held.pending.len() < PENDING {
            held.pending.extend_from_slice(changes);
        }
    }
}

/// Changes a value as a rule did.
fn apply(values: &mut BTreeMap<String, Remembered>, change: &Difference, now: UnixMicros) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match change {
        Difference::Set { name, value } => {
            let value = String::from_utf8_lossy(value).into_owned();
            values.insert(text(name), Remembered { value, expires: None, changed: now });
        }
        Difference::Added { name, by } => {
            let old = values.remove(&text(name)).filter(|old| old.expires.is_none_or(|expires| expires > now));
            let number = old.as_ref().and_then(|old| old.value.parse::<i64>().ok()).unwrap_or(0);
            let value = number.saturating_add(*by).max(0).to_string();
            let expires = old.and_then(|old| old.expires);
            values.insert(text(name), Remembered { value, expires, changed: now });
        }
        Difference::Unset { name } => drop(values.remove(&text(name))),
        Difference::Expires { name, at } => {
            if let Some(value) = values.get_mut(&text(name)) {
                value.expires = Some(UnixMicros(at.saturating_mul(1_000_000)));
            }
        }
    }
}

/// Addresses and sessions are kept by their hash.
fn id(place: &Place<'_>) -> CollectionId {
    let mut context = Context::new(&SHA256);
    for part in [place.collection.as_bytes(), place.application.unwrap_or_default().as_bytes(), place.key] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    CollectionId::of(context.finish().as_ref())
}

/// Collections that are remembered at a time.
const MOST: usize = 100_000;
/// Changes of one collection that wait for the store; while it is away for long, further ones stay on this node.
const PENDING: usize = 1000;
/// What is brought to the store, or learnt of it, at a time.
const AT_ONCE: usize = 2000;
const TRIES: usize = 16;
/// How often what is over is taken out, in microseconds.
const TIDY: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use store::InMemory;

    use super::*;

    /// Two nodes with one clock and one store.
    fn nodes() -> (Collections, Collections, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(1_000_000_000));
        let registry: Arc<dyn Registry> = Arc::new(InMemory::default());
        let node = || {
            let now = now.clone();
            Collections::shared(registry.clone(), Arc::new(move || UnixMicros(now.load(Ordering::Relaxed))))
        };
        (node(), node(), now.clone())
    }

    fn place(key: &'static [u8]) -> Place<'static> {
        Place { application: None, collection: "ip", key }
    }

    fn raised(name: &str) -> Vec<Difference> {
        vec![Difference::Added { name: name.into(), by: 1 }]
    }

    fn value(node: &Collections, key: &'static [u8], name: &str) -> Option<String> {
        let kept = node.load(&place(key));
        let found = kept.into_iter().find(|kept| kept.name == name.as_bytes())?;
        Some(String::from_utf8(found.value).unwrap())
    }

    #[tokio::test]
    async fn what_nodes_raise_together_is_raised_by_all_of_them() {
        let (one, two, _) = nodes();
        for _ in 0..3 {
            one.store(&place(b"192.0.2.1"), &raised("seen"), 3600);
            two.store(&place(b"192.0.2.1"), &raised("seen"), 3600);
        }
        assert_eq!(value(&one, b"192.0.2.1", "seen").as_deref(), Some("3"));

        for node in [&one, &two, &one] {
            node.share().await;
        }

        for node in [&one, &two] {
            assert_eq!(value(node, b"192.0.2.1", "seen").as_deref(), Some("6"));
            assert_eq!(value(node, b"192.0.2.2", "seen"), None);
        }
    }

    #[tokio::test]
    async fn what_is_over_is_gone_on_every_node_and_in_the_store() {
        let (one, two, now) = nodes();
        let changes = [raised("seen"), vec![Difference::Expires { name: "seen".into(), at: 1010 }]].concat();
        one.store(&place(b"a"), &changes, 60);
        one.store(&place(b"a"), &[Difference::Set { name: b"name".to_vec(), value: b"x".to_vec() }], 60);
        one.share().await;
        two.share().await;
        assert_eq!(value(&two, b"a", "seen").as_deref(), Some("1"));

        now.fetch_add(20_000_000, Ordering::Relaxed);
        assert_eq!((value(&two, b"a", "seen"), value(&two, b"a", "name").as_deref()), (None, Some("x")));

        now.fetch_add(100_000_000, Ordering::Relaxed);
        one.share().await;
        assert_eq!(value(&one, b"a", "name"), None);
        let registry = one.registry.clone().unwrap();
        assert_eq!(registry.list(Listing::of(Kind::Collection)).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_node_that_starts_knows_what_others_remember() {
        let (one, two, _) = nodes();
        one.store(&place(b"a"), &raised("seen"), 60);
        one.share().await;
        assert_eq!(value(&two, b"a", "seen"), None);
        two.share().await;
        assert_eq!(value(&two, b"a", "seen").as_deref(), Some("1"));
    }
}
