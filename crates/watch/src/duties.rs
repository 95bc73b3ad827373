//! Metrics of what a gateway does beside serving: alerts and jobs.

use telemetry::metrics::{Definition, Registry, Unit};

/// What is known of alerts now.
#[derive(Clone, Debug, Default)]
pub struct AlertsReading {
    /// Things that this node sees to be wrong.
    pub wrong: u64,
    /// Notices that each receiver took, and those that it did not.
    pub notices: Vec<(String, [u64; 2])>,
}

/// Shows, at every scrape, what `read` then knows of alerts.
pub fn show_alerts(registry: &Registry, read: impl Fn() -> AlertsReading + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        let AlertsReading { wrong, notices } = read();
        scrape.gauge(&WRONG, &[], float(wrong));
        for (receiver, [taken, failed]) in notices {
            scrape.counter(&NOTICES, &[&receiver, "taken"], float(taken));
            scrape.counter(&NOTICES, &[&receiver, "failed"], float(failed));
        }
    });
}

/// Shows, at every scrape, what `read` then knows of runs of jobs: the job, what became of the run, and how many.
pub fn show_jobs(registry: &Registry, read: impl Fn() -> Vec<(String, &'static str, u64)> + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        for (job, state, count) in read() {
            scrape.counter(&RUNS, &[&job, state], float(count));
        }
    });
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
fn float(value: u64) -> f64 {
    value as f64
}

const fn define(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Definition {
    Definition { name, help, labels, unit: Unit::Count, bounds: &[] }
}

static WRONG: Definition = define("vestibule_alerts", "Things that this node sees to be wrong.", &[]);
static NOTICES: Definition = define(
    "vestibule_alert_notices",
    "Notices of alerts that this node told, and those that a receiver did not take.",
    &["receiver", "result"],
);
static RUNS: Definition =
    define("vestibule_job_runs", "Runs of jobs by this node, and those that it found missing.", &["job", "state"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_and_runs_are_counted_by_who_and_what() {
        let registry = Registry::new(100);
        show_alerts(&registry, || AlertsReading { wrong: 2, notices: vec![("ops".to_owned(), [3, 1])] });
        show_jobs(&registry, || vec![("nightly".to_owned(), "done", 4)]);
        let body = registry.render(None).body;
        for line in [
            "vestibule_alerts 2",
            "vestibule_alert_notices_total{receiver=\"ops\",result=\"failed\"} 1",
            "vestibule_job_runs_total{job=\"nightly\",state=\"done\"} 4",
        ] {
            assert!(body.contains(line), "{line}: {body}");
        }
    }
}
