//! One thread's way into the journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::NotAppended;
use crate::frame::MAX_RECORD;
use crate::journal::Shared;
use crate::segment::{Pen, Segment, SegmentId};

/// Appends records, from one thread at a time.
#[derive(Debug)]
pub struct Writer {
    // None only while it is dropped.
    pen: Option<Pen>,
    next: Arc<NextPen>,
    journal: Arc<Shared>,
}

/// A place in the journal: everything that one writer appended so far.
#[derive(Clone, Debug)]
pub struct Mark {
    pub(crate) segment: Arc<Segment>,
    pub(crate) end: usize,
}

impl Mark {
    /// The segment that it is in.
    pub fn segment(&self) -> SegmentId {
        self.segment.id
    }
}

/// Where the supplying thread lays a writer's next segment.
#[derive(Debug, Default)]
pub(crate) struct NextPen {
    ready: AtomicBool,
    // Locked by the writer and the supplying thread only, once a segment.
    pen: Mutex<Option<Pen>>,
}

impl NextPen {
    /// Whether the writer will find a pen here.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Lays out a pen.
    pub(crate) fn lay(&self, pen: Pen) {
        let mut place = self.pen.lock();
        *place = Some(pen);
        // Under the lock, so that it never says more than is true.
        self.ready.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Pen> {
        let mut place = self.pen.lock();
        self.ready.store(false, Ordering::Release);
        place.take()
    }
}

impl Drop for NextPen {
    fn drop(&mut self) {
        if let Some(unused) = self.pen.get_mut().take() {
            unused.discard();
        }
    }
}

impl Writer {
    pub(crate) fn new(pen: Pen, next: Arc<NextPen>, journal: Arc<Shared>) -> Self {
        Self { pen: Some(pen), next, journal }
    }

    /// Whether the records of the requests that have begun, and of one more, will find room.
    ///
    /// To be asked when a request begins. While it says yes, [`Settings::reserve`](crate::Settings::reserve) bytes
    /// are left for those already under way.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        if self.pen.as_ref().is_some_and(|pen| pen.segment().is_broken()) {
            // What is appended to another segment may reach the disk.
            self.turn();
        }
        self.left() >= self.journal.settings.reserve || self.next.is_ready()
    }

    /// Appends `record`. When this returns `Ok`, the end of this process cannot undo it.
    #[inline]
    pub fn append(&mut self, record: &[u8]) -> Result<(), NotAppended> {
        if let Some(pen) = &mut self.pen
            && record.len() <= MAX_RECORD
            && pen.append(record).is_some()
        {
            return Ok(());
        }
        self.append_to_next(record)
    }

    /// What was appended so far, to wait until it is on the disk.
    pub fn mark(&self) -> Option<Mark> {
        self.pen.as_ref().map(|pen| Mark { segment: pen.segment().clone(), end: pen.at() })
    }

    #[cold]
    fn append_to_next(&mut self, record: &[u8]) -> Result<(), NotAppended> {
        if record.len() > MAX_RECORD || !self.pen.as_ref().is_some_and(|pen| pen.could_hold(record)) {
            return Err(NotAppended::TooLong);
        }
        self.turn();
        self.pen.as_mut().and_then(|pen| pen.append(record)).map(|_| ()).ok_or(NotAppended::NoRoom)
    }

    /// Goes on to the next segment, if it is there.
    #[cold]
    fn turn(&mut self) {
        if let Some(next) = self.next.take()
            && let Some(full) = self.pen.replace(next)
        {
            full.seal();
        }
        self.journal.ask_for_segments();
    }

    fn left(&self) -> usize {
        self.pen.as_ref().map_or(0, Pen::left)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(pen) = self.pen.take() {
            pen.seal();
        }
        self.journal.forget(&self.next);
    }
}
