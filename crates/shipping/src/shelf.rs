//! The shelf of a sink: where its records lie until they are taken, on this process's side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use journal::{Journal, PerThread, Settings};
use model::logs::KeepLogs;
use parking_lot::Mutex;

/// Where the records of a sink lie until they are taken. It survives changes of the configuration by the sink's name.
#[derive(Debug)]
pub struct Shelf {
    /// The sink's name.
    pub name: Box<str>,
    pub(crate) folder: PathBuf,
    /// Where packed segments lie: there may be very many, and the journal looks at its own folder often.
    pub(crate) packed: PathBuf,
    pub(crate) writers: PerThread,
    pub(crate) keep: Mutex<KeepLogs>,
    /// There is no room for what begins now.
    pub(crate) is_full: AtomicBool,
    pub(crate) counts: Counts,
}

/// What became of records since this process started, and how many wait.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) written: AtomicU64,
    /// Records that found no room.
    pub(crate) without_room: AtomicU64,
    /// Records that became too old, or had to give way to newer ones.
    pub(crate) dropped: AtomicU64,
    pub(crate) shipped: AtomicU64,
    /// Records that the sink will never take.
    pub(crate) refused: AtomicU64,
    /// Batches that were not taken and are sent again.
    pub(crate) failures: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) waiting_bytes: AtomicU64,
    /// When the exchange began whose record is next, in microseconds since 1970; 0 if none waits.
    pub(crate) next_since: AtomicU64,
    pub(crate) disk: AtomicU64,
}

impl Shelf {
    /// Opens the shelf of this name in a folder of shelves. `now` is the time in microseconds since 1970.
    pub fn open(shelves: &Path, name: &str, keep: KeepLogs, now: u64) -> Result<Self, journal::Error> {
        Self::with_segments((4 * 1024 * 1024, 512 * 1024), shelves, name, keep, now)
    }

    /// As [`Self::open`], with segments of this size and reserve.
    pub(crate) fn with_segments(
        (segment, reserve): (usize, usize),
        shelves: &Path,
        name: &str,
        keep: KeepLogs,
        now: u64,
    ) -> Result<Self, journal::Error> {
        let folder = shelves.join(name);
        let settings =
            Settings { segment, limit: keep.max.bytes(), keep_free: KEEP_FREE, reserve, ..Settings::default() };
        let journal = Arc::new(Journal::open(&folder, settings, now)?);
        let packed = folder.join("packed");
        std::fs::create_dir_all(&packed).map_err(|cause| journal::Error {
            doing: "create",
            path: packed.clone(),
            cause,
        })?;
        Ok(Self {
            name: name.into(),
            folder,
            packed,
            writers: PerThread::new(journal),
            keep: Mutex::new(keep),
            is_full: AtomicBool::new(false),
            counts: Counts::default(),
        })
    }

    /// Keeps as much as this from now on. A larger `max` than at the start holds for what is packed.
    pub fn keep(&self, keep: KeepLogs) {
        *self.keep.lock() = keep;
    }

    /// Whether what begins now can be written down when it ends.
    pub(crate) fn has_room(&self) -> bool {
        // Asked first: it makes this thread's writer.
        self.writers.has_room() && !self.is_full.load(Ordering::Relaxed)
    }

    /// What an operator wants to know.
    pub fn reading(&self, now: u64) -> Reading {
        let Counts { written, without_room, dropped, shipped, refused, failures, .. } = &self.counts;
        let Counts { waiting, waiting_bytes, next_since, disk, .. } = &self.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let since = of(next_since);
        Reading {
            written: of(written),
            shipped: of(shipped),
            refused: of(refused),
            dropped: of(dropped) + of(without_room),
            failures: of(failures),
            waiting: of(waiting),
            waiting_bytes: of(waiting_bytes),
            age: if since == 0 { Duration::ZERO } else { Duration::from_micros(now.saturating_sub(since)) },
            disk: of(disk),
        }
    }
}

/// What is known of a sink now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Records that were written to the disk of this machine.
    pub written: u64,
    /// Records that the sink took.
    pub shipped: u64,
    /// Records that the sink will never take.
    pub refused: u64,
    /// Records that are lost: they found no room, became too old, or gave way to newer ones.
    pub dropped: u64,
    /// Batches that were not taken and were sent again.
    pub failures: u64,
    /// Records that wait.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// How long the next one has waited.
    pub age: Duration,
    /// What waiting records take on the disk.
    pub disk: u64,
}

/// So much of the disk is left to those whose records cost money.
const KEEP_FREE: u64 = 256 * 1024 * 1024;
