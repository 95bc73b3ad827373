//! A backend that refuses, one that hangs, and one bad one of three, each for a minute at 150 requests a second.

use super::report::Section;
use super::scene::{Arrival, Clients, Gateway, build, clock, milliseconds, program, quantile, statuses};
use anyhow::Result;
use programs::process::{LOAD_CORE, Server, free_ports, pinned};
use std::thread::sleep;
use std::time::Duration;

const RATE: &str = "150";
/// Before anything breaks.
const CALM: Duration = Duration::from_secs(5);
/// How long it is broken.
const BROKEN: Duration = Duration::from_mins(1);
/// Afterwards.
const AFTER: Duration = Duration::from_secs(15);
/// When descriptors must be back.
const SETTLED: Duration = Duration::from_secs(10);
/// How long a target may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// By how much a time-out may be missed, and how soon a backend that is back must be found.
const HALF: Duration = Duration::from_millis(500);

/// What becomes of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Refuses,
    Hangs,
}

/// What was seen of one minute.
struct Seen {
    arrivals: Vec<Arrival>,
    broke: Duration,
    returned: Duration,
    before: Descriptors,
    after: Descriptors,
}

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut section = Section::new(
        "A backend that breaks",
        "Release build, one worker on one core; backends and clients on another. 150 requests a second, each on a \
         connection of its own, whatever becomes of those before. `timeouts: {connect: 2s, first_byte: 2s}`, everything else as it is \
         by default. A backend is ended and started again (refuses) or stopped by SIGSTOP (hangs) for 60 s.",
    );
    for trouble in [Trouble::Refuses, Trouble::Hangs] {
        alone(trouble, &mut section)?;
    }
    for trouble in [Trouble::Refuses, Trouble::Hangs] {
        one_of_three(trouble, &mut section)?;
    }
    Ok(section)
}

/// The only target breaks.
fn alone(trouble: Trouble, section: &mut Section) -> Result<()> {
    let seen = minute(trouble, 1)?;
    let name = match trouble {
        Trouble::Refuses => "the backend refuses",
        Trouble::Hangs => "the backend hangs",
    };
    let counts = statuses(seen.arrivals.iter());
    let all = seen.arrivals.iter().all(|arrival| [200, 502, 503, 504].contains(&arrival.status));
    section.row(format!("{name}: all answered"), "200, 502, 503 or 504", counts, all);
    let within = |from: Duration, statuses: &[u16]| -> Vec<Duration> {
        let during = seen.arrivals.iter().filter(|arrival| arrival.due >= from && arrival.due < seen.returned);
        during.filter(|arrival| statuses.contains(&arrival.status)).map(|arrival| arrival.took).collect()
    };
    match trouble {
        Trouble::Refuses => {
            let p99 = quantile(within(seen.broke, &[502, 503]), 99);
            let is_kept = p99 <= Duration::from_millis(20);
            section.row(format!("{name}: 502 and 503, p99"), "20 ms", milliseconds(p99), is_kept);
        }
        Trouble::Hangs => {
            let late = within(seen.broke, &[504]);
            let (least, most) = (quantile(late.clone(), 0), quantile(late, 100));
            let is_kept = least + HALF >= PATIENCE && most <= PATIENCE + HALF;
            let range = format!("{} to {}", milliseconds(least), milliseconds(most));
            section.row(format!("{name}: 504 at the time-out of 2 s"), "± 0.5 s", range, is_kept);
            let open = within(seen.broke + Duration::from_secs(5), &[503]);
            let (share, most) = (open.len(), quantile(open, 100));
            let measured = format!("{} at most, of {share}", milliseconds(most));
            let is_kept = share > 0 && most <= Duration::from_millis(100);
            section.row(format!("{name}: 503 of the open circuit after 5 s"), "100 ms", measured, is_kept);
        }
    }
    let first = seen.arrivals.iter().filter(|arrival| arrival.status == 200 && arrival.answered() > seen.returned);
    let first = first.map(|arrival| arrival.answered().saturating_sub(seen.returned)).min();
    let measured = first.map_or_else(|| "none".to_owned(), milliseconds);
    let is_kept = first.is_some_and(|first| first <= HALF);
    section.row(format!("{name}: first success after its return"), "500 ms", measured, is_kept);
    tell_descriptors(name, &seen, section);
    Ok(())
}

