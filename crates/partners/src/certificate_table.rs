//! All certificates by their fingerprints, in small parts: a change copies one of them, and a request reads one without a lock.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hashbrown::{HashMap, HashSet};
use store::CertificateId;

use crate::facts::CertificateFacts;

const SHARDS: usize = 256;

type Shard = HashMap<CertificateId, Arc<CertificateFacts>>;

/// What is known of all certificates.
pub(crate) struct Certificates(Box<[ArcSwap<Shard>]>);

/// Certificates that changed, and what is known of them now: nothing, if they are gone.
pub(crate) type Changes = Vec<(CertificateId, Option<CertificateFacts>)>;

impl Certificates {
    pub(crate) fn new() -> Self {
        Self(std::iter::repeat_with(ArcSwap::default).take(SHARDS).collect())
    }

    /// What is known of one. Takes no lock and allocates nothing.
    pub(crate) fn find(&self, id: CertificateId) -> Option<Arc<CertificateFacts>> {
        self.0.get(place(id))?.load().get(&id).cloned()
    }

    pub(crate) fn for_each(&self, mut see: impl FnMut(&CertificateFacts)) {
        for shard in &self.0 {
            shard.load().values().for_each(|facts| see(facts));
        }
    }

    /// Puts these in the place of what was known of them.
    pub(crate) fn replace(&self, changes: Changes) {
        let mut by_place: HashMap<usize, Changes> = HashMap::new();
        for (id, facts) in changes {
            by_place.entry(place(id)).or_default().push((id, facts));
        }
        for (place, changes) in by_place {
            if let Some(shard) = self.0.get(place) {
                replace(shard, changes);
            }
        }
    }

    /// Forgets all that are not among these.
    pub(crate) fn keep(&self, there: &HashSet<CertificateId>) {
        for shard in &self.0 {
            let gone = shard.load().keys().filter(|id| !there.contains(*id)).map(|id| (*id, None)).collect();
            replace(shard, gone);
        }
    }
}

/// The part that it is in: fingerprints are as good as random.
fn place(CertificateId([first, ..]): CertificateId) -> usize {
    usize::from(first)
}

/// Swaps a part for a copy with these placed or removed.
fn replace(shard: &ArcSwap<Shard>, changes: Changes) {
    let mut copy = Shard::clone(&shard.load());
    for (id, facts) in changes {
        match facts {
            Some(mut facts) => {
                if let Some(before) = copy.get(&id) {
                    facts.tie.succeed(&before.tie);
                }
                copy.insert(id, Arc::new(facts));
            }
            None => {
                if let Some(before) = copy.remove(&id) {
                    before.tie.end();
                }
            }
        }
    }
    shard.store(Arc::new(copy));
}
