//! Three times what can be had, for a minute: of a backend that can do so much and no more, and of the gateway's own core.

use super::report::Section;
use super::scene::{Arrival, Clients, Gateway, build, clock, folder, milliseconds, program, quantile, statuses};
use anyhow::Result;
use programs::process::{LOAD_CORE, Server, free_ports, pinned};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

/// How long peak and calm are looked at.
const LOOK: u32 = 10;
/// How long it is too much.
const FLOOD: u32 = 60;

/// What runs out.
struct Case {
    name: &'static str,
    /// Slots, milliseconds and bytes of the backend.
    backend: [&'static str; 3],
    /// The upstream's settings and the API's policies.
    settings: &'static str,
    policies: &'static str,
    /// How many clients it takes to have all that can be had.
    clients: &'static str,
    header: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "the backend",
        backend: ["20", "20", "1024"],
        settings: "breaker: {connections: 20, pending: 40}",
        policies: "",
        clients: "40",
        header: "Accept: */*",
    },
    Case {
        name: "the gateway's core",
        backend: ["1000", "0", "500000"],
        settings: "",
        policies: "policies: [concurrency: {requests: 8}, compress: {}]",
        clients: "8",
        header: "Accept-Encoding: gzip",
    },
];

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut section = Section::new(
        "Three times the capacity",
        "Release build, one worker on one core; backend and clients on another. Peak: clients that ask again and again, for \
         10 s. Then three times as many requests a second for 60 s, whatever becomes of those before, and half the peak for \
         10 s. The backend: 20 slots of 20 ms, before it `breaker: {connections: 20, pending: 40}`. The gateway's core: \
         500 KB an answer, compressed, with `concurrency: {requests: 8}`.",
    );
    for case in CASES {
        flood(case, &mut section)?;
    }
    Ok(section)
}

fn flood(case: &Case, section: &mut Section) -> Result<()> {
    let name = case.name;
    eprintln!("{name}");
    let [port] = free_ports()?;
    let mut command = pinned(LOAD_CORE, &program("bench-slots")?);
    command.arg(format!("127.0.0.1:{port}")).args(case.backend);
    let mut backend = Server::start(command, &folder("slots")?.join("log"))?;
    backend.wait_until_open(port)?;
    let comma = if case.settings.is_empty() { "" } else { ", " };
    let gateway = Gateway::start(
        "overload",
        &format!(
            "upstreams: {{backend: {{targets: [\"http://127.0.0.1:{port}\"]{comma}{}}}}}\n\
             apis:\n  all: {{match: {{path: /}}, upstream: backend, {}}}\n",
            case.settings, case.policies
        ),
    )?;
    let clients = |words: &[&str]| {
        let words = [words, &["--header", case.header]].concat();
        Clients::start(&gateway.folder, gateway.port, "/", &words)
    };
    let look = LOOK.to_string();
    let peak = clients(&["--connections", case.clients, "--seconds", &look])?.finish()?;
    let peak = good(&peak) / f64::from(LOOK);

    let (rate, seconds) = ((peak * 3.0).to_string(), FLOOD.to_string());
    let done = AtomicBool::new(false);
    let (flooded, operators) = scope(|threads| {
        let asks = threads.spawn(|| ask_again_and_again(&gateway, &done));
        let flooded = clients(&["--rate", &rate, "--seconds", &seconds]).and_then(Clients::finish);
        done.store(true, Ordering::Relaxed);
        (flooded, asks.join())
    });
    let flooded = flooded?;
    let half = (peak / 2.0).to_string();
    let ended = flooded.last().map_or_else(clock, |last| last.due);
    let calm = clients(&["--rate", &half, "--seconds", &look])?.finish()?;

    tell(name, peak, &flooded, section);
    let operators = operators.map_err(|_panic| anyhow::anyhow!("the operator's thread panicked"))?;
    tell_operators(name, &operators, section);
    let recovered = recovered(&calm).map_or(Duration::ZERO, |since| since.saturating_sub(ended));
    let measured = format!("{}; {}", milliseconds(recovered), statuses(calm.iter()));
    let is_kept = recovered <= Duration::from_secs(2);
    section.row(format!("{name}: refusals below 1 % after the flood"), "2 s", measured, is_kept);
    Ok(())
}

