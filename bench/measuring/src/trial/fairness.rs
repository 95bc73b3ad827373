//! `cargo xtask trial fairness`: a million lots are drawn and checked, and bots come from a few networks.

use super::report::Section;
use super::scene::{Gateway, build, milliseconds, program};
use crate::bench::room::place::Line;
use anyhow::{Context, Result};
use programs::run::{output, root};
use serde_json::Value;
use std::time::Duration;

/// Those who join while bots do.
const JOINS: u32 = 40_000;
/// Turns that are looked at.
const TURNS: u64 = 1_000;
/// Those who draw lots at a gateway, to be checked by the command.
const DRAWING: u32 = 20_000;

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut section = Section::new(
        "Fairness of a waiting room",
        format!(
            "The release build. The draw of a million is measured in process, from the opening of the room until every place \
             is in the log (`cargo run --release -p acceptance-rooms --example lottery_cost`). {DRAWING} others join at a gateway before it \
             opens, and `vestibule room verify` checks their draw over HTTP. Bots: {JOINS} joins one after the other, nine of \
             ten from three networks (/16, each of a hundred /24), the others from anywhere; then {TURNS} turns are given."
        ),
    );
    million(&mut section)?;
    verified(&mut section)?;
    bots(&mut section)?;
    Ok(section)
}

fn million(section: &mut Section) -> Result<()> {
    let folder = root()?.join("target/trial/lottery-cost");
    let folder = folder.to_str().context("no path")?;
    let words =
        ["run", "--release", "--locked", "-q", "-p", "acceptance-rooms", "--example", "lottery_cost", "--", folder];
    let said = output("cargo", &words)?;
    let took = |what: &str| -> Result<Duration> {
        let line = said.lines().find(|line| line.starts_with(what)).context("it did not say so")?;
        let micros = line.split(' ').nth(1).context("no number")?.parse()?;
        Ok(Duration::from_micros(micros))
    };
    let drew = took("draw")?;
    section.row("a million places drawn", "< 1 s", milliseconds(drew), drew < Duration::from_secs(1));
    section.row("a million places checked", "all, told how long", milliseconds(took("verify")?), true);
    section.row("a start with a million drawn places", "told", milliseconds(took("start")?), true);
    Ok(())
}

fn verified(section: &mut Section) -> Result<()> {
    let gateway = Gateway::start(
        "fairness-lottery",
        "rooms: {sale: {event: Sample, schedule: {pre_queue: \"2020-01-01T00:00:00Z\"}, lottery: {}}}\n\
         apis: {wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}}\n",
    )?;
    let mut line = Line::open(gateway.port)?;
    let mut ids = Vec::new();
    for _ in 0..DRAWING {
        ids.push(line.join("")?.context("no id")?);
    }
    let told = line.ask("GET /wait/lottery?event_id=Sample HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let commitment = told.get("commitment").and_then(Value::as_str).context("no commitment")?.to_owned();
    operate(&gateway, &["open", "sale"])?;
    let mut places = Vec::new();
    for id in &ids {
        places.push(loop {
            if let Some(place) = line.place(id)? {
                break place;
            }
            std::thread::sleep(Duration::from_millis(20));
        });
    }
    let inversions = places.windows(2).filter(|pair| matches!(pair, [one, other] if one > other)).count();
    let unsorted = inversions * 100 / places.len();
    places.sort_unstable();
    let are_all = places.iter().zip(1..).all(|(place, expected)| *place == expected);
    let address = format!("http://127.0.0.1:{}/wait", gateway.port);
    let vestibule = program("vestibule")?.display().to_string();
    let words = ["room", "verify", &address, "--event", "Sample", "--commitment", &commitment];
    let said = output(&vestibule, &words)?;
    section.row(
        format!("the draw of {DRAWING}, checked by the command"),
        "every place follows from the seed that was committed to",
        said.lines().next().unwrap_or_default().to_owned(),
        said.starts_with("right") && are_all,
    );
    section.row(
        "visitors whose place is before that of the one who came before",
        "about half",
        format!("{unsorted} %"),
        (45..=55).contains(&unsorted),
    );
    let mut gateway = gateway;
    gateway.server.stop("TERM")
}

fn bots(section: &mut Section) -> Result<()> {
    for (name, caps, bar) in [
        ("without caps", "", None),
        (
            "with `caps: {network: 1%, wide_network: 2%, allowance: 10, slow_lane: 4%}`",
            "caps: {network: 1%, wide_network: 2%, allowance: 10, slow_lane: 4%}",
            Some(100),
        ),
    ] {
        let served = served_bots(caps)?;
        let measured = format!("{served} of {TURNS}");
        match bar {
            None => section.row(format!("turns of bots, {name}"), "told", measured, true),
            // Three networks of 2 %, and the slow lane of 4 %.
            Some(most) => section.row(
                format!("turns of bots, {name}"),
                format!("≤ {most} of the first {TURNS}: three networks of 2 %, and the slow lane"),
                measured,
                served <= most,
            ),
        }
    }
    Ok(())
}

/// How many of the first turns bots have.
fn served_bots(caps: &str) -> Result<u64> {
    let mut gateway = Gateway::start(
        "fairness-bots",
        &format!(
            "trusted_proxies: [127.0.0.1/32]\nrooms: {{sale: {{event: Sample, durability: process, {caps}}}}}\n\
             apis: {{wait: {{match: {{path: /wait}}, policies: [{{waiting-room-api: {{room: sale}}}}]}}}}\n"
        ),
    )?;
    let mut line = Line::open(gateway.port)?;
    let mut bots = Vec::new();
    for number in 0..JOINS {
        let is_bot = number % 10 != 0;
        let client = if is_bot {
            format!("198.{}.{}.{}", 51 + number % 3, number / 3 % 100, number % 251)
        } else {
            format!("{}.{}.{}.7", 11 + number / 10 % 80, number / 800 % 256, number % 241)
        };
        let id = line.join(&format!("X-Forwarded-For: {client}\r\n"))?.context("no id")?;
        if is_bot {
            bots.push(id);
        }
    }
    operate(&gateway, &["move", "sale", &TURNS.to_string()])?;
    let serving = line.ask("GET /wait/serving_num?event_id=Sample HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let serving: u64 = serving.get("serving_counter").and_then(Value::as_str).context("no number")?.parse()?;
    let mut served = 0;
    for id in &bots {
        served += u64::from(line.place(id)?.context("no place")? <= serving);
    }
    gateway.server.stop("TERM")?;
    Ok(served)
}

/// Has an operator do something with a room.
fn operate(gateway: &Gateway, words: &[&str]) -> Result<()> {
    let config = gateway.folder.join("vestibule.yaml").display().to_string();
    let vestibule = program("vestibule")?.display().to_string();
    let words = [&["admin", "--config", config.as_str(), "room"], words].concat();
    output(&vestibule, &words).map(|_said| ())
}
