//! Sessions that were found open a moment ago, so that not each request has to ask the store.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use parking_lot::Mutex;
use store::LeaseId;
use tokio::time::Instant;

/// How long a session is taken for open without the store having said so again.
const TRUST: Duration = Duration::from_secs(2);

/// Parts of the table.
const PARTS: usize = 16;

/// What is known of sessions that are open.
#[derive(Default)]
pub(crate) struct Known {
    parts: [Mutex<HashMap<LeaseId, Entry>>; PARTS],
    hasher: RandomState,
}

struct Entry {
    /// When the store said so last.
    confirmed: Instant,
    /// When it was used last.
    used: Instant,
    /// Whether that is still to be told to the store.
    is_news: bool,
    /// How long it can be left unused.
    idle: Duration,
    /// When it ends, used or not.
    latest: Instant,
}

impl Known {
    /// Whether a session is known to be open, and needs no question. It is used then.
    pub(crate) fn is_open(&self, id: &LeaseId, now: Instant) -> bool {
        self.use_if(id, now, |entry| now.saturating_duration_since(entry.confirmed) < TRUST && now < entry.latest)
    }

    /// Whether a session was open when it could last be asked, and can be so still. It is used then.
    pub(crate) fn may_be_open(&self, id: &LeaseId, now: Instant) -> bool {
        self.use_if(id, now, |entry| now.saturating_duration_since(entry.used) < entry.idle && now < entry.latest)
    }

    fn use_if(&self, id: &LeaseId, now: Instant, is_good: impl Fn(&Entry) -> bool) -> bool {
        let mut part = self.part(id).lock();
        let Some(entry) = part.get_mut(id).filter(|entry| is_good(entry)) else { return false };
        entry.used = now;
        entry.is_news = true;
        true
    }

    /// The store says that a session is open, which is used now.
    pub(crate) fn insert(&self, id: &LeaseId, now: Instant, idle: Duration, left: Duration) {
        let latest = now.checked_add(left).unwrap_or(now);
        let entry = Entry { confirmed: now, used: now, is_news: true, idle, latest };
        self.part(id).lock().insert(id.clone(), entry);
    }

    /// A session is over.
    pub(crate) fn remove(&self, id: &LeaseId) {
        self.part(id).lock().remove(id);
    }

    /// Those that were used since the last time, which the caller tells to the store. Forgets those that nobody uses.
    pub(crate) fn news(&self, now: Instant) -> Vec<LeaseId> {
        let mut news = Vec::new();
        for part in &self.parts {
            part.lock().retain(|id, entry| {
                if std::mem::take(&mut entry.is_news) {
                    news.push(id.clone());
                }
                now.saturating_duration_since(entry.used) < entry.idle && now < entry.latest
            });
        }
        news
    }

    /// The store says that these are open.
    pub(crate) fn confirm(&self, ids: &[LeaseId], now: Instant) {
        for id in ids {
            if let Some(entry) = self.part(id).lock().get_mut(id) {
                entry.confirmed = now;
            }
        }
    }

    /// The store could not be told that these were used.
    pub(crate) fn untold(&self, ids: &[LeaseId]) {
        for id in ids {
            if let Some(entry) = self.part(id).lock().get_mut(id) {
                entry.is_news = true;
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below PARTS")]
    fn part(&self, id: &LeaseId) -> &Mutex<HashMap<LeaseId, Entry>> {
        &self.parts[usize::try_from(self.hasher.hash_one(id) % PARTS as u64).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_trusted_for_a_moment_and_believed_in_need() {
        let (known, id, now) = (Known::default(), LeaseId::of(b"a"), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(!known.is_open(&id, now));

        known.insert(&id, now, Duration::from_mins(1), Duration::from_secs(90));
        assert!(known.is_open(&id, after(1)));
        assert!(!known.is_open(&id, after(2)), "the store has to be asked again");
        assert!(known.may_be_open(&id, after(59)));
        known.confirm(std::slice::from_ref(&id), after(60));
        assert!(known.is_open(&id, after(61)));
        assert!(!known.may_be_open(&id, after(90)), "it is as old as it may become");
        known.remove(&id);
        assert!(!known.may_be_open(&id, after(61)));
    }

    #[test]
    fn uses_are_told_once_and_again_if_that_failed() {
        let (known, id, now) = (Known::default(), LeaseId::of(b"a"), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        known.insert(&id, now, Duration::from_mins(1), Duration::from_secs(90));

        assert_eq!(known.news(now), std::slice::from_ref(&id));
        assert_eq!(known.news(now), []);
        known.untold(std::slice::from_ref(&id));
        assert_eq!(known.news(now), std::slice::from_ref(&id));
        assert_eq!(known.news(after(60)), []);
        assert!(!known.may_be_open(&id, now), "what nobody used is forgotten");
    }
}
