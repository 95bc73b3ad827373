//! The report: `bench/RESULTS.md`.

use super::Results;
use super::bars::{BARS, Bar};
use super::chain::Cost;
use super::idle::Wire;
use super::options::{Case, Options};
use super::peers::Peer;
use super::rotation::Taken;
use anyhow::Result;
use programs::run::output;
use std::fmt::Write;
use std::fs;

const METHOD: &str = "\
Every proxy runs one worker, alone on core 0; load (wrk, h2load, `bench-load`) and backend (`bench-backend`, some 8 µs a
request) share core 1; everything is on loopback. All proxies of a table are up at once and get slices of one second in
rotation, with nginx between every two others. A ratio is the median over the rounds of the CPU time for a request (user
and system, of the whole process tree) to the one of the reference's slices just before and after; in brackets its 20th
and 80th percentile. Absolute times wander with the machine by a fifth and more: trust the ratios, to some 7 %. Requests
carry eight headers, some 480 bytes. Configurations: `bench/peers`. To measure again: `cargo xtask bench`.
";

/// The whole report.
pub(crate) fn write(results: &Results, options: &Options) -> Result<String> {
    let mut text = String::from("# Vestibule beside its peers\n\n");
    writeln!(text, "{METHOD}\n{}\n", machine(options)?)?;
    for version in results.versions.values() {
        writeln!(text, "- {version}")?;
    }
    bars(&mut text, results)?;
    for (case, taken) in &results.rotations {
        rotation(&mut text, *case, taken)?;
    }
    instructions(&mut text, results)?;
    latency(&mut text, results)?;
    idle(&mut text, results)?;
    reloads(&mut text, results)?;
    chain(&mut text, results)?;
    if !results.missing.is_empty() {
        writeln!(text, "\n## Not measured\n")?;
    }
    for what in &results.missing {
        writeln!(text, "- {what}")?;
    }
    Ok(text)
}

fn machine(options: &Options) -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default().trim().to_owned();
    let cores = std::thread::available_parallelism()?;
    let [kernel, date] = [output("uname", &["-sr"])?, output("date", &["-u", "+%F"])?];
    let rounds = options.plan.rounds;
    let (kernel, date) = (kernel.trim(), date.trim());
    Ok(format!("{date}, {model}, {cores} cores, {memory}, {kernel}, {rounds} rounds."))
}

fn bars(text: &mut String, results: &Results) -> Result<()> {
    writeln!(text, "\n## Bars\n\n| what | bar | measured | |\n|---|---|---|---|")?;
    for bar in BARS {
        let Bar { what, limit, unit, .. } = bar;
        let (measured, verdict) = match bar.measured(results) {
            Some(figure) if figure <= *limit => (format!("{figure:.2}"), "reached"),
            Some(figure) => (format!("{figure:.2}"), "**missed**"),
            None => ("-".to_owned(), "not measured"),
        };
        writeln!(text, "| {what} | ≤ {limit} {unit} | {measured} | {verdict} |")?;
    }
    Ok(())
}

fn title(case: Case) -> &'static str {
    match case {
        Case::Plain => "GET, 1 KiB",
        Case::Tls => "GET, 1 KiB, TLS 1.3, connections kept",
        Case::Handshake => "GET, 1 KiB, a new TLS connection for every request",
        Case::Large => "GET, 100 KiB",
        Case::Post => "POST, 64 KiB",
        Case::Http2 => "GET, 1 KiB, HTTP/2 over TLS, 8 connections of 16 streams",
        Case::Partner => "Partner case: key check, spike arrest, quota, usage record, access log",
        Case::Routes => "5,000 routes instead of one",
        Case::Latency | Case::Reload | Case::Idle | Case::Instructions | Case::Chain => case.name(),
    }
}

