//! How far a sink is behind, and what operators can measure of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telemetry::metrics::{Definition, Registry, Unit};

use crate::clock::now;

/// How far a sink is behind. Zeros, where another process of the store brings events to it.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    sent: AtomicU64,
    failures: AtomicU64,
    waiting: AtomicU64,
    /// In microseconds since 1970; 0 if nothing waits.
    since: AtomicU64,
}

impl Lag {
    /// So many events were confirmed.
    pub(super) fn sent(&self, events: u64) {
        self.sent.fetch_add(events, Ordering::Relaxed);
    }

    /// A batch was not taken.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// So many records wait, the first of them since then.
    pub(super) fn waits(&self, records: u64, since: Option<u64>) {
        self.waiting.store(records, Ordering::Relaxed);
        if records == 0 || since.is_some() {
            self.since.store(since.unwrap_or(0), Ordering::Relaxed);
        }
    }

    fn age(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_micros(now().0.saturating_sub(since)),
        }
    }
}

/// Shows, at every scrape, how far each of these sinks is behind.
pub(crate) fn show(registry: &Registry, sinks: Vec<(String, Arc<Lag>)>) {
    registry.collect_with(move |scrape| {
        for (name, lag) in &sinks {
            let of = |count: &AtomicU64| float(count.load(Ordering::Relaxed));
            scrape.counter(&EVENTS, &[name], of(&lag.sent));
            scrape.counter(&FAILURES, &[name], of(&lag.failures));
            scrape.gauge(&LAG, &[name], of(&lag.waiting));
            scrape.gauge(&LAG_AGE, &[name], lag.age().as_secs_f64());
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

static EVENTS: Definition =
    define("vestibule_event_sink_events", "Usage events that a sink has confirmed.", Unit::Count);
static FAILURES: Definition =
    define("vestibule_event_sink_failures", "Batches of usage events that a sink did not take.", Unit::Count);
static LAG: Definition = define(
    "vestibule_event_sink_lag_records",
    "Usage records that a sink has still to confirm; counted every ten seconds while it is behind.",
    Unit::Count,
);
static LAG_AGE: Definition = define(
    "vestibule_event_sink_lag_seconds",
    "How old the usage record is that a sink has to confirm next.",
    Unit::Seconds,
);
