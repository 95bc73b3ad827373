//! `sink`: a sink for log records that is away while millions are written and the process is killed, and comes back.

use crate::bench::load::{Figures, HEADERS, text};
use crate::trial::report::Section;
use anyhow::{Context, Result, bail};
use programs::packages::{FLUENT_SERVER, provide_node};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, now, pinned};
use programs::run::{self, root};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const RECORDS: u64 = 5_000_000;
const KILLS: u64 = 5;
const CONNECTIONS: u64 = 32;
/// How long further requests go on before a kill; each time a little longer, so that the kill meets other moments.
const FIRST: Duration = Duration::from_millis(700);
const LONGER: Duration = Duration::from_millis(137);
/// Requests a second while latency is measured, for so many seconds and rounds.
const RATE: u32 = 10_000;
const SECONDS: u32 = 15;
const ROUNDS: usize = 5;
/// How long the sink may take for everything.
const PATIENCE: Duration = Duration::from_mins(20);

/// Notes the id and the target of each entry.
const SERVER: &str = r#"
const { FluentServer } = require("@fluent-org/logger");
const fs = require("fs");
const [port, file] = process.argv.slice(2);
const out = fs.openSync(file, "a");
let lines = [];
const flush = () => { if (lines.length) { fs.writeSync(out, lines.join("")); lines = []; } };
class Noting extends FluentServer {
  onEntry(tag, time, record) {
    lines.push(record.id + " " + record.target + "\n");
    if (lines.length >= 10000) flush();
  }
}
setInterval(flush, 200);
new Noting({ listenOptions: { port: Number(port), host: "127.0.0.1" } }).listen();
"#;

/// What clients saw of one round.
#[derive(Default)]
struct Round {
    answered: u64,
    cut: u64,
}

/// What arrived of one round.
#[derive(Default, Clone)]
struct Arrived {
    distinct: u64,
    again: u64,
}

/// A gateway that is started again and again in one folder.
struct Place {
    folder: PathBuf,
    port: u16,
    sink: u16,
    _backend: Server,
}

/// Writes, kills, lets the sink come back, and compares.
pub(crate) fn run() -> Result<Section> {
    run::run("cargo", &["build", "--release", "--locked", "-p", "vestibule", "-p", "bench-tools"])?;
    provide_node(&[FLUENT_SERVER])?;
    let place = Place::make()?;
    let latency = place.latency()?;
    // Those of the measurement are no part of the count.
    fs::remove_dir_all(place.folder.join("data"))?;

    let mut rounds = Vec::new();
    for number in 0..KILLS {
        rounds.push(place.round(number)?);
    }
    let answered: u64 = rounds.iter().map(|round| round.answered).sum();
    let mut gateway = place.start("shipping")?;
    let disk = settled(&place.folder.join("data/logs"))?;
    let begun = now();
    let mut server = place.server()?;
    let arrived = place.arrived(answered)?;
    let took = begun.elapsed();
    gateway.stop("TERM")?;
    server.stop("TERM")?;
    Ok(report(&rounds, &arrived, (disk, took), &latency))
}

