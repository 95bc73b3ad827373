//! `cargo xtask trial http2`: a suite of conformance, and floods that only HTTP/2 knows.

use super::report::Section;
use super::stage::{Seen, Stage};
use anyhow::{Context, Result};
use programs::run::{root, run};
use serde_json::Value;
use std::process::Command;

/// Cases of the suite that fail, and why.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "invalid header block fragment",
        "the connection ends with PROTOCOL_ERROR where the suite wants COMPRESSION_ERROR: the library's code",
    ),
    (
        "pseudo header in trailer",
        "the library leaves the field out and passes the rest on, where the suite wants an error",
    ),
    (
        "invalid connection preface",
        "a listener without TLS takes it for HTTP/1.1 and says 400 in that, which the suite cannot read",
    ),
];

/// Cases that must pass, of 107.
const MUST_PASS: u64 = 99;
/// Connections of a flood, and the streams that each may have.
const CONNECTIONS: u64 = 4;
const STREAMS: u64 = 128;
/// How much larger the gateway may become.
const GROWTH: u64 = 64 * 1024 * 1024;
/// The part of a core below which a flood is cheap.
const CHEAP: f64 = 0.5;

/// Floods, and how many seconds each goes on: those that wait are cut by the minimum rate, which takes a while.
const FLOODS: &[(&str, u32)] = &[
    ("rapid reset", 5),
    ("rapid reset of requests under way", 5),
    ("MadeYouReset", 5),
    ("CONTINUATION", 5),
    ("empty CONTINUATION", 5),
    ("SETTINGS", 5),
    ("PING", 5),
    ("PING, answers unread", 5),
    ("PRIORITY", 5),
    ("WINDOW_UPDATE", 5),
    ("empty DATA", 5),
    ("DATA of one byte", 5),
    ("HPACK bomb", 5),
    ("never reading", 35),
    ("window never opened", 35),
];

pub(crate) fn floods() -> Result<Section> {
    let stage = Stage::open("http2", "")?;
    let mut section = Section::new(
        "HTTP/2",
        format!(
            "A suite of conformance (`httpwg-cli`) against the listener without TLS, and floods over {CONNECTIONS} \
             connections at once, each opened again as soon as it is cut, before a gateway with one worker and the \
             default limits. `/hold` takes the backend two seconds. A flood is cut or cheap: the gateway ends its \
             connections, or spends less than half a core on it. Beside each, a client sends 50 requests a second."
        ),
    );
    conformance(&stage, &mut section)?;
    for (name, seconds) in FLOODS {
        stage.most_at_once()?;
        let seen =
            stage.suffer(&["flood", name, &stage.plain(), "--connections", &CONNECTIONS.to_string()], *seconds)?;
        let most = stage.most_at_once()?;
        let is_kept = seen.grown <= GROWTH
            && most <= CONNECTIONS * STREAMS + 8
            && seen.beside.failed == 0
            && seen.beside.answered > 0
            && (number(&seen, "cut") > 0 || seen.busy < CHEAP);
        let bar = "cut or cheap; RSS + ≤ 64 MiB; no more requests at the backend than streams";
        section.row(*name, bar, text(&seen, most), is_kept);
    }
    Ok(section)
}

fn text(seen: &Seen, most: u64) -> String {
    let first = seen.told.get("first_cut_s").and_then(Value::as_f64);
    let cut = match first {
        Some(first) => format!("{} connections cut, the first after {first:.2} s", number(seen, "cut")),
        None => "not cut".to_owned(),
    };
    format!(
        "{cut}; {:.0} % of a core; RSS + {} MiB; at most {most} requests at the backend; beside it {}",
        seen.busy * 100.0,
        seen.grown / 1024 / 1024,
        seen.beside.text()
    )
}

fn number(seen: &Seen, name: &str) -> u64 {
    seen.told.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// Runs the suite, which is built first if it is not there.
fn conformance(stage: &Stage, section: &mut Section) -> Result<()> {
    let program = root()?.join("target/tools/bin/httpwg");
    if !program.exists() {
        run("cargo", &["install", "httpwg-cli", "--version", "0.2.5", "--locked", "--root", "target/tools"])?;
    }
    let output =
        Command::new("timeout").arg("120").arg(program).args(["-a", &stage.plain()]).env("NO_COLOR", "1").output()?;
    let said = plain(&(String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)));
    let summary = said.lines().find_map(|line| line.split_once("Passed ")).context("the suite told nothing")?.1;
    let (passed, rest) = summary.split_once('/').context("the suite told no figures")?;
    let passed: u64 = passed.trim().parse()?;
    let all: u64 = rest.split(' ').next().unwrap_or_default().parse()?;
    let failed = said.lines().filter_map(|line| line.split_once("Test failed: ")).map(|(_, name)| name.trim());
    let unexplained: Vec<&str> =
        failed.filter(|name| !EXPLAINED.iter().any(|(known, _)| name.contains(known))).collect();
    let measured = format!("{passed} of {all}; without an explanation: {}", unexplained.join(", "));
    section.row(
        "conformance",
        "≥ 99 of 107, each failure explained",
        measured,
        passed >= MUST_PASS && unexplained.is_empty(),
    );
    for (name, why) in EXPLAINED {
        section.row(format!("case \"{name}\""), "explained", *why, true);
    }
    Ok(())
}

/// A text without the colours of a terminal.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut in_escape = false;
    for letter in text.chars() {
        match letter {
            '\u{1b}' => in_escape = true,
            'm' if in_escape => in_escape = false,
            _ if in_escape => {}
            _ => plain.push(letter),
        }
    }
    plain
}
