//! What the two threads of a journal do: one puts records on the disk, the other lays out segments before they are
//! needed and removes them when nobody needs them any more.
//!
//! They are two, because a slow disk must not keep a writer waiting for its next segment.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tracing::{error, warn};

use crate::error::Error;
use crate::journal::Shared;
use crate::segment::Progress;

/// Commits until the journal is closed, and once more.
pub(crate) fn commit_until_closed(journal: &Shared) {
    loop {
        let closing = journal.closing.load(Ordering::Acquire);
        commit(journal);
        if closing {
            return;
        }
        thread::park_timeout(journal.settings.commit_every);
    }
}

/// Supplies and retains until the journal is closed.
pub(crate) fn supply_until_closed(journal: &Shared) {
    let mut trouble = false;
    while !journal.closing.load(Ordering::Acquire) {
        journal.refusing.store(false, Ordering::Relaxed);
        let kept = journal.retain().and_then(|()| supply(journal));
        let again = if matches!(kept, Ok(Supply::Complete)) { RETAIN_EVERY } else { SUPPLY_EVERY };
        // Once, not ten times a second, while a disk is full.
        match kept {
            Err(error) if !trouble => {
                warn!(cause = %error.cause, %error, "the journal gets no further segment");
                trouble = true;
            }
            Err(_) => {}
            Ok(_) => trouble = false,
        }
        thread::park_timeout(again);
    }
}

fn commit(journal: &Shared) {
    let live = journal.live.lock().clone();
    let mut complete = Vec::new();
    for segment in live {
        match segment.commit() {
            Ok(Progress::Current) => {}
            Ok(Progress::Complete) => complete.push(segment.id),
            Err(error) => {
                journal.counts.failed_commits.fetch_add(1, Ordering::Relaxed);
                error!(segment = %segment.id, cause = %error.cause, %error, "the disk did not take records");
            }
        }
    }
    if !complete.is_empty() {
        journal.live.lock().retain(|segment| !complete.contains(&segment.id));
    }
    journal.commits.send_modify(|rounds| *rounds += 1);
    let (rounds, changed) = &journal.committed;
    *rounds.lock() += 1;
    changed.notify_all();
}

/// Whether every writer has its next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    Complete,
    Incomplete,
}

/// Gives every writer its next segment, as far as there is room.
fn supply(journal: &Shared) -> Result<Supply, Error> {
    let listed = journal.listed()?;
    let mut bytes: u64 = listed.iter().map(|(_, size)| size).sum();
    let room = journal.settings.limit.saturating_sub(bytes).min(journal.free()?);
    // First, because it is not to look full to whoever looks meanwhile.
    journal.counts.room.store(room, Ordering::Relaxed);
    journal.counts.segments.store(listed.len() as u64, Ordering::Relaxed);
    journal.counts.bytes.store(bytes, Ordering::Relaxed);

    let mut supply = Supply::Complete;
    let waiting = journal.awaited.lock().clone();
    for next in waiting.iter().filter(|next| !next.is_ready()) {
        bytes += journal.settings.segment as u64;
        if bytes > journal.settings.limit {
            journal.counts.refused_segments.fetch_add(1, Ordering::Relaxed);
            supply = Supply::Incomplete;
            continue;
        }
        let pen = journal.new_segment().inspect_err(|_| {
            journal.counts.refused_segments.fetch_add(1, Ordering::Relaxed);
        })?;
        next.lay(pen);
    }
    Ok(supply)
}

// A writer that takes its next segment asks for another one; this is for when there was none to be had.
const SUPPLY_EVERY: Duration = Duration::from_millis(100);
const RETAIN_EVERY: Duration = Duration::from_secs(1);
