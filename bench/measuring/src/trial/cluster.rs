//! `cargo xtask trial cluster`: three nodes that share PostgreSQL and Redis, and what of their promises holds on all of them.

use super::report::Section;
use super::scene::{build, clock, folder, program};
use crate::bench::load::Figures;
use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, pinned};
use programs::run::output;
use serde_json::Value;
use servers::{Database, Postgres, Redis};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Nodes, and clients of each.
const NODES: usize = 3;
const CLIENTS: u64 = 64;
/// What the quota allows, and what is asked of each node.
const QUOTA: u64 = 20_000;
const ASKED: u64 = 10_000;
/// What the rate allows.
const RATE: f64 = 500.0;
const BURST: f64 = 100.0;
/// How often a node is killed, and what is asked of the others meanwhile.
const KILLS: u32 = 20;
const BESIDE: u64 = 4_000;
/// How long both servers are away, and how much is asked of each node meanwhile.
const AWAY: Duration = Duration::from_mins(1);
const AROUND: Duration = Duration::from_secs(10);
const REQUESTS: u32 = 300;

/// Three nodes and what they share.
struct Place {
    nodes: Vec<Node>,
    folder: PathBuf,
    database: Database,
    redis: Redis,
    _backend: Server,
}

struct Node {
    number: usize,
    port: u16,
    server: Server,
}

/// What clients had in all.
#[derive(Clone, Copy, Default)]
struct Had {
    answered: u64,
    refused: u64,
    failed: u64,
}

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut place = Place::start()?;
    let mut section = Section::new(
        "Several nodes",
        format!(
            "{NODES} nodes of the release build on one core, which share a real PostgreSQL and a real Redis with the \
             append-only file; {CLIENTS} connections to each. Load, backend and both servers have the other core."
        ),
    );
    quota(&place, &mut section)?;
    rate(&place, &mut section)?;
    kills(&mut place, &mut section)?;
    away(&mut place, &mut section)?;
    Ok(section)
}

fn quota(place: &Place, section: &mut Section) -> Result<()> {
    let key = place.partner("quota", "counted")?;
    let loads = place.nodes.iter().map(|node| node.count(&key, ASKED)).collect::<Result<Vec<_>>>()?;
    let had = finish(loads)?;
    let excess = had.answered.saturating_sub(QUOTA);
    let measured = format!(
        "{} of {} granted, {} refused, {} failed: {excess} too many",
        had.answered,
        NODES as u64 * ASKED,
        had.refused,
        had.failed
    );
    let is_kept = had.answered == QUOTA && had.failed == 0;
    section.row(format!("a quota of {QUOTA} a year, asked by all nodes at once"), "excess 0", measured, is_kept);
    Ok(())
}

fn rate(place: &Place, section: &mut Section) -> Result<()> {
    let key = place.partner("rate", "paced")?;
    let begun = clock();
    let loads = place.nodes.iter().map(|node| node.count(&key, ASKED)).collect::<Result<Vec<_>>>()?;
    let had = finish(loads)?;
    let took = clock().saturating_sub(begun).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let passed = had.answered as f64;
    let most = BURST + RATE * took;
    let measured = format!(
        "{passed} of {} passed in {took:.2} s, {most:.0} may: {:.0} too many",
        NODES as u64 * ASKED,
        (passed - most).max(0.0)
    );
    let what = format!("a rate of {RATE}/s with a burst of {BURST}, asked by all nodes at once");
    section.row(what, "excess 0", measured, passed <= most && had.failed == 0 && 0 < had.refused);
    Ok(())
}

