//! What something open depends on, and whether that is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use smallvec::SmallVec;

/// What something open depends on: a credential, a subscription, a record.
///
/// Whoever gives access clones it into what is opened, and whoever takes access away ends it; neither knows the other.
#[derive(Debug)]
pub struct Life {
    /// When it is over, in microseconds since 1970.
    ends: AtomicU64,
    why: AtomicU8,
}

/// All that something open depends on. It is over with the first of them.
pub type Lives = SmallVec<[Arc<Life>; 4]>;

/// Why something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// It had an end from the beginning.
    Expired,
    /// Somebody revoked it.
    Revoked,
    /// It is not there any more.
    Deleted,
    /// Somebody stopped it for now.
    Suspended,
    /// The record behind it is gone at its source.
    RecordGone,
}

impl Over {
    const ALL: [Self; 5] = [Self::Expired, Self::Revoked, Self::Deleted, Self::Suspended, Self::RecordGone];

    /// The word for it, in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Deleted => "deleted",
            Self::Suspended => "suspended",
            Self::RecordGone => "record-gone",
        }
    }
}

/// It does not end by itself.
const NEVER: u64 = u64::MAX;
/// It was ended, whatever the time is.
const ENDED: u64 = 0;

impl Life {
    /// A life that ends when somebody ends it.
    pub fn new() -> Self {
        Self { ends: AtomicU64::new(NEVER), why: AtomicU8::new(0) }
    }

    /// Ends it, unless it was ended before.
    pub fn end(&self, why: Over) {
        if self.ends.load(Ordering::Acquire) != ENDED {
            self.why.store(why as u8, Ordering::Relaxed);
            self.ends.store(ENDED, Ordering::Release);
        }
    }

    /// Has it end by itself at a time in microseconds since 1970, or never; unless it was ended before.
    pub fn lasts_until(&self, at: Option<u64>) {
        let at = at.unwrap_or(NEVER).max(ENDED + 1);
        let later = |ends| (ends != ENDED).then_some(at);
        // It fails only where it has ended, and then stays as it is.
        self.ends.fetch_update(Ordering::AcqRel, Ordering::Acquire, later).ok();
    }

    /// Why it is over by a time in microseconds since 1970, if it is.
    pub fn over(&self, now: u64) -> Option<Over> {
        let ends = self.ends.load(Ordering::Acquire);
        if now < ends {
            return None;
        }
        if ends != ENDED {
            return Some(Over::Expired);
        }
        let why = self.why.load(Ordering::Relaxed);
        Over::ALL.into_iter().find(|known| *known as u8 == why)
    }
}

impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_ends_by_itself_or_by_somebody_and_then_for_good() {
        let life = Life::new();
        assert_eq!(life.over(NEVER - 1), None);
        life.lasts_until(Some(100));
        assert_eq!((life.over(99), life.over(100)), (None, Some(Over::Expired)));
        life.lasts_until(None);
        assert_eq!(life.over(100), None);

        life.end(Over::Suspended);
        life.end(Over::Deleted);
        life.lasts_until(None);

        assert_eq!(life.over(1), Some(Over::Suspended));
    }
}
