//! Watching a room: what is counted goes to everybody who watches, once for all of them.

use std::sync::Arc;

use broadcast::Broadcast;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::Instant;
use waiting_room::{Counters, RequestId, Room, Seconds};

use crate::{KeptRoom, Trouble};

/// Those who watch a room.
#[derive(Default)]
pub(crate) struct Watchers {
    broadcast: Broadcast,
    told: Mutex<Told>,
}

/// What they were told last.
#[derive(Default)]
struct Told {
    message: Bytes,
    /// Ticks since something changed.
    still: u32,
}

impl Watchers {
    /// Tells everybody what is counted now, if it changed or they have heard nothing for a while. To be called each second.
    pub(crate) fn tick(&self, counted: (Counters, u32), waits: &str) {
        if self.broadcast.listeners() == 0 {
            return;
        }
        let message = message(counted, waits);
        {
            let mut told = self.told.lock();
            if told.message == message && told.still < STILL {
                told.still += 1;
                return;
            }
            *told = Told { message: message.clone(), still: 0 };
        }
        self.broadcast.say(message);
    }

    /// Ends all of it: they come again, to whoever has the room then.
    pub(crate) fn dismiss(&self) {
        *self.told.lock() = Told::default();
        self.broadcast.dismiss();
    }

    /// What is counted now, and each change, as events of a stream (WHATWG HTML, section 9.2).
    pub(crate) fn watch(&self, counted: (Counters, u32), waits: &str) -> impl Stream<Item = Bytes> + Send + use<> {
        let rest = self.broadcast.listen();
        // Those who are cut off at once do not come again at once.
        let retry = 2000 + (self.broadcast.listeners() + 999) % 4000;
        let first = [format!("retry: {retry}\n").as_bytes(), &*message(counted, waits)].concat();
        stream::iter([Bytes::from(first)]).chain(rest)
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

    #[tokio::test]
    async fn who_watches_hears_the_state_each_change_once_and_now_and_then_the_same() {
        let watchers = Watchers::default();
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
}