fn rotation(text: &mut String, case: Case, taken: &Taken) -> Result<()> {
    let reference = case.reference();
    let foreign = taken.foreign();
    writeln!(text, "\n## {}\n\nOther load on the machine meanwhile: {foreign:.2} cores (median).\n", title(case))?;
    writeln!(
        text,
        "| proxy | CPU µs/request | × {} | requests/s | p50 / p99 ms | RSS MiB | failed |",
        reference.name()
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    let mut peers = taken.peers();
    peers.sort();
    for peer in peers {
        let ratio = match taken.ratio(peer, reference) {
            _ if peer == reference => "1".to_owned(),
            Some(ratio) => format!("**{:.2}** [{:.2}-{:.2}]", ratio.middle, ratio.low, ratio.high),
            None => "-".to_owned(),
        };
        let median = |figure: fn(&super::load::Slice) -> f64| taken.median(peer, figure).unwrap_or(0.0);
        #[expect(clippy::cast_precision_loss, reason = "memory far below 2^52 bytes")]
        let resident = median(|slice| slice.resident as f64) / (1024.0 * 1024.0);
        let (cpu, rate) = (median(|slice| slice.cpu), median(|slice| slice.rate));
        let latency = match (median(|slice| slice.p50) / 1000.0, median(|slice| slice.p99) / 1000.0) {
            (0.0, 0.0) => "-".to_owned(),
            (middle, high) => format!("{middle:.2} / {high:.2}"),
        };
        let bad = taken.sum(peer, |slice| slice.bad);
        writeln!(text, "| {} | {cpu:.1} | {ratio} | {rate:.0} | {latency} | {resident:.0} | {bad:.0} |", peer.name())?;
    }
    Ok(())
}

fn instructions(text: &mut String, results: &Results) -> Result<()> {
    if results.instructions.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n## Instructions in user space for each GET of 1 KiB\n\nCounted by {}.\n", results.counted_by)?;
    writeln!(text, "| proxy | instructions | × nginx |\n|---|---|---|")?;
    let reference = results.instructions.get(&Peer::Nginx);
    for (peer, count) in &results.instructions {
        let ratio = reference.map_or_else(|| "-".to_owned(), |reference| format!("{:.2}", count / reference));
        writeln!(text, "| {} | {count:.0} | {ratio} |", peer.name())?;
    }
    Ok(())
}

fn latency(text: &mut String, results: &Results) -> Result<()> {
    if results.latency.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n## Latency at half load\n\nAn open loop at half of each proxy's own capacity, 64 connections. \
         Proxy and backend have real-time priority on their cores, where that is allowed: the time slices of others would \
         otherwise be all that the last percent tells.\n"
    )?;
    writeln!(
        text,
        "| proxy | requests/s | p50 ms | p99 ms | p99 of the backend alone | failed |\n|---|---|---|---|---|---|"
    )?;
    for (peer, latency) in &results.latency {
        let [middle, high, alone] = [latency.p50, latency.p99, latency.alone_p99].map(|figure| figure / 1000.0);
        let (rate, failed) = (latency.rate, latency.failed);
        writeln!(text, "| {} | {rate:.0} | {middle:.2} | {high:.2} | {alone:.2} | {failed:.0} |", peer.name())?;
    }
    Ok(())
}

fn idle(text: &mut String, results: &Results) -> Result<()> {
    if results.idle.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n## Memory of an idle connection\n\n2,000 connections, each answered once; growth of resident memory.\n"
    )?;
    writeln!(text, "| proxy | plain KiB | TLS KiB |\n|---|---|---|")?;
    let mut peers: Vec<Peer> = results.idle.keys().map(|(_, peer)| *peer).collect();
    peers.sort();
    peers.dedup();
    for peer in peers {
        let [plain, tls] = [Wire::Plain, Wire::Tls].map(|wire| match results.idle.get(&(wire, peer)) {
            Some(bytes) => format!("{:.1}", bytes / 1024.0),
            None => "-".to_owned(),
        });
        writeln!(text, "| {} | {plain} | {tls} |", peer.name())?;
    }
    Ok(())
}

fn reloads(text: &mut String, results: &Results) -> Result<()> {
    if results.reloads.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n## 20 reloads at 2,000 requests/s (Vestibule: and an upgrade of the binary)\n")?;
    writeln!(
        text,
        "| proxy | answered | failed | connections closed in order | p99 ms | upgrade took s | trouble |\n|---|---|---|---|---|---|---|"
    )?;
    for (peer, noticed) in &results.reloads {
        let trouble = noticed.trouble.as_deref().unwrap_or("-");
        let high = noticed.p99 / 1000.0;
        let (answered, failed, reopened) = (noticed.answered, noticed.failed, noticed.reopened);
        let upgrade = noticed.upgrade.map_or_else(|| "-".to_owned(), |took| format!("{:.2}", took.as_secs_f64()));
        writeln!(
            text,
            "| {} | {answered:.0} | {failed:.0} | {reopened:.0} | {high:.2} | {upgrade} | {trouble} |",
            peer.name()
        )?;
    }
    Ok(())
}

fn chain(text: &mut String, results: &Results) -> Result<()> {
    let Some(chain) = &results.chain else { return Ok(()) };
    writeln!(text, "\n## A chain of policies on the way of a request\n")?;
    writeln!(text, "| policies | median ns | allocations |\n|---|---|---|")?;
    for Cost { policies, nanoseconds, allocations } in &chain.costs {
        writeln!(text, "| {policies} | {nanoseconds:.0} | {allocations} |")?;
    }
    writeln!(
        text,
        "\nWhat ten policies allocate is theirs, such as a header that they set; ten that pass are the chain."
    )?;
    Ok(())
}