/// One of three targets breaks.
fn one_of_three(trouble: Trouble, section: &mut Section) -> Result<()> {
    let seen = minute(trouble, 3)?;
    let name = match trouble {
        Trouble::Refuses => "one of three refuses",
        Trouble::Hangs => "one of three hangs",
    };
    let later: Vec<&Arrival> =
        seen.arrivals.iter().filter(|arrival| arrival.due >= seen.broke + Duration::from_secs(3)).collect();
    let bad = later.iter().filter(|arrival| arrival.status != 200).count();
    let measured = format!("{bad} of {}; in all {}", later.len(), statuses(seen.arrivals.iter()));
    section.row(format!("{name}: errors after 3 s"), "0.1 %", measured, bad * 1000 <= later.len());
    tell_descriptors(name, &seen, section);
    Ok(())
}

fn tell_descriptors(name: &str, seen: &Seen, section: &mut Section) {
    let (before, after) = (&seen.before, &seen.after);
    let measured = format!("{before}; then {after}");
    let is_kept = after.all <= before.all + 10;
    section.row(format!("{name}: descriptors 10 s after its return"), "as before, ± 10", measured, is_kept);
}

/// Open descriptors, and what they are for.
struct Descriptors {
    all: usize,
    clients: u64,
    backends: u64,
}

impl Descriptors {
    fn of(gateway: &Gateway) -> Result<Self> {
        let (_, text, _) = gateway.ask_admin("/status")?;
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
        let status: serde_json::Value = serde_json::from_str(body)?;
        let sum = |part: &str| {
            let of = |value: &serde_json::Value| value.get("connections").and_then(serde_json::Value::as_u64);
            let all = status.get(part).and_then(|part| part.as_array()).into_iter().flatten();
            all.filter_map(of).sum::<u64>()
        };
        Ok(Self { all: gateway.descriptors(), clients: sum("listeners"), backends: sum("upstreams") })
    }
}

impl std::fmt::Display for Descriptors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { all, clients, backends } = self;
        write!(f, "{all} ({clients} of clients, {backends} of backends)")
    }
}

/// Breaks the first of so many targets for a minute, under load.
fn minute(trouble: Trouble, targets: usize) -> Result<Seen> {
    eprintln!("{trouble:?}, {targets}");
    let ports = free_ports::<3>()?;
    let mut backends = Vec::new();
    for port in ports.into_iter().take(targets) {
        backends.push(backend(port)?);
    }
    let urls: Vec<_> = ports.iter().take(targets).map(|port| format!("\"http://127.0.0.1:{port}\"")).collect();
    let gateway = Gateway::start(
        "upstream",
        &format!(
            "upstreams: {{backend: {{targets: [{}], timeouts: {{connect: 2s, first_byte: 2s}}}}}}\n\
             apis: {{all: {{match: {{path: /}}, upstream: backend}}}}\n",
            urls.join(", ")
        ),
    )?;
    let seconds = (CALM + BROKEN + AFTER).as_secs().to_string();
    let words = ["--rate", RATE, "--seconds", &seconds, "--close", "1"];
    let clients = Clients::start(&gateway.folder, gateway.port, "/1k", &words)?;
    sleep(CALM);
    let before = Descriptors::of(&gateway)?;
    let broke = clock();
    if let (Some(backend), Trouble::Hangs) = (backends.first(), trouble) {
        backend.signal("STOP")?;
    } else {
        drop(backends.remove(0));
    }
    sleep(BROKEN);
    let returned = match trouble {
        Trouble::Refuses => {
            // It has returned when it listens.
            backends.push(backend(ports[0])?);
            clock()
        }
        Trouble::Hangs => {
            let now = clock();
            if let Some(backend) = backends.first() {
                backend.signal("CONT")?;
            }
            now
        }
    };
    sleep(SETTLED);
    let after = Descriptors::of(&gateway)?;
    Ok(Seen { arrivals: clients.finish()?, broke, returned, before, after })
}

fn backend(port: u16) -> Result<Server> {
    let mut command = pinned(LOAD_CORE, &program("bench-backend")?);
    command.arg(format!("127.0.0.1:{port}"));
    let mut server = Server::start(command, &super::scene::folder(&format!("backend-{port}"))?.join("log"))?;
    server.wait_until_open(port)?;
    Ok(server)
}
