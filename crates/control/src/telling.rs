//! Changes of the registry on their way to endpoints: in order, at least once, tried again for days.
//!
//! The audit log is what they are read from. How far an endpoint was told is kept beside it after each event, so that
//! after a crash the last event is told again with the same id, and none is left out. One process at a time tells an
//! endpoint: it holds the endpoint's progress for a while, and another one takes over when that is over.

use std::time::Duration;

use futures::future::join_all;
use partners::{event, tells};
use serde_json::Value;
use store::{
    Commit, Delivery, DeliveryId, EntityId, Kind, Listing, Noted, Progress, ProgressId, Revision, Row, StoreError,
    UnixMicros, Webhook, Write,
};

use crate::webhooks::{Event, Told, Webhooks};

/// An endpoint's progress, and the revision at which it came to be so.
struct Held {
    progress: Progress,
    revision: Option<Revision>,
}

impl Webhooks {
    /// Tells each endpoint what it was not told yet, unless it is not time to.
    pub async fn round(&self) {
        let webhooks = match self.partners.webhooks().await {
            Ok(webhooks) => webhooks,
            Err(error) => return tracing::warn!(%error, "webhooks wait for the store"),
        };
        join_all(webhooks.iter().filter(|webhook| webhook.disabled.is_none()).map(async |webhook| {
            match self.turn(webhook).await {
                // Another process tells it now.
                Ok(()) | Err(StoreError::Changed(_) | StoreError::Exists(_) | StoreError::NotFound(_)) => {}
                Err(error) => tracing::warn!(webhook = %webhook.name, %error, "a webhook waits for the store"),
            }
        }))
        .await;
    }

    /// Lets others tell the endpoints that this process told, before it ends.
    pub(crate) async fn let_go(&self) {
        /// What a task had begun to write that was just ended may come in between.
        const ATTEMPTS: usize = 3;
        for _ in 0..ATTEMPTS {
            let Ok(kept) = self.registry.list(Listing::of(Kind::Progress)).await else { return };
            let mut has_changed = false;
            for stored in kept {
                let Ok(progress) = stored.entity::<Progress>() else { continue };
                if progress.holder == self.holder && progress.held != UnixMicros(0) {
                    let row = Row::of(&Progress { held: UnixMicros(0), ..progress });
                    let let_go = self.registry.commit(Commit::of(Write::Replace(row, Some(stored.revision)))).await;
                    // Where it cannot be kept for another reason, others wait until the time is over.
                    has_changed |= matches!(let_go, Err(StoreError::Changed(_)));
                }
            }
            if !has_changed {
                return;
            }
        }
    }

    /// Tells one endpoint, until it takes something not, or nothing is left, or others wait.
    async fn turn(&self, webhook: &Webhook) -> Result<(), StoreError> {
        let mut held = self.progress(webhook).await?;
        let now = (self.clock)();
        let is_anothers = held.progress.holder != self.holder && now < held.progress.held;
        if now < held.progress.due || is_anothers {
            return Ok(());
        }
        let entries = self.registry.noted(held.progress.after, AT_ONCE).await?;
        let is_told = |entry: &Noted| changes(entry).iter().any(|change| tells(&webhook.kinds, &event(change)));
        if !entries.iter().any(is_told) {
            // What nobody is told of is passed over now and then, so that it is not read again and again.
            if entries.len() == AT_ONCE {
                held.progress.after = entries.last().map_or(held.progress.after, |entry| entry.number);
                self.keep(&mut held, None).await?;
            }
            return Ok(());
        }
        self.keep(&mut held, None).await?;
        for entry in entries {
            for (index, change) in changes(&entry).iter().enumerate().skip(held.progress.told) {
                let kind = event(change);
                if tells(&webhook.kinds, &kind)
                    && !self.tell_one(webhook, &mut held, (&entry, index), (change, &kind)).await?
                {
                    return Ok(());
                }
            }
            (held.progress.after, held.progress.told) = (entry.number, 0);
        }
        self.keep(&mut held, None).await
    }

    /// Tells an endpoint one change, and keeps what became of it; answers whether the next one may follow.
    async fn tell_one(
        &self,
        webhook: &Webhook,
        held: &mut Held,
        (entry, index): (&Noted, usize),
        (change, kind): (&Value, &str),
    ) -> Result<bool, StoreError> {
        let number = format!("{:012}-{index}", entry.number);
        let says: Value = serde_json::from_str(&entry.body).unwrap_or_default();
        let at = UnixMicros(says.get("at").and_then(Value::as_u64).unwrap_or_default());
        let mut data = change.clone();
        if let Some(members) = data.as_object_mut() {
            members.insert("actor".to_owned(), says.get("actor").cloned().unwrap_or_default());
            members.insert("entry".to_owned(), entry.number.into());
        }
        let told = self.tell(webhook, &Event { id: &format!("evt_{number}"), kind, at, data }).await;
        let now = (self.clock)();
        let progress = &mut held.progress;
        progress.attempts = progress.attempts.saturating_add(1);
        let id = DeliveryId { webhook: webhook.name.clone(), event: number };
        let Told { taken, status, took_ms, error } = told.clone();
        let attempts = progress.attempts;
        let delivery = Delivery { id, kind: kind.to_owned(), at: now, attempts, taken, status, took_ms, error };
        if told.taken {
            (progress.after, progress.told) = (entry.number.saturating_sub(1), index + 1);
            (progress.attempts, progress.failing) = (0, None);
            progress.due = now;
        } else {
            progress.failing = progress.failing.or(Some(now));
            progress.due = UnixMicros(now.0.saturating_add(pause(attempts, now.0)));
        }
        self.keep(held, Some(delivery)).await?;
        if !told.taken {
            self.give_up(webhook, &held.progress, &told, now).await?;
        }
        Ok(told.taken)
    }

