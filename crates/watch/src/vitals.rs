//! Metrics of the gateway itself, which no single exchange can tell.

use std::sync::Arc;
use std::time::Duration;

use telemetry::export::SpanQueue;
use telemetry::metrics::{Counter, Definition, Family, Gauge, Registry, Unit};

/// Metrics that the gateway's parts count themselves.
pub struct Vitals {
    /// Open client connections, by listener; added to.
    pub connections: Family<Gauge>,
    /// Requests and connections that were refused before any policy saw them, by reason.
    pub refused: Family<Counter>,
    /// Which configuration serves; set.
    pub generation: Gauge,
    /// Configurations that were not taken, because they had findings.
    pub reload_failures: Counter,
    /// Panics that ended one exchange.
    pub panics: Counter,
    /// Panics of what goes on beside exchanges, by task.
    pub task_panics: Family<Counter>,
}

impl Vitals {
    /// The vital metrics of this registry; all show from the beginning, as zeros.
    pub fn new(registry: &Registry) -> Self {
        Self {
            connections: registry.family(&CONNECTIONS),
            refused: registry.family(&REFUSED),
            generation: registry.family::<Gauge>(&GENERATION).with(&[]),
            reload_failures: registry.family::<Counter>(&RELOAD_FAILURES).with(&[]),
            panics: registry.family::<Counter>(&PANICS).with(&[]),
            task_panics: registry.family(&TASK_PANICS),
        }
    }
}

/// What is known of an upstream now.
#[derive(Clone, Debug)]
pub struct UpstreamReading {
    /// Its name in the configuration.
    pub upstream: String,
    /// Connections that carry a request.
    pub busy: u64,
    /// Connections that wait for one.
    pub idle: u64,
    /// Requests that wait for a connection.
    pub pending: u64,
    /// The state of its circuit.
    pub breaker: Breaker,
    /// Targets that are asked.
    pub healthy: u64,
    /// Targets that are not asked, because they failed.
    pub ejected: u64,
}

/// The state of an upstream's circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Requests pass.
    Closed,
    /// A few requests pass, to find out.
    HalfOpen,
    /// No request passes.
    Open,
}

/// Shows, at every scrape, what `read` then knows of the upstreams.
pub fn show_upstreams(registry: &Registry, read: impl Fn() -> Vec<UpstreamReading> + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        for reading in read() {
            let name = reading.upstream.as_str();
            scrape.gauge(&UPSTREAM_CONNECTIONS, &[name, "busy"], float(reading.busy));
            scrape.gauge(&UPSTREAM_CONNECTIONS, &[name, "idle"], float(reading.idle));
            scrape.gauge(&UPSTREAM_PENDING, &[name], float(reading.pending));
            scrape.gauge(&UPSTREAM_TARGETS, &[name, "healthy"], float(reading.healthy));
            scrape.gauge(&UPSTREAM_TARGETS, &[name, "ejected"], float(reading.ejected));
            for (state, named) in
                [(Breaker::Closed, "closed"), (Breaker::HalfOpen, "half-open"), (Breaker::Open, "open")]
            {
                scrape.gauge(&UPSTREAM_BREAKER, &[name, named], float(u64::from(reading.breaker == state)));
            }
        }
    });
}

/// What is known of a source of partners' records now.
#[derive(Clone, Debug)]
pub struct SourceReading {
    /// Where it is configured.
    pub source: String,
    /// Records that are remembered.
    pub records: u64,
    /// The age of the oldest record that can still be served.
    pub oldest: Duration,
    /// Whether it answered when it was asked last.
    pub is_well: bool,
    /// Answers that it gave.
    pub answered: u64,
    /// Times that it gave none.
    pub failed: u64,
    /// Records served as good as new, those served stale, and times that there was none to serve.
    pub served: [u64; 3],
}

/// Shows, at every scrape, what `read` then knows of the sources of partners' records.
pub fn show_sources(registry: &Registry, read: impl Fn() -> Vec<SourceReading> + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        for reading in read() {
            let name = reading.source.as_str();
            scrape.gauge(&RECORDS, &[name], float(reading.records));
            scrape.gauge(&RECORD_AGE, &[name], reading.oldest.as_secs_f64());
            scrape.gauge(&RECORD_SOURCE_UP, &[name], float(u64::from(reading.is_well)));
            scrape.counter(&RECORD_FETCHES, &[name, "answered"], float(reading.answered));
            scrape.counter(&RECORD_FETCHES, &[name, "failed"], float(reading.failed));
            for (how, count) in ["fresh", "stale", "unavailable"].into_iter().zip(reading.served) {
                scrape.counter(&RECORDS_SERVED, &[name, how], float(count));
            }
        }
    });
}

