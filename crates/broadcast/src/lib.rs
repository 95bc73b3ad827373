//! What is said last goes to very many tasks, each woken on its own thread.
//!
//! With a hundred thousand listeners, waking them is most of what it costs. Tasks that are woken from another thread come one
//! by one from a queue that the runtime looks into when it has nothing else to do: a connection of a hundred streams was polled,
//! and wrote, after each of them. Here those of one thread are woken by a task of its runtime, some hundreds at a time and in
//! the order of their slots, so that what belongs to a connection is written at once, and while it is in the cache; and what
//! else there is to do comes between.
//!
//! Deliberately not here: what is said, and how often.

mod group;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

use bytes::Bytes;
use futures::Stream;
use parking_lot::Mutex;

use self::group::{Group, Slot};

/// Says something to everybody who listens. When it is dropped, they hear no more.
#[derive(Default)]
pub struct Broadcast {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    said: Mutex<Said>,
    listeners: AtomicUsize,
    /// Those who wait, by the thread on which they did so first.
    groups: Mutex<HashMap<ThreadId, Arc<Group>>>,
}

#[derive(Default)]
struct Said {
    message: Bytes,
    /// Messages so far.
    number: u64,
    /// Who listens since a message before this one hears no more.
    dismissed: u64,
}

impl Broadcast {
    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.shared.listeners.load(Ordering::Relaxed)
    }

    /// Says something to everybody. Who was not told what was said before hears only this.
    pub fn say(&self, message: Bytes) {
        {
            let mut said = self.shared.said.lock();
            said.message = message;
            said.number += 1;
        }
        self.shared.wake();
    }

    /// Ends all streams that there are. What is said afterwards is for those who come then.
    pub fn dismiss(&self) {
        {
            let mut said = self.shared.said.lock();
            let number = said.number + 1;
            *said = Said { message: Bytes::new(), number, dismissed: number };
        }
        self.shared.wake();
    }

    /// Hears what is said from now on. To be polled within a runtime of tokio.
    pub fn listen(&self) -> Listener {
        self.shared.listeners.fetch_add(1, Ordering::Relaxed);
        let heard = self.shared.said.lock().number;
        Listener { shared: self.shared.clone(), heard, slot: None }
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.dismiss();
        for group in self.shared.groups.lock().values() {
            group.end();
        }
    }
}

impl Shared {
    fn wake(&self) {
        for group in self.groups.lock().values() {
            group.wake();
        }
    }

    /// Those who wait on this thread.
    fn group(self: &Arc<Self>) -> Arc<Group> {
        let thread = thread::current().id();
        let group = match self.groups.lock().entry(thread) {
            Entry::Occupied(entry) => return entry.get().clone(),
            Entry::Vacant(entry) => entry.insert(Arc::default()).clone(),
        };
        let shared = Arc::downgrade(self);
        group.start(move || {
            if let Some(shared) = shared.upgrade() {
                shared.groups.lock().remove(&thread);
            }
        });
        group
    }
}

/// Hears what is said last, until it is dismissed.
pub struct Listener {
    shared: Arc<Shared>,
    /// The number of the message that was heard last.
    heard: u64,
    slot: Option<Slot>,
}

impl Listener {
    /// What is said, or that it is over, if either is new.
    fn hear(&mut self) -> Poll<Option<Bytes>> {
        let said = self.shared.said.lock();
        if self.heard < said.dismissed {
            return Poll::Ready(None);
        }
        if self.heard == said.number {
            return Poll::Pending;
        }
        self.heard = said.number;
        Poll::Ready(Some(said.message.clone()))
    }
}

impl Stream for Listener {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        if let ready @ Poll::Ready(_) = this.hear() {
            return ready;
        }
        match &this.slot {
            Some(slot) => slot.wait(context.waker()),
            None => this.slot = Some(Slot::new(this.shared.group(), context.waker())),
        }
        // What was said since it was looked may have woken who is in the slot no more.
        this.hear()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
