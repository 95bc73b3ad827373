//! What became of sessions, for operators who measure.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of sessions since this process began.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) opened: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) ousted: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) given_up: AtomicU64,
    pub(crate) counting: AtomicU64,
}

/// What became of sessions since this process began, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Sessions that were opened.
    pub opened: u64,
    /// Wishes that were refused, because there were as many as there may be.
    pub refused: u64,
    /// Sessions that gave their place to another.
    pub ousted: u64,
    /// Sessions that callers or the backend ended.
    pub ended: u64,
    /// Sessions that the gateway closed at the backend.
    pub closed: u64,
    /// Tries to close one that failed; it is tried again.
    pub failed: u64,
    /// Sessions that the gateway gave up to close.
    pub given_up: u64,
    /// Sessions that had a place when they were counted last, on whatever node.
    pub counting: u64,
}

impl Counts {
    pub(crate) fn reading(&self) -> Reading {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Reading {
            opened: of(&self.opened),
            refused: of(&self.refused),
            ousted: of(&self.ousted),
            ended: of(&self.ended),
            closed: of(&self.closed),
            failed: of(&self.failed),
            given_up: of(&self.given_up),
            counting: of(&self.counting),
        }
    }
}

/// One more.
pub(crate) fn count(of: &AtomicU64) {
    of.fetch_add(1, Ordering::Relaxed);
}