fn report(
    rounds: &[Round],
    arrived: &[Arrived],
    (disk, took): (u64, Duration),
    (without, with): &(f64, f64),
) -> Section {
    let sum = |of: fn(&Round) -> u64| rounds.iter().map(of).sum::<u64>();
    let (answered, cut) = (sum(|round| round.answered), sum(|round| round.cut));
    let lost =
        rounds.iter().zip(arrived).map(|(round, arrived)| round.answered.saturating_sub(arrived.distinct)).sum::<u64>();
    let invented = rounds.iter().zip(arrived).any(|(round, arrived)| arrived.distinct > round.answered + round.cut);
    let distinct: u64 = arrived.iter().map(|arrived| arrived.distinct).sum();
    let again: u64 = arrived.iter().map(|arrived| arrived.again).sum();
    let mut section = Section::new(
        "A sink for logs that is away",
        format!(
            "The release build on one core ships to a Forward server (`{FLUENT_SERVER}`, with acknowledgements) that is not \
             there. {CONNECTIONS} connections ask as fast as they are answered, each path with seven digits of its own, a \
             browser's headers; after each million answers the load goes on and the process gets `kill -9`, {KILLS} times. \
             Then the server is started. Latency before that: {RATE} requests a second in an open loop, {SECONDS} s each, in \
             turn without a sink and with the one that is away; the middle of {ROUNDS}."
        ),
    );
    section.row(
        "records of answers that were received",
        "0 lost",
        format!("{answered} answered, {cut} cut; {distinct} arrived, {lost} lost"),
        lost == 0 && answered >= RECORDS && !invented,
    );
    section.row("records that came again", "with the same id", format!("{again}, each with its first id"), !invented);
    #[expect(clippy::cast_precision_loss, reason = "figures of some millions")]
    let (bytes, rate) = (disk as f64 / answered as f64, distinct as f64 / took.as_secs_f64());
    section.row("disk while the sink is away", "<= 120 bytes a record", format!("{bytes:.1} bytes"), bytes <= 120.0);
    section.row(
        "until the sink has everything",
        "told only",
        format!("{:.0} s, {rate:.0} records a second", took.as_secs_f64()),
        true,
    );
    let ratio = with / without;
    section.row(
        "p99 of requests, with the sink away to without",
        "<= 1.05",
        format!("{with:.0} us to {without:.0} us: {ratio:.3}"),
        ratio <= 1.05,
    );
    section
}

impl Place {
    fn make() -> Result<Self> {
        let folder = root()?.join("target/trial-sink");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let [port, sink, backend_port] = free_ports()?;
        let document = format!(
            "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\nstore: {{embedded: ./data}}\n\
             upstreams: {{backend: {{targets: [\"http://127.0.0.1:{backend_port}\"]}}}}\n\
             apis: {{all: {{match: {{path: /}}, upstream: backend}}}}\n"
        );
        fs::write(folder.join("plain.yaml"), &document)?;
        let logs =
            format!("logs: [{{fluent: {{address: \"127.0.0.1:{sink}\", keep: {{max: 64GiB, on_full: refuse}}}}}}]\n");
        fs::write(folder.join("shipping.yaml"), document + &logs)?;
        fs::write(folder.join("server.js"), SERVER)?;
        let mut command = pinned(LOAD_CORE, &root()?.join("target/release/bench-backend"));
        command.arg(format!("127.0.0.1:{backend_port}"));
        let mut backend = Server::start(command, &folder.join("backend.log"))?;
        backend.wait_until_open(backend_port)?;
        Ok(Self { folder, port, sink, _backend: backend })
    }

    fn start(&self, document: &str) -> Result<Server> {
        let mut command = pinned(PROXY_CORE, &root()?.join("target/release/vestibule"));
        command.args(["run", &format!("{document}.yaml")]).current_dir(&self.folder);
        let mut gateway = Server::start(command, &self.folder.join(format!("{document}.log")))?;
        gateway.wait_until_open(self.port)?;
        Ok(gateway)
    }

    fn server(&self) -> Result<Server> {
        let mut command = pinned(LOAD_CORE, &run::installed("node").context("node is not installed")?);
        command.arg(self.folder.join("server.js")).arg(self.sink.to_string()).arg(self.folder.join("arrived"));
        command.env("NODE_PATH", root()?.join("target/npm/node_modules"));
        let mut server = Server::start(command, &self.folder.join("server.log"))?;
        server.wait_until_open(self.sink)?;
        Ok(server)
    }