    /// Tells an endpoint no more that took nothing for too long, or says that it is gone.
    async fn give_up(
        &self,
        webhook: &Webhook,
        progress: &Progress,
        told: &Told,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        let longest = self.settings.read().give_up;
        let since = progress.failing.unwrap_or(now);
        let reason = told.error.clone().unwrap_or_default();
        let because = match told.status {
            Some(410) => "it says that it is gone (status 410)".to_owned(),
            _ if longest.duration() <= Duration::from_micros(now.0.saturating_sub(since.0)) => {
                format!("it took nothing for {longest}: {reason}")
            }
            _ => return Ok(()),
        };
        tracing::error!(webhook = %webhook.name, because, "a webhook is told no more, until somebody enables it");
        match self.partners.disable_webhook(&webhook.name, &because).await {
            Ok(_) | Err(partners::Error::NotFound(_)) => Ok(()),
            Err(error) => Err(store::Unavailable::because(error).into()),
        }
    }

    /// How far an endpoint was told; one that is new is told what changes from its making on.
    async fn progress(&self, webhook: &Webhook) -> Result<Held, StoreError> {
        let id = ProgressId(webhook.name.clone());
        if let Some(stored) = self.registry.find(&EntityId::from(&id)).await? {
            return Ok(Held { progress: stored.entity()?, revision: Some(stored.revision) });
        }
        let after = self.before(webhook).await?;
        let none = UnixMicros(0);
        let (holder, attempts, failing) = (self.holder.clone(), 0, None);
        let progress = Progress { webhook: id, after, told: 0, attempts, failing, due: none, holder, held: none };
        Ok(Held { progress, revision: None })
    }

    /// The last entry of the audit log before an endpoint was made; entries have numbers without gaps, and are in order.
    async fn before(&self, webhook: &Webhook) -> Result<u64, StoreError> {
        let is_later = async |number: u64| {
            let entry = self.registry.noted(number.saturating_sub(1), 1).await?.pop();
            let at = |entry: Noted| serde_json::from_str::<Value>(&entry.body).ok()?.get("at")?.as_u64();
            Ok::<_, StoreError>(entry.is_none_or(|entry| at(entry).is_some_and(|at| webhook.created.0 <= at)))
        };
        let (mut first, mut last) = (1_u64, 1_u64);
        while !is_later(last).await? {
            (first, last) = (last.saturating_add(1), last.saturating_mul(2));
        }
        while first < last {
            let middle = first.midpoint(last);
            if is_later(middle).await? {
                last = middle;
            } else {
                first = middle.saturating_add(1);
            }
        }
        Ok(first.saturating_sub(1))
    }

    /// Keeps how far an endpoint was told, holds it for a while longer, and keeps what became of an event.
    async fn keep(&self, held: &mut Held, delivery: Option<Delivery>) -> Result<(), StoreError> {
        let now = (self.clock)();
        held.progress.holder.clone_from(&self.holder);
        held.progress.held = UnixMicros(now.0.saturating_add(HELD));
        let row = Row::of(&held.progress);
        let mut writes = Vec::new();
        if let Some(delivery) = &delivery {
            let is_there = self.registry.find(&EntityId::from(&delivery.id)).await?.is_some();
            let row = Row::of(delivery);
            writes.push(if is_there { Write::Replace(row, None) } else { Write::Create(row) });
            writes.extend(self.old(delivery).await?);
        }
        // The progress comes last: its revision is the one that is answered.
        writes.push(match held.revision {
            Some(revision) => Write::Replace(row, Some(revision)),
            None => Write::Create(row),
        });
        held.revision = Some(self.registry.commit(Commit { writes, ..Commit::default() }).await?);
        Ok(())
    }

    /// Deliveries that make room for a new one.
    async fn old(&self, new: &Delivery) -> Result<Vec<Write>, StoreError> {
        let parent = EntityId::from(&new.id.webhook);
        let kept = self.registry.list(Listing { parent: Some(&parent), ..Listing::of(Kind::Delivery) }).await?;
        let most = kept.len().saturating_sub(KEPT);
        Ok(kept.into_iter().take(most).map(|old| Write::Delete(old.row.id, None)).collect())
    }
}

/// The changes of an entry.
fn changes(entry: &Noted) -> Vec<Value> {
    let mut says: Value = serde_json::from_str(&entry.body).unwrap_or_default();
    match says.get_mut("changes").map(Value::take) {
        Some(Value::Array(changes)) => changes,
        _ => Vec::new(),
    }
}

/// Microseconds until an event is tried again: longer with each attempt, up to six hours, and not at the same time as others.
fn pause(attempts: u32, chance: u64) -> u64 {
    const SECONDS: [u64; 9] = [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600];
    let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(SECONDS.len() - 1);
    let seconds = SECONDS.get(at).copied().unwrap_or(21_600);
    // Up to a fifth less.
    seconds * 1_000_000 - seconds * (chance % 1000) * 200
}

/// Entries of the audit log that are looked at in one turn.
const AT_ONCE: usize = 100;

/// Deliveries that are kept of each endpoint.
const KEPT: usize = 100;

/// Microseconds for which a process tells an endpoint alone, from its last word on.
const HELD: u64 = 30_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_longer_with_each_attempt_and_has_an_end() {
        assert_eq!([1, 2, 9, 99].map(|attempts| pause(attempts, 0) / 1_000_000), [5, 30, 21_600, 21_600]);
        assert!(pause(1, 999) < pause(1, 0) && 4_000_000 <= pause(1, 999));
    }
}
