//! Watching a room: what is counted goes to everybody who watches, once for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use waiting_room::{Counters, RequestId, Room, Seconds};

use crate::{KeptRoom, Trouble};

/// Those who watch a room.
pub(crate) struct Watchers {
    shared: Arc<Shared>,
}

/// What those who watch a room have in common.
///
/// They are woken in the order in which they came, one list for all: what belongs to those who came together lies close
/// together in memory, and with very many of them fetching it is most of what a tick costs. The channel `watch` of tokio deals
/// them out to several lists by chance.
#[derive(Default)]
struct Shared {
    told: Mutex<Told>,
    changed: Notify,
    count: AtomicUsize,
}

/// What they were told last.
#[derive(Default)]
struct Told {
    message: Bytes,
    /// Messages so far.
    number: u64,
    /// Who watches since a message before this one is told to come again.
    dismissed: u64,
    /// Ticks since something changed.
    still: u32,
}

/// One who watches.
struct Watcher {
    shared: Arc<Shared>,
    /// The number of the message that was heard last.
    heard: u64,
}

impl Watchers {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default() }
    }

    /// Tells everybody what is counted now, if it changed or they have heard nothing for a while. To be called each second.
    pub(crate) fn tick(&self, counted: (Counters, u32), waits: &str) {
        if self.shared.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let message = message(counted, waits);
        {
            let mut told = self.shared.told.lock();
            if told.message == message && told.still < STILL {
                told.still += 1;
                return;
            }
            (told.message, told.still) = (message, 0);
            told.number += 1;
        }
        self.shared.changed.notify_waiters();
    }

    /// Ends all of it: they come again, to whoever has the room then.
    pub(crate) fn dismiss(&self) {
        {
            let mut told = self.shared.told.lock();
            let number = told.number + 1;
            *told = Told { number, dismissed: number, ..Told::default() };
        }
        self.shared.changed.notify_waiters();
    }

    /// What is counted now, and each change, as events of a stream (WHATWG HTML, section 9.2).
    pub(crate) fn watch(&self, counted: (Counters, u32), waits: &str) -> impl Stream<Item = Bytes> + Send + use<> {
        let count = self.shared.count.fetch_add(1, Ordering::Relaxed) + 1;
        let watcher = Watcher { shared: self.shared.clone(), heard: self.shared.told.lock().number };
        // Those who are cut off at once do not come again at once.
        let retry = 2000 + (count + 999) % 4000;
        let first = [format!("retry: {retry}\n").as_bytes(), &*message(counted, waits)].concat();
        let rest = stream::unfold(watcher, |mut watcher| async move { Some((watcher.next().await?, watcher)) });
        stream::iter([Bytes::from(first)]).chain(rest)
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl Watcher {
    /// What is told next; nothing when it ends.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // What is told from now on wakes it, also before it waits.
            let changed = self.shared.changed.notified();
            {
                let told = self.shared.told.lock();
                if self.heard < told.dismissed {
                    return None;
                }
                if self.heard < told.number {
                    self.heard = told.number;
                    return Some(told.message.clone());
                }
            }
            changed.await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl KeptRoom {
    /// What is counted, as it changes. Whoever says who they are is there for as long as they take what they are told.
    pub fn watched(
        self: &Arc<Self>,
        id: Option<RequestId>,
        now: Seconds,
    ) -> Result<impl Stream<Item = Bytes> + Send + use<>, Trouble> {
        let told = self.watchers().watch(self.look_now(now, counted)?, &self.waits_told());
        let position = self.look(|room| Some(room.find(id?)?.0))?;
        let (room, began) = (self.clone(), Instant::now());
        Ok(told.inspect(move |_| {
            if let Some(position) = position {
                let passed = u32::try_from(began.elapsed().as_secs()).unwrap_or(u32::MAX);
                room.seen(position, now.saturating_add(passed));
            }
        }))
    }
}

/// What is counted in a room, and which line it is.
pub(crate) fn counted(room: &Room) -> (Counters, u32) {
    (room.counters(), room.line().fingerprint())
}

/// `waits` are forecasts for 1, 2, 4, ... places: arrays with the least and the most seconds.
fn message((counters, line): (Counters, u32), waits: &str) -> Bytes {
    let (queue, serving, waiting, state) =
        (counters.queue, counters.served(), counters.waiting(), counters.state.name());
    let last = counters.last;
    let waits = if waits.is_empty() { String::new() } else { format!(",\"waits\":[{waits}]") };
    format!(
        "data: {{\"serving_counter\":{serving},\"queue_counter\":{queue},\"waiting_num\":{waiting},\"last_number\":{last},\"line\":{line},\"state\":\"{state}\"{waits}}}\n\n"
    )
    .into()
}

/// After so many ticks without a change everybody hears the same again, so that nobody takes the silence for the end.
const STILL: u32 = 14;

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn counters(serving: i64) -> (Counters, u32) {
        (Counters { queue: 9, last: 12, serving, ..Counters::default() }, 7)
    }

    #[test]
    fn who_watches_hears_the_state_each_change_once_and_now_and_then_the_same() {
        let watchers = Watchers::new();
        let mut heard = Box::pin(watchers.watch(counters(1), ""));
        let state = |serving: i64| {
            let counted = format!(
                "\"serving_counter\":{serving},\"queue_counter\":9,\"waiting_num\":9,\"last_number\":12,\"line\":7"
            );
            format!("data: {{{counted},\"state\":\"open\"}}\n\n")
        };
        assert_eq!(heard.next().now_or_never().unwrap().unwrap(), format!("retry: 3000\n{}", state(1)));

        watchers.tick(counters(1), "");
        watchers.tick(counters(2), "");
        watchers.tick(counters(3), "");
        assert_eq!(heard.next().now_or_never().unwrap().unwrap(), state(3), "only how it is matters");
        for _ in 0..STILL {
            watchers.tick(counters(3), "");
        }
        assert!(heard.next().now_or_never().is_none());
        watchers.tick(counters(3), "");
        assert_eq!(heard.next().now_or_never().unwrap().unwrap(), state(3));
        watchers.tick(counters(3), "[1,0,9]");
        assert!(heard.next().now_or_never().unwrap().unwrap().ends_with(b",\"waits\":[[1,0,9]]}\n\n"));
        let other = Box::pin(watchers.watch(counters(1), "")).next().now_or_never().unwrap().unwrap();
        assert!(other.starts_with(b"retry: 3001\n"), "{other:?}");
        watchers.dismiss();
        watchers.tick(counters(3), "");
        assert_eq!(heard.next().now_or_never(), Some(None), "what is told afterwards is not for them");
    }

    #[test]
    fn who_watches_is_counted_until_they_leave_and_ends_with_the_room() {
        let watchers = Watchers::new();
        let others = watchers.watch(counters(1), "");
        let mut heard = Box::pin(watchers.watch(counters(1), ""));
        assert!(heard.next().now_or_never().is_some());
        drop(others);
        assert_eq!(watchers.shared.count.load(Ordering::Relaxed), 1);
        drop(watchers);
        assert_eq!(heard.next().now_or_never(), Some(None));
    }
}
