//! How many connections an upstream may have, and who waits for one.
//!
//! While there are fewer than may be, a connection costs an atomic addition when it is opened and closed, and a look at
//! a counter when it becomes idle. Only beyond that is there a queue, and a lock that workers share.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::h1::Connection;
use crate::target::Target;

/// How often somebody in the queue can be passed over by others for whom a connection is of use as it is.
const PATIENCE: u32 = 32;

/// The connections of an upstream, of all workers, and the requests that wait for one.
pub(crate) struct Places {
    limit: u32,
    most_waiting: usize,
    open: AtomicU32,
    /// The length of `queue`, to be looked at without its lock.
    waiting: AtomicUsize,
    queue: Mutex<VecDeque<Entry>>,
}

/// A connection that counts while it is there.
pub(crate) struct Counted(Arc<Places>);

/// What somebody who waited gets.
pub(crate) enum Grant {
    /// The right to open a connection.
    Place(Counted),
    /// A connection to the target that was asked for.
    Connection(Connection),
}

/// As many wait as may.
#[derive(Debug)]
pub(crate) struct Full;

/// A place in the queue. Dropping it leaves the queue.
pub(crate) struct Waiting {
    places: Arc<Places>,
    seat: Arc<Seat>,
}

struct Entry {
    seat: Arc<Seat>,
    /// Whose connections are of use: those of this thread, to this target.
    thread: ThreadId,
    target: Arc<Target>,
    passed_over: u32,
}

#[derive(Default)]
struct Seat {
    grant: Mutex<Option<Grant>>,
    waker: AtomicWaker,
}

impl Places {
    pub(crate) fn new(limit: u32, most_waiting: u32) -> Self {
        Self {
            limit,
            most_waiting: usize::try_from(most_waiting).unwrap_or(usize::MAX),
            open: AtomicU32::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        }
    }

    /// Connections that are open, or are being opened.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place, if one is free and nobody waits for it already.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Counted> {
        if self.waiting.load(Ordering::SeqCst) > 0 { None } else { self.count() }
    }

    /// Lines up for a connection to `target`.
    pub(crate) fn line_up(self: &Arc<Self>, target: &Arc<Target>) -> Result<Waiting, Full> {
        let mut queue = self.queue.lock();
        if queue.len() >= self.most_waiting {
            return Err(Full);
        }
        let seat = Arc::new(Seat::default());
        let entry =
            Entry { seat: seat.clone(), thread: thread::current().id(), target: target.clone(), passed_over: 0 };
        queue.push_back(entry);
        self.waiting.store(queue.len(), Ordering::SeqCst);
        // Who gave a place back before this entry could be seen has told nobody of it.
        self.serve(&mut queue);
        drop(queue);
        Ok(Waiting { places: self.clone(), seat })
    }

    /// Gives a connection that has become idle to somebody who waits, and says whose it is if nobody does.
    ///
    /// A connection stays with its thread, so one that no one there can use is closed in favour of whoever is first,
    /// once he was passed over often enough.
    pub(crate) fn hand_on(connection: Connection, target: &Arc<Target>) -> Option<Connection> {
        let places = connection.counted.0.clone();
        let mut queue = places.queue.lock();
        let Some(first) = queue.front() else { return Some(connection) };
        let this = thread::current().id();
        let is_fit = |entry: &Entry| entry.thread == this && Arc::ptr_eq(&entry.target, target);
        let chosen = if first.passed_over >= PATIENCE && !is_fit(first) { None } else { queue.iter().position(is_fit) };
        let Some(entry) = chosen.and_then(|index| queue.remove(index)) else {
            drop(queue);
            // Its place goes to the first in the queue.
            drop(connection);
            return None;
        };
        if let Some(first) = queue.front_mut().filter(|_| chosen != Some(0)) {
            first.passed_over += 1;
        }
        places.waiting.store(queue.len(), Ordering::SeqCst);
        drop(queue);
        entry.seat.give(Grant::Connection(connection));
        None
    }

    fn count(self: &Arc<Self>) -> Option<Counted> {
        let more = |open| (open < self.limit).then_some(open + 1);
        self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok().map(|_| Counted(self.clone()))
    }

    /// Gives free places to those who wait, the first first.
    fn serve(self: &Arc<Self>, queue: &mut VecDeque<Entry>) {
        while !queue.is_empty()
            && let Some(counted) = self.count()
        {
            if let Some(entry) = queue.pop_front() {
                self.waiting.store(queue.len(), Ordering::SeqCst);
                entry.seat.give(Grant::Place(counted));
            }
        }
    }
}

impl Counted {
    /// Whether anybody waits for a connection.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.waiting() > 0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.serve(&mut self.0.queue.lock());
        }
    }
}

impl Seat {
    fn give(&self, grant: Grant) {
        *self.grant.lock() = Some(grant);
        self.waker.wake();
    }
}

impl Waiting {
    /// What was waited for, once it is there.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Grant> {
        self.seat.waker.register(context.waker());
        self.seat.grant.lock().take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut queue = self.places.queue.lock();
        if let Some(index) = queue.iter().position(|entry| Arc::ptr_eq(&entry.seat, &self.seat)) {
            queue.remove(index);
            self.places.waiting.store(queue.len(), Ordering::SeqCst);
        }
        drop(queue);
        // What came too late goes to the next one when it is dropped, outside of every lock.
        let late = self.seat.grant.lock().take();
        drop(late);
    }
}
