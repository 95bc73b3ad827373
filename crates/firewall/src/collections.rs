//! What rules remember from one request to the next, of an address, a session, a user: here at once, and on other nodes of
//! the store within a second or two.

mod change;
mod sharing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use store::{Clock, CollectionId, Registry, Remembered, UnixMicros};
use waf::{Difference, Kept, Persistence, Place};

use self::change::{Changes, apply_one, bytes, note};
use self::sharing::Shared;

/// What rules remember.
///
/// A request never waits for the store: what rules change holds on this node at once, and is brought to the store as how
/// it changed, so that a number which several nodes raise is raised by all of them.
pub struct Collections {
    registry: Option<Arc<dyn Registry>>,
    clock: Clock,
    known: Mutex<Known>,
    shared: tokio::sync::Mutex<Shared>,
}

/// What this node knows.
#[derive(Debug, Default)]
struct Known {
    held: HashMap<CollectionId, Held>,
    /// All of them, by when they end.
    ends: BTreeSet<(UnixMicros, CollectionId)>,
}

#[derive(Debug, Default)]
struct Held {
    values: BTreeMap<String, Remembered>,
    ends: UnixMicros,
    /// What the store does not know yet.
    pending: Changes,
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
}

impl Known {
    /// A collection that now ends then. If there are too many, the one that ends first makes room, which nobody has changed
    /// for longest: whoever invents addresses or sessions must not take all memory, nor keep others from being counted.
    fn enter(&mut self, id: CollectionId, ends: UnixMicros) -> &mut Held {
        if self.held.len() >= MOST
            && !self.held.contains_key(&id)
            && let Some((_, first)) = self.ends.pop_first()
        {
            self.held.remove(&first);
        }
        let held = self.held.entry(id.clone()).or_default();
        let mut entry = (held.ends, id);
        self.ends.remove(&entry);
        held.ends = ends;
        entry.0 = ends;
        self.ends.insert(entry);
        held
    }

    fn tidy(&mut self, now: UnixMicros) {
        let Self { held, ends } = self;
        let over = ends.iter().take_while(|(ends, _)| *ends <= now);
        let told = over.filter(|(_, id)| held.get(id).is_none_or(|held| held.pending.is_empty()));
        for entry in told.cloned().collect::<Vec<_>>() {
            ends.remove(&entry);
            held.remove(&entry.1);
        }
    }
}

impl Persistence for Collections {
    fn load(&self, place: &Place<'_>) -> Vec<Kept> {
        let (id, now) = (id(place), (self.clock)());
        let known = self.known.lock();
        let Some(held) = known.held.get(&id).filter(|held| held.ends > now) else { return Vec::new() };
        let alive = held.values.iter().filter(|(_, value)| value.expires.is_none_or(|expires| expires > now));
        let kept = alive.map(|(name, value)| Kept {
            name: bytes(name),
            value: bytes(&value.value),
            expires: value.expires.map(|expires| expires.0 / SECOND),
            changed: value.changed.0 / SECOND,
        });
        kept.collect()
    }

    fn store(&self, place: &Place<'_>, changes: &[Difference], timeout: u64) {
        let (id, now) = (id(place), (self.clock)());
        let mut known = self.known.lock();
        let is_over = known.held.get(&id).is_some_and(|held| held.ends <= now);
        let held = known.enter(id, UnixMicros(now.0.saturating_add(timeout.saturating_mul(SECOND))));
        if is_over {
            held.values.clear();
            held.pending.clear();
        }
        for change in changes {
            apply_one(&mut held.values, change, now);
            if self.registry.is_some() {
                note(&mut held.pending, change, now);
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
/// A second, in microseconds.
const SECOND: u64 = 1_000_000;

#[cfg(test)]
mod tests;
