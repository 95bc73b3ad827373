//! What quotas consumed, in a journal of its own, so that a restart forgets nothing.
//!
//! During an upgrade two processes count. Then each decision is made under a lock that both share, after what the other has
//! written is read: together they never grant more than the quota.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use limits::{Held, News, Reading, Remembered, Turn};
use metering::{Ledger, LedgerError};
use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{FlockOperation, flock};

use crate::presence::Presence;

/// Windows that began longer ago than any window lasts are of no use.
const LONGEST_WINDOW: u64 = 367 * 24 * 3600;

/// The ledger of quotas.
pub(crate) struct QuotaLedger {
    ledger: Ledger,
    presence: Presence,
    /// Whether another process counts, or is about to.
    is_shared: AtomicBool,
    /// Successors that were started, and may not have shown up yet.
    expected: AtomicUsize,
    /// What processes that count at the same time lock in turn.
    lock: Mutex<File>,
    compacting: Mutex<()>,
    sums: Mutex<Known>,
    /// Whether anything was written since the sums were read.
    has_grown: AtomicBool,
    news: Mutex<Vec<News>>,
    news_count: AtomicUsize,
}

/// The sums of all counters, and how many pieces of news are in them.
#[derive(Default)]
struct Known {
    sums: HashMap<(String, u64), i64>,
    news: usize,
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl QuotaLedger {
    /// Reads what earlier processes, and others that are there still, wrote down. `folder` is the store's.
    pub(crate) fn open(ledger: Ledger, folder: &Path) -> Result<Self, OpenError> {
        let lock = File::create(folder.join("quotas.lock"))?;
        let presence = Presence::claim(&folder.join("processes"))?;
        let is_shared = presence.has_others()?;
        let mut known = Known::default();
        ledger.replay(|counter, window, n| known.add(counter, window, n))?;
        Ok(Self {
            ledger,
            presence,
            is_shared: AtomicBool::new(is_shared),
            expected: AtomicUsize::new(0),
            lock: Mutex::new(lock),
            compacting: Mutex::default(),
            sums: Mutex::new(known),
            has_grown: AtomicBool::new(false),
            news: Mutex::default(),
            news_count: AtomicUsize::new(0),
        })
    }

    /// Makes the ledger short again. Blocks.
    pub(crate) fn compact(&self, now_seconds: u64) {
        let _compacting = self.compacting.lock();
        if self.is_shared.load(Ordering::SeqCst) {
            // Another process would take what is moved for something new.
            return;
        }
        let is_open = |_: &str, window: u64| window.saturating_add(LONGEST_WINDOW) > now_seconds;
        if let Err(error) = self.ledger.compact(is_open) {
            tracing::warn!(%error, "the ledger of quotas could not be compacted");
        }
    }

    /// From now on a successor may count too. To be called before it is started, and [`Self::despair`] when it ended.
    pub(crate) fn expect(&self) {
        self.expected.fetch_add(1, Ordering::SeqCst);
        self.is_shared.store(true, Ordering::SeqCst);
        // One that is under way ends before the other process reads.
        drop(self.compacting.lock());
    }

    /// The successor will not come.
    pub(crate) fn despair(&self) {
        self.expected.fetch_sub(1, Ordering::SeqCst);
    }

    /// Looks which processes there are: one that is alone need not wait for others, and one that is not must. Blocks.
    pub(crate) fn look_around(&self) {
        let has_others = match self.presence.has_others() {
            Ok(has_others) => has_others,
            Err(error) => return tracing::warn!(%error, "it cannot be told whether another process counts quotas"),
        };
        if has_others || self.expected.load(Ordering::SeqCst) > 0 {
            self.is_shared.store(true, Ordering::SeqCst);
        } else if self.is_shared.load(Ordering::SeqCst) {
            // The last words of whoever is gone.
            let _lock = self.lock.lock();
            if self.catch_up() {
                self.is_shared.store(false, Ordering::SeqCst);
            }
        }
    }

    /// Reads what others wrote. Whether that could be done.
    fn catch_up(&self) -> bool {
        let mut news = self.news.lock();
        let heard = self.ledger.catch_up(|counter, window_start, n| {
            news.push(News { counter: counter.to_owned(), window_start, n });
        });
        self.news_count.store(news.len(), Ordering::Release);
        if let Err(error) = &heard {
            tracing::error!(%error, "what another process counted cannot be read; quotas may be exceeded");
        }
        heard.is_ok()
    }

    fn note_growth(&self) {
        if !self.has_grown.load(Ordering::Relaxed) {
            self.has_grown.store(true, Ordering::Relaxed);
        }
    }
}

impl limits::Ledger for QuotaLedger {
    fn consumed(&self, counter: &str, window_start: u64, n: u32) {
        if let Err(error) = self.ledger.consumed(counter, window_start, n) {
            tracing::error!(%error, "what a quota consumed could not be written down");
        }
        self.note_growth();
    }

    fn given_back(&self, counter: &str, window_start: u64, n: u32) {
        if let Err(error) = self.ledger.given_back(counter, window_start, n) {
            tracing::error!(%error, "what a quota gave back could not be written down");
        }
        self.note_growth();
    }

    fn remembered(&self, name: &str) -> Remembered {
        let _turn = self.turn();
        let mut known = self.sums.lock();
        if self.has_grown.swap(false, Ordering::Relaxed) || known.news != self.news() {
            let mut now = Known { sums: HashMap::new(), news: self.news() };
            match self.ledger.sums(|counter, window, n| now.add(counter, window, n)) {
                Ok(()) => *known = now,
                Err(error) => {
                    tracing::error!(%error, "the ledger of quotas cannot be read; counters may begin too low");
                }
            }
        }
        let mine = known.sums.iter().filter(|((counter, _), _)| counter.starts_with(name));
        let readings = mine.map(|((counter, window_start), consumed)| Reading {
            counter: counter.clone(),
            window_start: *window_start,
            consumed: u64::try_from(*consumed).unwrap_or(0),
        });
        Remembered { readings: readings.collect(), news: known.news }
    }

    fn turn(&self) -> Turn<'_> {
        if !self.is_shared.load(Ordering::Acquire) {
            return None;
        }
        let file = self.lock.lock();
        if let Err(error) = flock(&*file, FlockOperation::LockExclusive) {
            tracing::error!(%error, "the lock of quotas cannot be had; quotas may be exceeded");
        }
        self.catch_up();
        Some(Box::new(Locked(file)))
    }

    fn news(&self) -> usize {
        self.news_count.load(Ordering::Acquire)
    }

    fn news_since(&self, from: usize) -> Vec<News> {
        self.news.lock().get(from..).unwrap_or_default().to_vec()
    }
}

impl Known {
    fn add(&mut self, counter: &str, window: u64, n: i64) {
        let sum = self.sums.entry((counter.to_owned(), window)).or_default();
        *sum = sum.saturating_add(n);
    }
}

/// The lock of all processes, held.
struct Locked<'a>(MutexGuard<'a, File>);

impl Held for Locked<'_> {}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if let Err(error) = flock(&*self.0, FlockOperation::Unlock) {
            tracing::error!(%error, "the lock of quotas cannot be let go");
        }
    }
}
