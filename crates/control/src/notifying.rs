//! Alerts on their way to receivers: by one process at a time, at least once, tried again for as long as they are kept.
//!
//! What a receiver took is kept in the alert after each notice. After a crash the last notice is told again with the same
//! id, and none is left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use alerts::{Notice, Rules, book};
use futures::future::join_all;
use store::{Alert, AlertId, Commit, EntityId, Kind, Listing, Revision, Row, Silence, StoreError, UnixMicros, Write};

use crate::alerting::Alerts;
use crate::receivers::Receiver;

impl Alerts {
    /// Closes what is over, and tells receivers what they were not told yet, if nobody else does.
    pub(crate) async fn round(&self) {
        if let Err(error) = self.turn().await {
            tracing::warn!(%error, "notices of alerts wait for the store");
        }
    }

    async fn turn(&self) -> Result<(), StoreError> {
        let rules = self.rules();
        if !self.post.hold().await? {
            return Ok(());
        }
        let mut alerts = self.labelled(Alert::OPEN).await?;
        alerts.extend(self.labelled(Alert::ENDING).await?);
        if alerts.is_empty() {
            return Ok(());
        }
        let now = (self.clock)();
        let silences: Vec<Silence> = self
            .registry
            .list(Listing::of(Kind::Silence))
            .await?
            .iter()
            .filter_map(|stored| stored.entity().ok())
            .collect();
        let mut current = Vec::new();
        for (mut alert, revision) in alerts {
            if !self.tidy((&mut alert, revision), &silences, now).await? {
                // Somebody else changed it, and it is looked at again.
                continue;
            }
            current.push(alert);
        }
        let receivers = self.receivers.read().clone();
        join_all(receivers.iter().map(|(name, receiver)| self.tell(name, receiver, &current, &rules))).await;
        self.settle(&current, receivers.keys().collect(), &rules).await
    }

