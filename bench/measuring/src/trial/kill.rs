//! `kill`: `kill -9` under full load, and what of the answers was counted.

use crate::bench::load::{Figures, bench_load};
use crate::trial::report::Section;
use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, pinned};
use programs::run::{self, output, root};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

const KILLS: u32 = 20;
/// Connections, each of which has one request under way.
const CONNECTIONS: u64 = 32;
/// How long the load goes on before a kill; each time a little longer, so that the kill meets other moments.
const FIRST: Duration = Duration::from_millis(700);
const LONGER: Duration = Duration::from_millis(37);

/// A gateway with a partner, which is started again and again in one folder.
struct Place {
    folder: PathBuf,
    program: String,
    port: u16,
    /// Ends when this does.
    _backend: Server,
    key: String,
}

/// What clients had, and what the gateway counted.
#[derive(Default)]
struct Count {
    /// Answers that came whole.
    answered: u64,
    /// Requests whose answer did not, or only in part.
    cut: u64,
    records: u64,
}

/// Kills a gateway again and again, and compares.
pub(crate) fn run() -> Result<Section> {
    run::run("cargo", &["build", "--release", "--locked", "-p", "vestibule", "-p", "bench-tools"])?;
    let place = Place::make()?;
    let (mut all, mut wrong) = (Count::default(), Vec::new());
    let mut before = 0;
    for number in 0..KILLS {
        let round = place.round(number, before)?;
        before += round.records;
        if round.records < round.answered || round.records > round.answered + round.cut {
            wrong.push(format!("{number}: {} answered, {} cut, {} records", round.answered, round.cut, round.records));
        }
        all.answered += round.answered;
        all.cut += round.cut;
        all.records += round.records;
    }
    let rebuilt = place.rebuilt_twice()?;
    let mut section = Section::new(
        "kill -9 under full load",
        format!(
            "The release build on one core, a partner's key on every request, {CONNECTIONS} connections that ask as fast as \
             they are answered. After {FIRST:?} and more the process is killed; the next one starts in the same folder, and \
             `vestibule admin usage` tells the company's sum. {KILLS} times, one folder for all."
        ),
    );
    let bar = "all answers received, and at most those whose answer was cut";
    let measured = format!(
        "{} answers received, {} cut, {} records; each time by itself: {}",
        all.answered,
        all.cut,
        all.records,
        if wrong.is_empty() { "so".to_owned() } else { wrong.join("; ") }
    );
    section.row("usage records after the restart", bar, measured, wrong.is_empty() && all.answered > 0);
    let [first, second] = rebuilt.map(|(records, changed)| format!("{changed} of the sums of {records} records"));
    let measured = format!("{first}, then {second}");
    let is_same = rebuilt.iter().all(|(records, changed)| *changed == 0 && *records >= all.records);
    section.row("totals made anew from kept records, twice: sums that changed", "0", measured, is_same);
    Ok(section)
}

impl Place {
    fn make() -> Result<Self> {
        let folder = root()?.join("target/trial-kill");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let [port, admin, backend_port] = free_ports()?;
        let document = format!(
            "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\n\
             admin: {{bind: \"127.0.0.1:{admin}\"}}\nstore: {{embedded: ./data}}\n\
             upstreams: {{backend: {{targets: [\"http://127.0.0.1:{backend_port}\"]}}}}\n\
             apis: {{all: {{match: {{path: /}}, upstream: backend, policies: [{{api-key: {{}}}}]}}}}\n\
             products: {{all: {{operations: [\"all: GET /**\"]}}}}\nusage: {{keep: 1d}}\n"
        );
        fs::write(folder.join("vestibule.yaml"), document)?;
        let mut command = pinned(LOAD_CORE, &root()?.join("target/release/bench-backend"));
        command.arg(format!("127.0.0.1:{backend_port}"));
        let mut backend = Server::start(command, &folder.join("backend.log"))?;
        backend.wait_until_open(backend_port)?;
        let program = root()?.join("target/release/vestibule").display().to_string();
        let mut place = Self { folder, program, port, _backend: backend, key: String::new() };
        let mut gateway = place.start()?;
        place.admin(&["company", "create", "acme"])?;
        place.admin(&["app", "create", "acme/shop"])?;
        place.admin(&["subscription", "create", "acme/shop", "all"])?;
        let made = place.admin(&["key", "create", "acme/shop"])?;
        made.get("secret").and_then(Value::as_str).context("no key")?.clone_into(&mut place.key);
        gateway.stop("TERM")?;
        Ok(place)
    }

    /// Makes the totals anew, twice: the records that were read, and the sums that changed.
    fn rebuilt_twice(&self) -> Result<[(u64, u64); 2]> {
        let mut gateway = self.start()?;
        let mut rebuilt = [(0, 0); 2];
        for each in &mut rebuilt {
            let answer = self.admin(&["usage", "rebuild"])?;
            let number = |member: &str| answer.get(member).and_then(Value::as_u64).context("no number");
            *each = (number("records")?, number("changed")?);
        }
        gateway.stop("TERM")?;
        Ok(rebuilt)
    }

    fn start(&self) -> Result<Server> {
        let mut command = pinned(PROXY_CORE, self.program.as_ref());
        command.args(["run", "vestibule.yaml"]).current_dir(&self.folder);
        let mut gateway = Server::start(command, &self.folder.join("gateway.log"))?;
        gateway.wait_until_open(self.port)?;
        Ok(gateway)
    }

    fn admin(&self, words: &[&str]) -> Result<Value> {
        let config = self.folder.join("vestibule.yaml").display().to_string();
        let answer = output(&self.program, &[&["admin"], words, &["--config", &config, "--json"]].concat())?;
        serde_json::from_str(&answer).with_context(|| format!("no JSON: {answer}"))
    }

    /// Starts, loads, kills, starts again and asks for the sum, which was `before` until now.
    fn round(&self, number: u32, before: u64) -> Result<Count> {
        let mut killed = self.start()?;
        let load = self.load()?;
        sleep(FIRST + LONGER * number);
        killed.signal("KILL")?;
        let said = load.wait_with_output()?;
        killed.stop("KILL")?;
        let figures = Figures::read(&String::from_utf8_lossy(&said.stdout))?;
        let (answered, refused, cut) =
            (figures.number("answered"), figures.number("refused"), figures.number("failed"));
        if refused > 0.0 {
            bail!("{refused} requests were refused: {:?}", figures.text("trouble"));
        }
        let mut again = self.start()?;
        let usage = self.admin(&["usage", "--company", "acme"])?;
        again.stop("TERM")?;
        if usage.get("complete") != Some(&Value::Bool(true)) {
            bail!("the sums are not complete: {usage}");
        }
        let sum = usage.pointer("/total/requests").and_then(Value::as_u64).context("no sum")?;
        println!("{number}: {answered} answered, {cut} cut, {} records", sum - before);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of requests")]
        Ok(Count { answered: answered as u64, cut: cut as u64, records: sum - before })
    }

    fn load(&self) -> Result<Child> {
        let mut command = bench_load("count", self.port, &format!("x-api-key: {}", self.key))?;
        command.args(["--requests", "1000000000", "--connections", &CONNECTIONS.to_string()]);
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }
}