fn kills(place: &mut Place, section: &mut Section) -> Result<()> {
    let key = place.partner("killed", "free")?;
    let mut all = Had::default();
    for number in 0..KILLS {
        // By turns, but not in their order.
        let victim = usize::try_from(number * 7 % 5)? % NODES;
        let ask = |node: &Node| node.count(&key, if node.number == victim { u64::MAX } else { BESIDE });
        let loads = place.nodes.iter().map(ask).collect::<Result<Vec<_>>>()?;
        sleep(Duration::from_millis(700) + Duration::from_millis(37) * number);
        place.kill(victim)?;
        let had = finish(loads)?;
        all.answered += had.answered;
        all.failed += had.failed;
    }
    let sum = place.sum("killed")?;
    let again = place.sum("killed")?;
    let measured =
        format!("{} answers received, {} cut, {sum} counted; {again} when asked again", all.answered, all.failed);
    let is_kept = all.answered <= sum && sum <= all.answered + all.failed && again == sum && 0 < all.answered;
    let bar = "all answers received, and at most those whose answer was cut";
    section.row(format!("totals after {KILLS} times kill -9 of one of the nodes under load"), bar, measured, is_kept);
    Ok(())
}

fn away(place: &mut Place, section: &mut Section) -> Result<()> {
    let key = place.partner("away", "limited")?;
    let seconds = AWAY + AROUND * 2;
    let loads = place.nodes.iter().map(|node| node.rate(&key, seconds)).collect::<Result<Vec<_>>>()?;
    sleep(AROUND);
    place.redis.stop();
    place.database.server().stop();
    sleep(AWAY);
    place.redis.start_again();
    place.database.server().start_again();
    let had = finish(loads)?;
    let measured = format!("{} of {} failed", had.failed + had.refused, had.answered + had.failed + had.refused);
    let what = format!(
        "PostgreSQL and Redis stopped for {AWAY:?}, {} requests/s of a known caller with key, quota and rate",
        REQUESTS * 3
    );
    section.row(what, "0 fail", measured, had.failed + had.refused == 0 && 0 < had.answered);
    let mut sum = 0;
    for _ in 0..100 {
        sum = place.sum("away").unwrap_or_default();
        if sum == had.answered {
            break;
        }
        sleep(Duration::from_millis(200));
    }
    let measured = format!("{} answered, {sum} counted", had.answered);
    section.row("totals afterwards", "all answers", measured, sum == had.answered);
    Ok(())
}

impl Place {
    fn start() -> Result<Self> {
        let folder = folder("cluster")?;
        let [backend] = free_ports()?;
        let mut command = pinned(LOAD_CORE, &program("bench-backend")?);
        command.arg(format!("127.0.0.1:{backend}"));
        let mut server = Server::start(command, &folder.join("backend.log"))?;
        server.wait_until_open(backend)?;
        let (database, redis) = (Postgres::start().database(), Redis::start());
        let mut place = Self { nodes: Vec::new(), folder, database, redis, _backend: server };
        for number in 0..NODES {
            let [port, admin] = free_ports()?;
            fs::write(place.file(number), place.document(number, [port, admin, backend]))?;
            let server = place.serve(number, port)?;
            place.nodes.push(Node { number, port, server });
        }
        Ok(place)
    }

    fn file(&self, number: usize) -> PathBuf {
        self.folder.join(format!("node-{number}.yaml"))
    }

    fn serve(&self, number: usize, port: u16) -> Result<Server> {
        let mut command = pinned(PROXY_CORE, &program("vestibule")?);
        command.arg("run").arg(self.file(number)).current_dir(&self.folder);
        let mut server = Server::start(command, &self.folder.join(format!("node-{number}.log")))?;
        server.wait_until_open(port)?;
        Ok(server)
    }

    fn document(&self, number: usize, [port, admin, backend]: [u16; 3]) -> String {
        let (postgres, redis) = (self.database.address(), self.redis.address());
        let api = |name: &str, policies: &str| {
            format!(
                "  {name}: {{match: {{path: /{name}}}, upstream: backend, policies: [{{api-key: {{}}}}{policies}, {{rewrite: {{path: /1k}}}}]}}\n"
            )
        };
        let apis = [
            api("counted", &format!(", {{quota: {{requests: {QUOTA}, per: year, by: app}}}}")),
            api("paced", &format!(", {{spike-arrest: {{rate: {RATE}/s, burst: {BURST}, per: app}}}}")),
            api("free", ""),
            api(
                "limited",
                ", {quota: {requests: 1000000000, per: year, by: app}}, {spike-arrest: {rate: 1000000/s, per: app}}",
            ),
        ]
        .concat();
        let operations: Vec<_> =
            ["counted", "paced", "free", "limited"].iter().map(|api| format!("\"{api}: GET /**\"")).collect();
        format!(
            "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\nadmin: {{bind: \
             \"127.0.0.1:{admin}\"}}\nstore: {{postgres: \"{postgres}\", redis: \"{redis}\", folder: ./data-{number}}}\n\
             encryption: {{master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}\nupstreams: {{backend: \
             {{targets: [\"http://127.0.0.1:{backend}\"]}}}}\napis:\n{apis}products: {{all: {{operations: [{}]}}}}\n",
            operations.join(", ")
        )
    }

