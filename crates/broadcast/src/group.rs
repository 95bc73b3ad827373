//! Those who wait on one thread, and the task that wakes them there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

/// Those who wait on one thread.
#[derive(Default)]
pub(crate) struct Group {
    wakers: Mutex<Slab<Waker>>,
    said: Notify,
    is_over: AtomicBool,
}

impl Group {
    /// Begins to wake them, in the runtime of this thread. `ended` is called when that has ended, for whatever reason.
    #[expect(clippy::disallowed_methods, reason = "it holds nothing that has to be brought to an end")]
    pub(crate) fn start(self: &Arc<Self>, ended: impl FnOnce() + Send + 'static) {
        tokio::spawn(tend(self.clone(), Ended(Some(ended))));
    }

    /// Has everybody be woken, soon.
    pub(crate) fn wake(&self) {
        self.said.notify_one();
    }

    /// Has everybody be woken for the last time.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wake();
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.wakers.lock().len()
    }

    /// Wakes who is in so many slots; whether there may be more behind them.
    fn wake_from(&self, first: usize) -> bool {
        let wakers = self.wakers.lock();
        for number in first..first + AT_ONCE {
            if let Some(waker) = wakers.get(number) {
                waker.wake_by_ref();
            }
        }
        first + AT_ONCE < wakers.capacity()
    }
}

async fn tend(group: Arc<Group>, ended: Ended<impl FnOnce()>) {
    let mut is_over = false;
    while !is_over {
        group.said.notified().await;
        is_over = group.is_over.load(Ordering::Acquire);
        let mut first = 0;
        while group.wake_from(first) {
            first += AT_ONCE;
            // They are before this task in the queue of the runtime.
            tokio::task::yield_now().await;
        }
    }
    drop(ended);
}

/// Calls what it holds, however it ends.
struct Ended<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Ended<F> {
    fn drop(&mut self) {
        if let Some(ended) = self.0.take() {
            ended();
        }
    }
}

/// The place of one who waits.
pub(crate) struct Slot {
    group: Arc<Group>,
    number: usize,
}

impl Slot {
    pub(crate) fn new(group: Arc<Group>, waker: &Waker) -> Self {
        let number = group.wakers.lock().insert(waker.clone());
        Self { group, number }
    }

    /// Has this one be woken from now on.
    pub(crate) fn wait(&self, waker: &Waker) {
        let mut wakers = self.group.wakers.lock();
        let earlier = match wakers.get_mut(self.number) {
            Some(kept) if !kept.will_wake(waker) => Some(std::mem::replace(kept, waker.clone())),
            _ => None,
        };
        // What ends with it may have a slot of its own to give back.
        drop(wakers);
        drop(earlier);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut wakers = self.group.wakers.lock();
        let waker = wakers.try_remove(self.number);
        if wakers.is_empty() {
            // What a crowd has needed is not kept, nor looked through for ever.
            *wakers = Slab::new();
        }
        drop(wakers);
        drop(waker);
    }
}

/// So many are woken before what is woken is polled. Some hundred bytes to two kilobytes are touched for each, which shall stay
/// in a cache of a megabyte until they are written; and whatever else comes to the thread waits behind them.
const AT_ONCE: usize = 256;
