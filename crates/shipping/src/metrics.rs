//! What operators can measure of sinks.

use telemetry::metrics::{Definition, Registry, Unit};

use crate::shelf::Reading;

/// Shows, at every scrape, what `read` then knows of the sinks, each under its name.
pub fn show(registry: &Registry, read: impl Fn() -> Vec<(String, Reading)> + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        for (name, reading) in read() {
            for (result, count) in [
                ("written", reading.written),
                ("shipped", reading.shipped),
                ("refused", reading.refused),
                ("dropped", reading.dropped),
            ] {
                scrape.counter(&RECORDS, &[&name, result], float(count));
            }
            scrape.counter(&FAILURES, &[&name], float(reading.failures));
            scrape.gauge(&LAG, &[&name], float(reading.waiting));
            scrape.gauge(&LAG_BYTES, &[&name], float(reading.waiting_bytes));
            scrape.gauge(&LAG_AGE, &[&name], reading.age.as_secs_f64());
            scrape.gauge(&DISK, &[&name], float(reading.disk));
        }
    });
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
fn float(value: u64) -> f64 {
    value as f64
}

const fn define(name: &'static str, help: &'static str, labels: &'static [&'static str], unit: Unit) -> Definition {
    Definition { name, help, labels, unit, bounds: &[] }
}

static RECORDS: Definition = define(
    "vestibule_log_sink_records",
    "Log records: written to disk, shipped, refused by the sink, dropped because there was no room or they were too old.",
    &["sink", "result"],
    Unit::Count,
);
static FAILURES: Definition =
    define("vestibule_log_sink_failures", "Batches that a sink did not take.", &["sink"], Unit::Count);
static LAG: Definition =
    define("vestibule_log_sink_lag_records", "Log records that a sink has still to take.", &["sink"], Unit::Count);
static LAG_BYTES: Definition = define(
    "vestibule_log_sink_lag_bytes",
    "Bytes of the log records that a sink has still to take.",
    &["sink"],
    Unit::Bytes,
);
static LAG_AGE: Definition = define(
    "vestibule_log_sink_lag_seconds",
    "How old the log record is that a sink has to take next.",
    &["sink"],
    Unit::Seconds,
);
static DISK: Definition =
    define("vestibule_log_sink_disk_bytes", "What a sink's log records take on the disk.", &["sink"], Unit::Bytes);
