//! The system's clock jumps by an hour, forth and back.

use super::full_disk::counted;
use super::{backend, share_of_core};
use crate::trial::report::Section;
use crate::trial::scene::{Clients, Gateway, folder, milliseconds, program, quantile, statuses};
use anyhow::{Context, Result};
use programs::packages::{Needed, provide};
use programs::process::{PROXY_CORE, pinned};
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

/// The clock's error after each jump.
const JUMPS: [&str; 4] = ["+3600", "+0", "-3600", "+0"];
const BETWEEN: Duration = Duration::from_secs(8);

/// A quota for one path, a rate and a quota that are never reached for all others.
const APIS: &str = "\
apis:
  few: {match: {path: /few}, upstream: backend, policies: [{quota: {requests: 3, per: minute, by: address}}]}
  all:
    match: {path: /}
    upstream: backend
    policies: [{spike-arrest: {rate: 1000/s, burst: 1000}}, {quota: {requests: 1000000, per: hour, by: address}}]
";

pub(crate) fn jump(section: &mut Section) -> Result<()> {
    eprintln!("clock");
    provide(&[Needed { sign: "faketime", package: "faketime" }])?;
    let (_backend, port) = backend("clock")?;
    let folder = folder("clock")?;
    let time = folder.join("clock");
    fs::write(&time, "+0\n")?;
    let mut command = pinned(PROXY_CORE, &program("vestibule")?);
    // Only the time of day jumps, as it does when an operator or NTP sets it.
    command.env("LD_PRELOAD", library()?).env("FAKETIME_TIMESTAMP_FILE", &time);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let parts = format!("upstreams: {{backend: {{targets: [\"http://127.0.0.1:{port}\"]}}}}\n{APIS}");
    let gateway = Gateway::start_as(command, folder, &parts)?;

    let seconds = (BETWEEN * 5).as_secs().to_string();
    let clients = Clients::start(&gateway.folder, gateway.port, "/1k", &["--rate", "200", "--seconds", &seconds])?;
    let mut few = vec![until_refused(&gateway)];
    for error in JUMPS {
        sleep(BETWEEN);
        fs::write(&time, format!("{error}\n"))?;
        sleep(Duration::from_secs(1));
        few.push(until_refused(&gateway));
    }
    let arrivals = clients.finish()?;
    let good = arrivals.iter().filter(|arrival| arrival.status == 200).count();
    let measured = statuses(arrivals.iter());
    section.row("clock ± 1 h at 200 requests/s", "all 200", measured, good == arrivals.len());
    let p99 = quantile(arrivals.iter().map(|arrival| arrival.took).collect(), 99);
    section.row("clock ± 1 h: p99", "20 ms", milliseconds(p99), p99 <= Duration::from_millis(20));

    let measured: Vec<_> = few.iter().map(|(passed, wait)| format!("{passed}, then {wait} s")).collect();
    let is_kept = few.iter().all(|(passed, wait)| *passed <= 3 && *wait <= 60);
    let is_kept = is_kept && few.first().is_some_and(|(passed, _)| *passed == 3);
    section.row(
        "clock ± 1 h: a quota of 3 a minute lets pass no more, and says to wait no longer than its window",
        "0 to 3, then at most 60 s",
        measured.join("; "),
        is_kept,
    );
    let share = share_of_core(&gateway.server, Duration::from_secs(5));
    section.row("clock ± 1 h: processor time afterwards", "5 % of a core", format!("{share:.1} %"), share <= 5.0);
    let good = good as u64 + few.iter().map(|(passed, _)| passed).sum::<u64>();
    let counted = counted(&gateway, good);
    section.row("clock ± 1 h: usage of all that was answered", good.to_string(), counted.to_string(), counted == good);
    Ok(())
}

/// How many requests a quota lets pass, and how long it says to wait then, in seconds.
fn until_refused(gateway: &Gateway) -> (u64, u64) {
    for passed in 0..10 {
        let Ok((status, text)) = gateway.ask("/few") else { return (passed, u64::MAX) };
        if status != 200 {
            let text = text.to_ascii_lowercase();
            let wait = text.split("retry-after: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
            return (passed, wait.unwrap_or(u64::MAX));
        }
    }
    (10, u64::MAX)
}

fn library() -> Result<PathBuf> {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let mut files = places.iter().map(|place| PathBuf::from(place).join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.exists()).context("libfaketime is not where Debian puts it")
}