/// How the place does where several nodes count together.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountsReading {
    /// Whether it is there.
    pub is_there: bool,
    /// Questions since the start.
    pub asked: u64,
    /// Those that got no answer.
    pub unanswered: u64,
    /// Counters to which something is to be added that was granted without it.
    pub owed: u64,
}

/// Shows, at every scrape, what `read` then knows of the place where several nodes count together.
pub fn show_counts(registry: &Registry, read: impl Fn() -> CountsReading + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        let reading = read();
        scrape.gauge(&COUNTS_UP, &[], float(u64::from(reading.is_there)));
        scrape.counter(&COUNTS_ASKED, &["answered"], float(reading.asked.saturating_sub(reading.unanswered)));
        scrape.counter(&COUNTS_ASKED, &["failed"], float(reading.unanswered));
        scrape.gauge(&COUNTS_OWED, &[], float(reading.owed));
    });
}

/// What is known of the journal now.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalReading {
    /// Records that were written since the start.
    pub records: u64,
    /// Records that could not be written since the start.
    pub failures: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Bytes that its slowest reader has still to read.
    pub unread: u64,
}

/// Shows, at every scrape, what `read` then knows of the journal.
pub fn show_journal(registry: &Registry, read: impl Fn() -> JournalReading + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        let reading = read();
        scrape.counter(&JOURNAL_RECORDS, &[], float(reading.records));
        scrape.counter(&JOURNAL_FAILURES, &[], float(reading.failures));
        scrape.gauge(&JOURNAL_SIZE, &[], float(reading.bytes));
        scrape.gauge(&JOURNAL_SEGMENTS, &[], float(reading.segments));
        scrape.gauge(&JOURNAL_UNREAD, &[], float(reading.unread));
    });
}

/// What became of the lines of one log.
#[derive(Clone, Copy, Debug)]
pub struct LinesReading {
    /// Which log, such as `access`.
    pub log: &'static str,
    /// Lines that went out.
    pub written: u64,
    /// Lines that found no room or could not be written.
    pub dropped: u64,
}

/// Shows, at every scrape, what `read` then knows of the logs.
pub fn show_lines(registry: &Registry, read: impl Fn() -> Vec<LinesReading> + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        for LinesReading { log, written, dropped } in read() {
            scrape.counter(&LINES, &[log, "written"], float(written));
            scrape.counter(&LINES, &[log, "dropped"], float(dropped));
        }
    });
}

/// Shows, at every scrape, what became of the spans in `queue`.
pub fn show_spans(registry: &Registry, queue: Arc<SpanQueue>) {
    registry.collect_with(move |scrape| {
        scrape.counter(&SPANS, &["sent"], float(queue.sent()));
        scrape.counter(&SPANS, &["dropped"], float(queue.dropped()));
    });
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
fn float(value: u64) -> f64 {
    value as f64
}

const fn define(name: &'static str, help: &'static str, labels: &'static [&'static str], unit: Unit) -> Definition {
    Definition { name, help, labels, unit, bounds: &[] }
}

static CONNECTIONS: Definition =
    define("vestibule_connections", "Open client connections.", &["listener"], Unit::Count);
static REFUSED: Definition = define(
    "vestibule_refused",
    "Requests and connections that were refused before any policy saw them.",
    &["reason"],
    Unit::Count,
);
static GENERATION: Definition = define("vestibule_config_generation", "Which configuration serves.", &[], Unit::Count);
static RELOAD_FAILURES: Definition = define(
    "vestibule_config_reload_failures",
    "Configurations that were not taken, because they had findings.",
    &[],
    Unit::Count,
);
static PANICS: Definition = define("vestibule_panics", "Panics that ended one exchange.", &[], Unit::Count);
static TASK_PANICS: Definition = define(
    "vestibule_task_panics",
    "Panics of what a node does beside exchanges; what panicked begins again.",
    &["task"],
    Unit::Count,
);
static UPSTREAM_CONNECTIONS: Definition =
    define("vestibule_upstream_connections", "Connections to an upstream.", &["upstream", "state"], Unit::Count);
static UPSTREAM_PENDING: Definition = define(
    "vestibule_upstream_pending_requests",
    "Requests that wait for a connection to an upstream.",
    &["upstream"],
    Unit::Count,
);
static UPSTREAM_TARGETS: Definition =
    define("vestibule_upstream_targets", "Targets of an upstream.", &["upstream", "state"], Unit::Count);
