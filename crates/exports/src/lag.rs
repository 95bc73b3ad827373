//! How far a sink is behind, and what operators can measure of that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telemetry::metrics::{Definition, Registry, Unit};

use crate::{Export, now};

/// How far a sink is behind. Zeros, where another process of the store brings events to it.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    sent: AtomicU64,
    failures: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    /// In microseconds since 1970; 0 if nothing waits.
    since: AtomicU64,
}

impl Lag {
    /// So many events were confirmed.
    pub(crate) fn sent(&self, events: u64) {
        self.sent.fetch_add(events, Ordering::Relaxed);
    }

    /// A batch was not taken.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// It will never get a segment.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// So many records wait, the first of them since then.
    pub(crate) fn waits(&self, records: u64, since: Option<u64>) {
        self.waiting.store(records, Ordering::Relaxed);
        if records == 0 || since.is_some() {
            self.since.store(since.unwrap_or(0), Ordering::Relaxed);
        }
    }

    pub(crate) fn age(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_micros(now().0.saturating_sub(since)),
        }
    }
}

/// What the figures about sinks of one kind are called.
#[derive(Debug)]
pub struct Names {
    events: Definition,
    failures: Definition,
    waiting: Definition,
    age: Definition,
    lost: Definition,
}

/// Shows, at every scrape, how far each of these exports is behind.
pub fn show<'a>(registry: &Registry, names: &'static Names, exports: impl IntoIterator<Item = &'a Export>) {
    let sinks: Vec<_> = exports.into_iter().map(|export| (export.name().to_owned(), export.lag())).collect();
    registry.collect_with(move |scrape| {
        for (name, lag) in &sinks {
            let of = |count: &AtomicU64| float(count.load(Ordering::Relaxed));
            scrape.counter(&names.events, &[name], of(&lag.sent));
            scrape.counter(&names.failures, &[name], of(&lag.failures));
            scrape.counter(&names.lost, &[name], of(&lag.lost));
            scrape.gauge(&names.waiting, &[name], of(&lag.waiting));
            scrape.gauge(&names.age, &[name], lag.age().as_secs_f64());
        }
    });
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
fn float(value: u64) -> f64 {
    value as f64
}

const fn define(name: &'static str, help: &'static str, unit: Unit) -> Definition {
    Definition { name, help, labels: &["sink"], unit, bounds: &[] }
}

/// Of usage events.
pub static OF_USAGE: Names = Names {
    events: define("vestibule_event_sink_events", "Usage events that a sink has confirmed.", Unit::Count),
    failures: define("vestibule_event_sink_failures", "Batches of usage events that a sink did not take.", Unit::Count),
    waiting: define(
        "vestibule_event_sink_lag_records",
        "Usage records that a sink has still to confirm; counted every ten seconds while it is behind.",
        Unit::Count,
    ),
    age: define(
        "vestibule_event_sink_lag_seconds",
        "How old the usage record is that a sink has to confirm next.",
        Unit::Seconds,
    ),
    lost: define(
        "vestibule_event_sink_lost_segments",
        "Parts of the usage journal that a sink never got.",
        Unit::Count,
    ),
};

/// Of what happens in waiting rooms.
pub static OF_ROOMS: Names = Names {
    events: define(
        "vestibule_room_event_sink_events",
        "Events of waiting rooms that a sink has confirmed.",
        Unit::Count,
    ),
    failures: define(
        "vestibule_room_event_sink_failures",
        "Batches of events of waiting rooms that a sink did not take.",
        Unit::Count,
    ),
    waiting: define(
        "vestibule_room_event_sink_lag_records",
        "Events of waiting rooms that a sink has still to confirm; counted every ten seconds while it is behind.",
        Unit::Count,
    ),
    age: define(
        "vestibule_room_event_sink_lag_seconds",
        "How old the event of a waiting room is that a sink has to confirm next.",
        Unit::Seconds,
    ),
    lost: define(
        "vestibule_room_event_sink_lost_segments",
        "Parts of the log of waiting rooms, of 4 MiB each, that a sink never got because it was away for too long.",
        Unit::Count,
    ),
};
