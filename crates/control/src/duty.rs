//! Something that one process at a time does for all nodes of a store: whoever holds the duty, for a while from its last
//! word on.

use std::sync::Arc;

use store::{Commit, Duty, DutyId, EntityId, Registry, Row, StoreError, UnixMicros, Write};

use crate::webhooks::Clock;

/// A duty, as one process sees it.
pub(crate) struct Post {
    registry: Arc<dyn Registry>,
    clock: Clock,
    id: DutyId,
    holder: String,
}

impl Post {
    pub(crate) fn new(registry: Arc<dyn Registry>, clock: Clock, name: &'static str, holder: String) -> Self {
        Self { registry, clock, id: DutyId::named(name), holder }
    }

    /// Whether this process does it, for as long at least as telling somebody something takes.
    pub(crate) async fn hold(&self) -> Result<bool, StoreError> {
        let now = (self.clock)();
        let held = UnixMicros(now.0.saturating_add(HELD));
        let mine = Row::of(&Duty { id: self.id.clone(), holder: self.holder.clone(), held });
        let write = match self.registry.find(&EntityId::from(&self.id)).await? {
            None => Write::Create(mine),
            Some(stored) => {
                let duty: Duty = stored.entity()?;
                match duty.holder == self.holder {
                    true if now.0.saturating_add(LONG_ENOUGH) < duty.held.0 => return Ok(true),
                    false if now < duty.held => return Ok(false),
                    _ => Write::Replace(mine, Some(stored.revision)),
                }
            }
        };
        match self.registry.commit(Commit::of(write)).await {
            Ok(_) => Ok(true),
            // Another process was first.
            Err(StoreError::Changed(_) | StoreError::Exists(_) | StoreError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets another process do it at once.
    pub(crate) async fn let_go(&self) {
        let Ok(Some(stored)) = self.registry.find(&EntityId::from(&self.id)).await else { return };
        let Ok(duty) = stored.entity::<Duty>() else { return };
        if duty.holder == self.holder {
            let row = Row::of(&Duty { held: UnixMicros(0), ..duty });
            // Where it cannot be kept, others wait until the time is over.
            self.registry.commit(Commit::of(Write::Replace(row, Some(stored.revision)))).await.ok();
        }
    }
}

/// Microseconds for which a process does something alone, from its last word on.
pub(crate) const HELD: u64 = 30_000_000;

/// What is left of that when the word is to be said again: telling takes less.
const LONG_ENOUGH: u64 = 15_000_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use store::InMemory;

    use super::*;

    #[tokio::test]
    async fn one_process_at_a_time_holds_a_duty_until_it_says_nothing_for_a_while_or_lets_go() {
        let (registry, time) = (Arc::new(InMemory::default()), Arc::new(AtomicU64::new(1)));
        let post = |holder: &str| {
            let time = time.clone();
            let clock: Clock = Arc::new(move || UnixMicros(time.load(Ordering::Relaxed) * 1_000_000));
            Post::new(registry.clone(), clock, "alerts", holder.to_owned())
        };
        let (one, two) = (post("one"), post("two"));

        assert!(one.hold().await.unwrap() && !two.hold().await.unwrap());
        time.store(20, Ordering::Relaxed);
        assert!(one.hold().await.unwrap());
        time.store(45, Ordering::Relaxed);
        assert!(!two.hold().await.unwrap());
        time.store(50, Ordering::Relaxed);
        assert!(two.hold().await.unwrap() && !one.hold().await.unwrap());
        two.let_go().await;
        assert!(one.hold().await.unwrap());
    }
}
