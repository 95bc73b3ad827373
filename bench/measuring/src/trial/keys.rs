//! `million-keys` and `key-timing`: what a large index of keys costs, and whether refusals tell anything about it.

use super::report::Section;
use super::scene::{Gateway, build, folder, program};
use anyhow::{Context, Result};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, now, pinned};
use programs::run::output;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const MANY: u64 = 1_000_000;
const FEW: u64 = 10;
/// Requests of each measurement, and how often it is made with each of the two gateways in turn.
const REQUESTS: u32 = 60_000;
const ROUNDS: usize = 7;
/// Bars.
const FACTOR: f64 = 1.05;
const RESIDENT: u64 = 400 * 1000 * 1000;
const START: Duration = Duration::from_secs(10);
/// Searches of each class, and the t above which two classes differ (dudect's bound).
const SAMPLES: u32 = 2_000_000;
const T: f64 = 4.5;

/// A gateway with a million keys beside one with ten.
pub(crate) fn million() -> Result<Section> {
    build()?;
    let [port] = free_ports()?;
    let mut command = pinned(LOAD_CORE, &program("bench-backend")?);
    command.arg(format!("127.0.0.1:{port}"));
    let mut backend = Server::start(command, &folder("million-keys-backend")?.join("backend.log"))?;
    backend.wait_until_open(port)?;
    let (few, _) = gateway("million-keys-few", FEW, port)?;
    let (many, start) = gateway("million-keys", MANY, port)?;

    let mut factors = Vec::new();
    let mut costs = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        let (less, more) = (cost(&few)?, cost(&many)?);
        factors.push(more.as_secs_f64() / less.as_secs_f64());
        costs = (less, more);
    }
    factors.sort_by(f64::total_cmp);
    let factor = *factors.get(ROUNDS / 2).context("no round was made")?;
    let resident = many.server.resident();

    let mut section = Section::new(
        "A million keys",
        format!(
            "One gateway has {MANY} keys in its embedded store, ten an app and ten apps a company, another one {FEW}. Each is \
             asked {REQUESTS} times {ROUNDS} times in turn, over eight connections, a tenth of the keys one after the other, \
             through `api-key` to a backend; the middle of the {ROUNDS} factors counts."
        ),
    );
    let each = |cost: Duration| format!("{:.1} µs", cost.as_secs_f64() * 1e6);
    let (lowest, highest) = (factors.first().copied().unwrap_or_default(), factors.last().copied().unwrap_or_default());
    let measured = format!("{factor:.3} × ({lowest:.3} to {highest:.3}; last {} and {})", each(costs.0), each(costs.1));
    section.row(
        "processor time of a request, of that with ten keys",
        format!("≤ {FACTOR} ×"),
        measured,
        factor <= FACTOR,
    );
    let measured = format!("{} MB", resident / 1_000_000);
    section.row("resident memory after that", format!("≤ {} MB", RESIDENT / 1_000_000), measured, resident <= RESIDENT);
    let measured = format!("{:.1} s", start.as_secs_f64());
    section.row("from start to open listeners", format!("≤ {} s", START.as_secs()), measured, start <= START);
    Ok(section)
}

/// How long wrong keys take to be refused.
pub(crate) fn timing() -> Result<Section> {
    build()?;
    let folder = folder("key-timing")?;
    keys(&["fill", &folder.display().to_string(), "200000"])?;
    let found = keys(&["timing", &folder.display().to_string(), &SAMPLES.to_string()])?;
    let mut section = Section::new(
        "What a refused key tells",
        format!(
            "Two classes of wrong keys with right checksums are looked up in an index of 200,000 keys in the process itself, \
             where no network hides anything: {SAMPLES} times each, each time another key, in random order. The test is dudect's: Welch's t of the \
             two, with the slowest half, quarter, tenth and hundredth left out and with none left out; the largest counts, and \
             above {T} the times differ. What two classes that are alike come to is said beside it."
        ),
    );
    let t = |member: &str| found.get(member).and_then(Value::as_f64).with_context(|| format!("no `{member}`"));
    let alike = t("alike")?;
    for (what, member) in [
        ("a wrong secret of an id that is known, and an id that is not", "known_or_unknown_id"),
        ("31 of 32 characters of the secret right, and none", "nearly_right_or_all_wrong"),
    ] {
        let measured = t(member)?;
        section.row(what, format!("t ≤ {T}"), format!("t = {measured:.2} (alike: {alike:.2})"), measured <= T);
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(section)
}

/// A gateway whose store has so many keys, and how long it took to start.
fn gateway(name: &str, count: u64, backend: u16) -> Result<(Gateway, Duration)> {
    let folder = folder(name)?;
    keys(&["fill", &folder.join("data").display().to_string(), &count.to_string()])?;
    let parts = format!(
        "upstreams: {{orders: {{targets: [\"http://127.0.0.1:{backend}\"]}}}}\napis:\n  orders: {{match: {{path: /}}, \
         upstream: orders, policies: [{{api-key: {{}}}}]}}\nproducts: {{gold: {{operations: [\"orders: GET /**\"]}}}}\n"
    );
    let began = now();
    let gateway = Gateway::start_as(pinned(PROXY_CORE, &program("vestibule")?), folder, &parts)?;
    Ok((gateway, began.elapsed()))
}

/// Processor time of one request.
fn cost(gateway: &Gateway) -> Result<Duration> {
    let file = gateway.folder.join("data/keys.txt");
    let before = gateway.server.cpu();
    let address = format!("127.0.0.1:{}", gateway.port);
    let asked = keys(&["ask", &address, "/1k", &path(&file), &REQUESTS.to_string(), "8"])?;
    let answered = asked.get("answered").and_then(Value::as_u64).context("no count of answers")?;
    Ok(gateway.server.cpu().saturating_sub(before) / u32::try_from(answered)?)
}

fn keys(words: &[&str]) -> Result<Value> {
    let tool = program("bench-keys")?.display().to_string();
    let core = LOAD_CORE.0.to_string();
    let said = output("taskset", &[&["-c", core.as_str(), tool.as_str()], words].concat())?;
    serde_json::from_str(&said).with_context(|| format!("no JSON: {said}"))
}

fn path(file: &Path) -> String {
    file.display().to_string()
}