    /// Notes whether an alert is over, and whether it is silenced; answers whether that could be kept.
    async fn tidy(
        &self,
        (alert, revision): (&mut Alert, Revision),
        silences: &[Silence],
        now: UnixMicros,
    ) -> Result<bool, StoreError> {
        let before = alert.clone();
        // When it ends, it counts whether it is silenced then.
        if alert.over.is_none() {
            alert.silence = book::silenced(alert, silences, now);
        }
        if book::close_if_over(alert, now) {
            tracing::info!(alert = %alert.id, rule = alert.rule, summary = alert.summary, "an alert is over");
        }
        if *alert == before {
            return Ok(true);
        }
        match self.registry.commit(Commit::of(Write::Replace(Row::of(alert), Some(revision)))).await {
            Ok(_) => Ok(true),
            Err(StoreError::Changed(_) | StoreError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells one receiver, until it takes something not, or nothing is left.
    async fn tell(&self, name: &str, receiver: &Arc<Receiver>, alerts: &[Alert], rules: &Rules) {
        let now = (self.clock)();
        if self.paused.lock().get(name).is_some_and(|(_, until)| now < *until) {
            return;
        }
        let due = alerts.iter().filter_map(|alert| Some(Notice::new(alert, name, book::due(alert, name, rules, now)?)));
        let due: Vec<Notice> = due.take(IN_A_ROUND).collect();
        for some in due.chunks(receiver.at_once()) {
            // Whoever lost the duty must not tell anybody.
            if !matches!(self.post.hold().await, Ok(true)) {
                return;
            }
            let now = (self.clock)();
            let taken = receiver.tell(some, &self.node, now).await;
            self.count(name, &taken, now);
            for notice in some {
                if let Err(error) = self.note(name, notice, &taken).await {
                    tracing::warn!(receiver = name, alert = %notice.alert.id, %error, "it cannot be kept who was told");
                }
            }
            if let Err(error) = taken {
                tracing::warn!(receiver = name, error, "a notice was not taken; it is tried again");
                return;
            }
        }
    }

    /// Remembers how a receiver does.
    fn count(&self, name: &str, taken: &Result<(), String>, now: UnixMicros) {
        let mut told = self.told.lock();
        let [good, bad] = told.entry(name.to_owned()).or_default();
        let mut paused = self.paused.lock();
        if taken.is_ok() {
            *good = good.saturating_add(1);
            paused.remove(name);
        } else {
            *bad = bad.saturating_add(1);
            let attempts = paused.get(name).map_or(0, |(attempts, _)| *attempts).saturating_add(1);
            let pause = u64::try_from(book::pause(attempts, now.0).as_micros()).unwrap_or(u64::MAX);
            paused.insert(name.to_owned(), (attempts, UnixMicros(now.0.saturating_add(pause))));
        }
    }

    /// Keeps what a receiver took, whoever else writes the alert at the same time.
    async fn note(&self, receiver: &str, notice: &Notice, taken: &Result<(), String>) -> Result<(), StoreError> {
        let stage = notice.stage;
        self.change(&notice.alert.id, |alert| {
            // It was opened again meanwhile, which the receiver does not know yet.
            if alert.since != notice.alert.since {
                return false;
            }
            book::note(alert, receiver, taken.clone().map(|()| stage), (self.clock)());
            true
        })
        .await
    }

    /// Puts aside what is over and told.
    async fn settle(&self, alerts: &[Alert], receivers: Vec<&String>, rules: &Rules) -> Result<(), StoreError> {
        for alert in alerts.iter().filter(|alert| alert.over.is_some()) {
            self.change(&alert.id, |alert| {
                let now = (self.clock)();
                let is_told = receivers.iter().all(|name| book::due(alert, name, rules, now).is_none());
                alert.settled = alert.over.is_some() && is_told;
                alert.settled
            })
            .await?;
        }
        Ok(())
    }

    async fn change(&self, id: &AlertId, change: impl Fn(&mut Alert) -> bool) -> Result<(), StoreError> {
        let mut tries = TRIES;
        loop {
            let Some(stored) = self.registry.find(&EntityId::from(id)).await? else { return Ok(()) };
            let mut alert: Alert = stored.entity()?;
            if !change(&mut alert) {
                return Ok(());
            }
            tries -= 1;
            match self.registry.commit(Commit::of(Write::Replace(Row::of(&alert), Some(stored.revision)))).await {
                Ok(_) | Err(StoreError::NotFound(_)) => return Ok(()),
                Err(StoreError::Changed(_)) if 0 < tries => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets alerts that are over for long, and silences that ended.
    pub(crate) async fn forget(&self) -> Result<(), StoreError> {
        if !self.post.hold().await? {
            return Ok(());
        }
        let (rules, now) = (self.rules(), (self.clock)());
        let keep = u64::try_from(rules.keep.as_micros()).unwrap_or(u64::MAX);
        // Whom nobody could tell for so long need not be told any more.
        let mut over = BTreeSet::new();
        for label in [Alert::OVER, Alert::ENDING] {
            let alerts = self.labelled(label).await?;
            over.extend(alerts.into_iter().map(|(alert, _)| (alert.over.unwrap_or_default(), alert.id)));
        }
        let beyond = over.len().saturating_sub(MOST_KEPT);
        let is_old = |at: UnixMicros| at.0.saturating_add(keep) <= now.0;
        for (index, (at, id)) in over.into_iter().enumerate() {
            if index < beyond || is_old(at) {
                self.delete(EntityId::from(&id)).await?;
            }
        }
        for stored in self.registry.list(Listing::of(Kind::Silence)).await? {
            let Ok(silence) = stored.entity::<Silence>() else { continue };
            if is_old(silence.until) {
                self.delete(EntityId::from(&silence.id)).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, id: EntityId) -> Result<(), StoreError> {
        match self.registry.commit(Commit::of(Write::Delete(id, None))).await {
            Ok(_) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Notices that a receiver is told in one round.
const IN_A_ROUND: usize = 50;

/// Alerts that are kept although they are over.
const MOST_KEPT: usize = 1000;

/// How often an alert is written that others write at the same time.
const TRIES: usize = 16;
