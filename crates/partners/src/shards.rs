//! What is known of credentials, in small parts: a change copies one of them, and a request reads one without a lock.

use std::hash::Hash;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hashbrown::{HashMap, HashSet};
use store::{CertificateId, KeyId};

use crate::facts::{CertificateFacts, KeyFacts};

const SHARDS: usize = 256;

/// What is known of a credential.
pub(crate) trait Facts {
    /// Which credential.
    type Id: Copy + Eq + Hash;

    /// The part that it is in.
    fn place(id: Self::Id) -> usize;

    /// Takes over from what was known before, so that requests under way learn of what has changed.
    fn succeed(&mut self, before: &Self);

    /// The credential is not there any more.
    fn end(&self);
}

type Shard<F> = HashMap<<F as Facts>::Id, Arc<F>>;

/// What is known of all credentials of a kind.
pub(crate) struct Shards<F: Facts>(Box<[ArcSwap<Shard<F>>]>);

/// Credentials that changed, and what is known of them now: nothing, if they are gone.
pub(crate) type Moved<F> = Vec<(<F as Facts>::Id, Option<F>)>;

impl<F: Facts> Shards<F> {
    pub(crate) fn new() -> Self {
        Self(std::iter::repeat_with(|| ArcSwap::from_pointee(Shard::<F>::new())).take(SHARDS).collect())
    }

    /// What is known of one. Takes no lock and allocates nothing.
    pub(crate) fn find(&self, id: F::Id) -> Option<Arc<F>> {
        self.0.get(F::place(id) % SHARDS)?.load().get(&id).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.load().len()).sum()
    }

    pub(crate) fn for_each(&self, mut see: impl FnMut(&F)) {
        for shard in &self.0 {
            shard.load().values().for_each(|facts| see(facts));
        }
    }

    /// Puts these in the place of what was known of them.
    pub(crate) fn replace(&self, moved: Moved<F>) {
        let mut by_place: HashMap<usize, Moved<F>> = HashMap::new();
        for (id, facts) in moved {
            by_place.entry(F::place(id) % SHARDS).or_default().push((id, facts));
        }
        for (place, moved) in by_place {
            if let Some(shard) = self.0.get(place) {
                replace(shard, moved);
            }
        }
    }

    /// Forgets all that are not among these.
    pub(crate) fn keep(&self, there: &HashSet<F::Id>) {
        for shard in &self.0 {
            let gone = shard.load().keys().filter(|id| !there.contains(*id)).map(|id| (*id, None)).collect();
            replace(shard, gone);
        }
    }
}

/// Swaps a part for a copy with these placed or removed.
fn replace<F: Facts>(shard: &ArcSwap<Shard<F>>, moved: Moved<F>) {
    let mut copy = Shard::<F>::clone(&shard.load());
    for (id, facts) in moved {
        match facts {
            Some(mut facts) => {
                if let Some(before) = copy.get(&id) {
                    facts.succeed(before);
                }
                copy.insert(id, Arc::new(facts));
            }
            None => {
                if let Some(before) = copy.remove(&id) {
                    before.end();
                }
            }
        }
    }
    shard.store(Arc::new(copy));
}

impl Facts for KeyFacts {
    type Id = KeyId;

    /// Ids are drawn at random, so two of their letters spread them well.
    fn place(id: KeyId) -> usize {
        let [first, second, ..] = id.as_bytes();
        usize::from(*first) * 62 + usize::from(*second)
    }

    fn succeed(&mut self, before: &Self) {
        self.tie.succeed(&before.tie);
    }

    fn end(&self) {
        self.tie.end();
    }
}

impl Facts for CertificateFacts {
    type Id = CertificateId;

    fn place(CertificateId([first, ..]): CertificateId) -> usize {
        usize::from(first)
    }

    fn succeed(&mut self, before: &Self) {
        self.tie.succeed(&before.tie);
    }

    fn end(&self) {
        self.tie.end();
    }
}