    /// The middle p99 without a sink and with one that is away, in microseconds.
    fn latency(&self) -> Result<(f64, f64)> {
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (document, figures) in ["plain", "shipping"].iter().zip(&mut figures) {
                let mut gateway = self.start(document)?;
                let mut command = self.load("steady", "/1k")?;
                command.args(["--connections", "64", "--rate", &RATE.to_string(), "--seconds", &SECONDS.to_string()]);
                let seen = Figures::read(&text(command)?)?;
                gateway.stop("TERM")?;
                println!("{document}: p99 {} us", seen.number("p99_us"));
                figures.push(seen.number("p99_us"));
            }
        }
        let middle = |mut figures: Vec<f64>| {
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or_default()
        };
        let [without, with] = figures.map(middle);
        Ok((without, with))
    }

    /// Starts, has a share of the records written, and kills in the midst of further ones.
    fn round(&self, number: u64) -> Result<Round> {
        let mut gateway = self.start("shipping")?;
        let mut whole = self.counted(number, RECORDS / KILLS)?;
        let share = seen(whole.stdout.take().context("no output")?, &mut whole)?;
        let mut further = self.counted(number, 1_000_000_000)?;
        sleep(FIRST + LONGER * u32::try_from(number)?);
        gateway.signal("KILL")?;
        let rest = seen(further.stdout.take().context("no output")?, &mut further)?;
        gateway.stop("KILL")?;
        let round = Round { answered: share.answered + rest.answered, cut: share.cut + rest.cut };
        println!("{number}: {} answered, {} cut", round.answered, round.cut);
        Ok(round)
    }

    fn counted(&self, number: u64, requests: u64) -> Result<Child> {
        let mut command = self.load("count", &format!("/{number}/#######"))?;
        command.args(["--requests", &requests.to_string(), "--connections", &CONNECTIONS.to_string()]);
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }

    fn load(&self, mode: &str, path: &str) -> Result<Command> {
        let mut command = pinned(LOAD_CORE, &root()?.join("target/release/bench-load"));
        command.args([mode, &format!("127.0.0.1:{}", self.port), path]);
        for line in HEADERS {
            command.args(["--header", line]);
        }
        Ok(command)
    }

    /// What arrived, once it is enough and nothing more comes.
    fn arrived(&self, enough: u64) -> Result<Vec<Arrived>> {
        let file = self.folder.join("arrived");
        let begun = now();
        let (mut before, mut since) = (0, now());
        loop {
            let size = fs::metadata(&file).map_or(0, |metadata| metadata.len());
            if size > before {
                (before, since) = (size, now());
            }
            // A line has at least so many bytes.
            if size / 40 >= enough && rests(since) {
                return noted(&file);
            }
            if begun.elapsed() > PATIENCE || (size > 0 && since.elapsed() > Duration::from_mins(2)) {
                println!("nothing more arrives");
                return noted(&file);
            }
            sleep(Duration::from_millis(200));
        }
    }
}

/// What a load tool saw; it ends with that.
fn seen(output: impl std::io::Read, child: &mut Child) -> Result<Round> {
    let said = std::io::read_to_string(output)?;
    child.wait()?;
    let figures = Figures::read(&said)?;
    if figures.number("refused") > 0.0 {
        bail!("requests were refused: {:?}", figures.text("trouble"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of requests")]
    Ok(Round { answered: figures.number("answered") as u64, cut: figures.number("failed") as u64 })
}

fn rests(since: Instant) -> bool {
    since.elapsed() > Duration::from_secs(5)
}

/// Counts the lines of the server by round.
fn noted(file: &Path) -> Result<Vec<Arrived>> {
    let mut rounds = vec![Arrived::default(); usize::try_from(KILLS)?];
    let mut known: HashMap<u128, String> = HashMap::new();
    for line in BufReader::new(File::open(file)?).lines() {
        let line = line?;
        let (id, target) = line.split_once(' ').context("a line without a target")?;
        let round = target.split('/').nth(1).and_then(|number| number.parse::<usize>().ok());
        let round = round.and_then(|number| rounds.get_mut(number)).context("a target of no round")?;
        match known.insert(u128::from_str_radix(id, 16)?, target.to_owned()) {
            None => round.distinct += 1,
            Some(before) if before == target => round.again += 1,
            Some(before) => bail!("two records have the id {id}: {before} and {target}"),
        }
    }
    Ok(rounds)
}

/// What a folder takes on the disk, once nothing is packed any more.
fn settled(folder: &Path) -> Result<u64> {
    let (mut before, mut since) = (0, now());
    while !rests(since) {
        let size = allocated(folder)?;
        if size != before {
            (before, since) = (size, now());
        }
        sleep(Duration::from_millis(200));
    }
    Ok(before)
}

fn allocated(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => sum += allocated(&entry.path())?,
            Ok(metadata) => sum += metadata.blocks() * 512,
            // It may just have been packed.
            Err(_) => {}
        }
    }
    Ok(sum)
}