/// Since when no more than a hundredth of all that came later was refused; none if it was so from the beginning.
fn recovered(calm: &[Arrival]) -> Option<Duration> {
    let mut bad = 0;
    let later = calm.iter().rev().enumerate().filter_map(|(after, arrival)| {
        bad += usize::from(arrival.status != 200);
        (after >= 100 && bad * 100 > after).then_some(arrival.due)
    });
    later.max()
}

fn good(arrivals: &[Arrival]) -> f64 {
    arrivals.iter().filter(|arrival| arrival.status == 200).map(|_| 1.0).sum()
}

fn tell(name: &str, peak: f64, flooded: &[Arrival], section: &mut Section) {
    let goodput = good(flooded) / f64::from(FLOOD);
    let share = goodput / peak * 100.0;
    let measured = format!("{share:.0} % ({goodput:.0} of {peak:.0} a second); {}", statuses(flooded.iter()));
    section.row(format!("{name}: goodput"), "80 % of the peak", measured, share >= 80.0);

    let refused: Vec<&Arrival> = flooded.iter().filter(|arrival| arrival.status != 200).collect();
    let fit = refused.iter().filter(|arrival| arrival.status == 503 && arrival.has_retry_after).count();
    let measured = format!("{fit} of {}", refused.len());
    section.row(format!("{name}: refused by 503 with `Retry-After`"), "all", measured, fit == refused.len());

    let times: Vec<Duration> = refused.iter().map(|arrival| arrival.took).collect();
    let [p50, p99, most] = [50, 99, 100].map(|percent| quantile(times.clone(), percent));
    let measured = [p50, p99, most].map(milliseconds).join(" / ");
    let is_kept = p99 <= Duration::from_millis(10);
    section.row(format!("{name}: time of a refusal, p50 / p99 / most"), "p99 10 ms", measured, is_kept);
}

fn tell_operators(name: &str, asked: &[(bool, Duration)], section: &mut Section) {
    let failed = asked.iter().filter(|(is_good, _)| !is_good).count();
    let times: Vec<Duration> = asked.iter().map(|(_, took)| *took).collect();
    let [p50, p99, most] = [50, 99, 100].map(|percent| quantile(times.clone(), percent));
    let measured =
        format!("{} of {} asked; {failed} failed", [p50, p99, most].map(milliseconds).join(" / "), asked.len());
    let is_kept = failed == 0 && p99 <= Duration::from_millis(100);
    section.row(format!("{name}: health and admin, p50 / p99 / most"), "p99 100 ms", measured, is_kept);
}

/// What an operator sees meanwhile: whether each answer was good, and how long it took.
fn ask_again_and_again(gateway: &Gateway, done: &AtomicBool) -> Vec<(bool, Duration)> {
    let mut asked = Vec::new();
    while !done.load(Ordering::Relaxed) {
        for path in ["/healthz", "/readyz", "/metrics", "/status"] {
            let began = clock();
            let is_good = gateway.ask_admin(path).is_ok_and(|(status, ..)| status == 200);
            asked.push((is_good, clock().saturating_sub(began)));
            sleep(Duration::from_millis(50));
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_recovered_when_hardly_anything_is_refused_any_more() {
        let arrivals = |is_bad: fn(u64) -> bool| -> Vec<Arrival> {
            let arrival = |number: u64| Arrival {
                due: Duration::from_millis(number),
                took: Duration::ZERO,
                status: if is_bad(number) { 503 } else { 200 },
                has_retry_after: true,
            };
            (0..1000).map(arrival).collect()
        };
        assert_eq!(recovered(&arrivals(|_| false)), None);
        assert_eq!(recovered(&arrivals(|number| number == 990)), None, "a single one");
        assert!(recovered(&arrivals(|number| number < 300)).is_some_and(|since| since.as_millis() > 280));
        assert!(recovered(&arrivals(|number| number % 10 == 0)).is_some_and(|since| since.as_millis() > 850));
    }
}