    fn admin(&self, node: usize, words: &[&str]) -> Result<Value> {
        let (program, config) = (program("vestibule")?.display().to_string(), self.file(node).display().to_string());
        let answer = output(&program, &[&["admin"], words, &["--config", &config, "--json"]].concat())?;
        serde_json::from_str(&answer).with_context(|| format!("no JSON: {answer}"))
    }

    /// A company whose key is known to all nodes.
    fn partner(&self, company: &str, api: &str) -> Result<Asks> {
        let app = format!("{company}/app");
        self.admin(0, &["company", "create", company])?;
        self.admin(1, &["app", "create", &app])?;
        self.admin(2, &["subscription", "create", &app, "all"])?;
        let made = self.admin(0, &["key", "create", &app])?;
        let secret = made.get("secret").and_then(Value::as_str).context("no key")?.to_owned();
        // It is everywhere at once, but the first requests should not find out how soon.
        sleep(Duration::from_secs(2));
        Ok(Asks { path: format!("/{api}"), header: format!("x-api-key: {secret}") })
    }

    /// How many requests of a company are in the totals, after each node has added its own.
    fn sum(&self, company: &str) -> Result<u64> {
        let mut sum = 0;
        for node in 0..NODES {
            let usage = self.admin(node, &["usage", "--company", company])?;
            if usage.get("complete") != Some(&Value::Bool(true)) {
                bail!("the sums are not complete: {usage}");
            }
            sum = usage.pointer("/total/requests").and_then(Value::as_u64).unwrap_or_default();
        }
        Ok(sum)
    }

    /// Kills a node, which ends its load, and starts it again where it was.
    fn kill(&mut self, number: usize) -> Result<()> {
        let node = self.nodes.get_mut(number).context("there is such a node")?;
        let port = node.port;
        node.server.signal("KILL")?;
        node.server.stop("KILL")?;
        let server = self.serve(number, port)?;
        let node = self.nodes.get_mut(number).context("there is such a node")?;
        node.server = server;
        Ok(())
    }
}

/// What clients ask for.
struct Asks {
    path: String,
    header: String,
}

impl Node {
    /// Asks so often, as fast as it is answered.
    fn count(&self, asks: &Asks, requests: u64) -> Result<Child> {
        self.load("count", asks, &["--requests", &requests.to_string(), "--connections", &CLIENTS.to_string()])
    }

    /// Asks for so long, at the same pace.
    fn rate(&self, asks: &Asks, time: Duration) -> Result<Child> {
        let (rate, seconds) = (REQUESTS.to_string(), time.as_secs().to_string());
        self.load("rate", asks, &["--rate", &rate, "--seconds", &seconds, "--connections", "16"])
    }

    fn load(&self, mode: &str, asks: &Asks, words: &[&str]) -> Result<Child> {
        let mut command = pinned(LOAD_CORE, &program("bench-load")?);
        command.args([mode, &format!("127.0.0.1:{}", self.port), &asks.path, "--header", &asks.header]).args(words);
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("no load for node {}", self.number))
    }
}

/// Waits for loads, and adds up what they had.
fn finish(loads: Vec<Child>) -> Result<Had> {
    let mut all = Had::default();
    for load in loads {
        let said = load.wait_with_output()?;
        let figures = Figures::read(&String::from_utf8_lossy(&said.stdout))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of requests")]
        let number = |name: &str| figures.number(name) as u64;
        all.answered += number("answered");
        all.refused += number("refused");
        all.failed += number("failed");
    }
    Ok(all)
}
