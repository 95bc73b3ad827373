//! A writer for each thread that appends, made when the thread first needs it.

use std::cell::RefCell;
use std::sync::Arc;

use thread_local::ThreadLocal;
use tracing::warn;

use crate::error::NotAppended;
use crate::journal::Journal;
use crate::writer::{Mark, Writer};

/// Appends from any thread, without a lock that threads share.
#[derive(Debug)]
pub struct PerThread {
    // Before `journal`, so that it is dropped before: the last commit takes what the writers sealed.
    places: ThreadLocal<RefCell<Place>>,
    journal: Arc<Journal>,
}

#[derive(Debug)]
struct Place {
    writer: Writer,
    // Where records are put together. It keeps its capacity.
    record: Vec<u8>,
}

impl PerThread {
    /// Writers into `journal`.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { places: ThreadLocal::new(), journal }
    }

    /// The journal that is written.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Makes this thread's writer, so that no request waits while a segment is allocated; and as
    /// [`Writer::has_room`].
    #[inline]
    pub fn has_room(&self) -> bool {
        self.place().is_some_and(|place| place.try_borrow_mut().is_ok_and(|mut place| place.writer.has_room()))
    }

    /// Appends the record that `write` puts into an empty buffer.
    #[inline]
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), NotAppended> {
        let place = self.place().ok_or(NotAppended::NoRoom)?;
        // It is borrowed already only if `write` appends, which has no room to do so.
        let mut place = place.try_borrow_mut().map_err(|_borrowed| NotAppended::NoRoom)?;
        let Place { writer, record } = &mut *place;
        record.clear();
        write(record);
        writer.append(record)
    }

    /// What this thread appended so far.
    pub fn mark(&self) -> Option<Mark> {
        self.places.get()?.try_borrow().ok()?.writer.mark()
    }

    #[inline]
    fn place(&self) -> Option<&RefCell<Place>> {
        match self.places.get() {
            Some(place) => Some(place),
            None => self.new_place(),
        }
    }

    #[cold]
    fn new_place(&self) -> Option<&RefCell<Place>> {
        // While a disk is full, not every request shall try to allocate.
        if self.journal.is_refusing() {
            return None;
        }
        let made = self.places.get_or_try(|| {
            let writer = self.journal.writer()?;
            Ok(RefCell::new(Place { writer, record: Vec::with_capacity(RECORD_CAPACITY) }))
        });
        match made {
            Ok(place) => Some(place),
            Err::<_, crate::Error>(error) => {
                warn!(cause = %error.cause, %error, "a thread got no writer");
                None
            }
        }
    }
}

const RECORD_CAPACITY: usize = 1024;
