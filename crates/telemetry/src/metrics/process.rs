//! What every process is asked: processor time, memory, descriptors, when it began.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::metrics::{Definition, Registry, Scrape, Unit};

/// Shows the process itself at every scrape, under the names that Prometheus clients share.
pub fn describe_process(registry: &Registry) {
    let began = began();
    registry.collect_with(move |scrape| {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        scrape.counter(&CPU, &[], seconds(used.tv_sec, used.tv_nsec));
        scrape.gauge(&BEGAN, &[], began);
        memory(scrape);
        descriptors(scrape);
    });
}

/// The wall clock's time when the process began: now, less the time since then by the clock that never jumps.
fn began() -> f64 {
    let now = clock_gettime(ClockId::Realtime);
    let since_boot = clock_gettime(ClockId::Boottime);
    let boot = seconds(now.tv_sec, now.tv_nsec) - seconds(since_boot.tv_sec, since_boot.tv_nsec);
    boot + began_after_boot().unwrap_or(seconds(since_boot.tv_sec, since_boot.tv_nsec))
}

/// The 22nd field of `/proc/self/stat`, counted behind the name, which may hold anything.
fn began_after_boot() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(float(ticks) / float(rustix::param::clock_ticks_per_second()))
}

fn memory(scrape: &mut Scrape) {
    let Ok(statm) = fs::read_to_string("/proc/self/statm") else { return };
    let page = float(rustix::param::page_size() as u64);
    let mut pages = statm.split_ascii_whitespace().filter_map(|field| field.parse().ok()).map(float);
    if let (Some(whole), Some(resident)) = (pages.next(), pages.next()) {
        scrape.gauge(&VIRTUAL, &[], whole * page);
        scrape.gauge(&RESIDENT, &[], resident * page);
    }
}

fn descriptors(scrape: &mut Scrape) {
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory that is being read is one of them.
        scrape.gauge(&OPEN, &[], float(open.count().saturating_sub(1) as u64));
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        scrape.gauge(&LIMIT, &[], float(limit));
    }
}

fn seconds(whole: i64, nanoseconds: i64) -> f64 {
    float(whole.unsigned_abs()) + float(nanoseconds.unsigned_abs()) / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
fn float(value: u64) -> f64 {
    value as f64
}

const fn about_process(name: &'static str, help: &'static str, unit: Unit) -> Definition {
    Definition { name, help, labels: &[], unit, bounds: &[] }
}

static CPU: Definition =
    about_process("process_cpu_seconds", "Total user and system CPU time spent in seconds.", Unit::Seconds);
static BEGAN: Definition = about_process(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    Unit::Seconds,
);
static RESIDENT: Definition =
    about_process("process_resident_memory_bytes", "Resident memory size in bytes.", Unit::Bytes);
static VIRTUAL: Definition =
    about_process("process_virtual_memory_bytes", "Virtual memory size in bytes.", Unit::Bytes);
static OPEN: Definition = about_process("process_open_fds", "Number of open file descriptors.", Unit::Count);
static LIMIT: Definition = about_process("process_max_fds", "Maximum number of open file descriptors.", Unit::Count);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_says_what_it_uses() {
        let registry = Registry::new(10);
        describe_process(&registry);

        let body = registry.render(None).body;

        for name in [
            "process_cpu_seconds_total ",
            "process_start_time_seconds ",
            "process_resident_memory_bytes ",
            "process_virtual_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
        ] {
            let line = body.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in\n{body}"));
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(value >= 0.0, "{line}");
        }
    }
}