static UPSTREAM_BREAKER: Definition = define(
    "vestibule_upstream_breaker_state",
    "The state of an upstream's circuit: 1 for the one it is in.",
    &["upstream", "state"],
    Unit::Count,
);
static RECORDS: Definition =
    define("vestibule_records", "Partners' records that are remembered.", &["source"], Unit::Count);
static RECORD_AGE: Definition = define(
    "vestibule_record_age_seconds",
    "The age of the oldest partner's record that can still be served.",
    &["source"],
    Unit::Seconds,
);
static RECORD_SOURCE_UP: Definition = define(
    "vestibule_record_source_up",
    "Whether the source of partners' records answered when it was asked last.",
    &["source"],
    Unit::Count,
);
static RECORD_FETCHES: Definition = define(
    "vestibule_record_fetches",
    "Times that the source of partners' records was asked.",
    &["source", "result"],
    Unit::Count,
);
static RECORDS_SERVED: Definition = define(
    "vestibule_records_served",
    "Requests by the partner's record that they were given.",
    &["source", "record"],
    Unit::Count,
);
static COUNTS_UP: Definition = define(
    "vestibule_shared_counts_up",
    "Whether Redis answers, where several nodes count limits together.",
    &[],
    Unit::Count,
);
static COUNTS_ASKED: Definition = define(
    "vestibule_shared_counts_asked",
    "Questions to Redis about limits, and what became of them.",
    &["result"],
    Unit::Count,
);
static COUNTS_OWED: Definition = define(
    "vestibule_shared_counts_owed",
    "Counters to which something is to be added that was granted while Redis was away.",
    &[],
    Unit::Count,
);
static JOURNAL_RECORDS: Definition =
    define("vestibule_journal_records", "Records that were written to the journal.", &[], Unit::Count);
static JOURNAL_FAILURES: Definition =
    define("vestibule_journal_failures", "Records that could not be written to the journal.", &[], Unit::Count);
static JOURNAL_SIZE: Definition =
    define("vestibule_journal_size_bytes", "Bytes of the journal on disk.", &[], Unit::Bytes);
static JOURNAL_SEGMENTS: Definition =
    define("vestibule_journal_segments", "Segments of the journal on disk.", &[], Unit::Count);
static JOURNAL_UNREAD: Definition = define(
    "vestibule_journal_unread_bytes",
    "Bytes that the journal's slowest reader has still to read.",
    &[],
    Unit::Bytes,
);
static LINES: Definition = define("vestibule_log_lines", "Lines of logs.", &["log", "result"], Unit::Count);
static SPANS: Definition = define("vestibule_spans", "Spans of recorded traces.", &["result"], Unit::Count);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vital_metric_has_a_name_of_its_own() {
        let registry = Registry::new(100);
        let vitals = Vitals::new(&registry);
        vitals.connections.with(&["public"]).add(2);
        vitals.refused.with(&["head-too-large"]).add(1);
        vitals.generation.set(7);
        show_journal(&registry, || JournalReading { records: 5, ..JournalReading::default() });
        show_counts(&registry, || CountsReading { is_there: true, asked: 3, unanswered: 1, owed: 2 });
        show_lines(&registry, || vec![LinesReading { log: "access", written: 9, dropped: 1 }]);
        show_spans(&registry, SpanQueue::new(1));
        let reading = UpstreamReading {
            upstream: "orders".to_owned(),
            busy: 1,
            idle: 2,
            pending: 0,
            breaker: Breaker::HalfOpen,
            healthy: 2,
            ejected: 1,
        };
        show_upstreams(&registry, move || vec![reading.clone()]);

        let body = registry.render(None).body;

        for line in [
            r#"vestibule_connections{listener="public"} 2"#,
            r#"vestibule_refused_total{reason="head-too-large"} 1"#,
            "vestibule_config_generation 7",
            "vestibule_shared_counts_up 1",
            r#"vestibule_shared_counts_asked_total{result="failed"} 1"#,
            "vestibule_shared_counts_owed 2",
            "vestibule_config_reload_failures_total 0",
            "vestibule_panics_total 0",
            r#"vestibule_upstream_connections{upstream="orders",state="idle"} 2"#,
            r#"vestibule_upstream_targets{upstream="orders",state="ejected"} 1"#,
            r#"vestibule_upstream_breaker_state{upstream="orders",state="closed"} 0"#,
            r#"vestibule_upstream_breaker_state{upstream="orders",state="half-open"} 1"#,
            "vestibule_journal_records_total 5",
            r#"vestibule_log_lines_total{log="access",result="dropped"} 1"#,
            r#"vestibule_spans_total{result="sent"} 0"#,
        ] {
            assert!(body.lines().any(|found| found == line), "{line} in\n{body}");
        }
    }
}
