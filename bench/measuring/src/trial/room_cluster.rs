//! `cargo xtask trial room-cluster`: two nodes that have a waiting room together on a real Redis, one of them killed in the rush.

use super::report::Section;
use super::scene::{build, clock, folder, milliseconds, program};
use crate::bench::room::place::{Line, member};
use anyhow::{Context, Result};
use parking_lot::Mutex;
use programs::process::{PROXY_CORE, Server, free_ports, pinned};
use serde_json::Value;
use servers::{Database, Postgres, Redis};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

const NODES: usize = 2;
/// Visitors at each node who join one after the other.
const VISITORS: usize = 48;
/// How often a node is killed, the other one each time.
const KILLS: usize = 10;
/// How long there are two nodes before, and one after.
const BEFORE: Duration = Duration::from_millis(900);
const LONGER: Duration = Duration::from_millis(41);
/// Requests on a connection, fewer than a listener allows.
const REQUESTS: usize = 50_000;
const AFTER: Duration = Duration::from_millis(2500);
/// How long it may take until all of it was told at the end.
const TOLD_WITHIN: Duration = Duration::from_mins(1);

struct Place {
    nodes: Vec<Option<Server>>,
    ports: Vec<u16>,
    folder: PathBuf,
    database: Database,
    redis: Redis,
}

/// What visitors were told: places by ids, none for those who were told their id only.
type Known = Arc<Mutex<HashMap<String, Option<u64>>>>;

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut section = Section::new(
        "A waiting room of several nodes",
        format!(
            "{NODES} nodes of the release build on one core share a real PostgreSQL and a real Redis, which writes each step down \
             before it answers (`appendfsync always`); clients and servers have the other core. {VISITORS} visitors at each node \
             join one after the other; {KILLS} times one of the nodes is killed by `kill -9` in the middle, by turns, and started \
             again later. Every place that was told is compared on both nodes at the end, and what happened with what a file was \
             told of it, which the nodes write by turns."
        ),
    );
    let mut place = Place::start()?;
    let known = Known::default();
    let (mut longest, mut cut, mut joined) = (Duration::ZERO, 0, 0);
    for kill in 0..KILLS {
        let (victim, survivor) = (kill % NODES, (kill + 1) % NODES);
        let dying = Visitors::come(place.port(victim)?, &known);
        let staying = Visitors::come(place.port(survivor)?, &known);
        sleep(BEFORE + LONGER * u32::try_from(kill)?);
        place.kill(victim)?;
        sleep(AFTER);
        let (of_dead, of_living) = (dying.go()?, staying.go()?);
        cut += of_dead.cut + of_living.cut;
        joined += of_living.joined;
        longest = longest.max(of_living.longest);
        place.serve(victim)?;
    }
    let measured = format!("{} at the longest, {joined} joined there", milliseconds(longest));
    section.row(
        "from one join to the next at the node that lives, during a kill",
        "goes on within 2 s",
        measured,
        longest < Duration::from_secs(2) && joined > 0,
    );
    compare(&place, &known.lock(), cut, &mut section)?;
    telling(&place, &known.lock(), &mut section)?;
    rate(&place, &mut section)?;
    Ok(section)
}

/// Compares what was told with what the nodes say.
fn compare(place: &Place, known: &HashMap<String, Option<u64>>, cut: u64, section: &mut Section) -> Result<()> {
    let (mut lost, mut changed, mut differing, mut places) = (0, 0, 0, Vec::new());
    let mut lines = Vec::new();
    for (number, (id, told)) in known.iter().enumerate() {
        if number % REQUESTS == 0 {
            lines = place.ports.iter().map(|port| Line::open(*port)).collect::<Result<Vec<_>>>()?;
        }
        let mut said = Vec::new();
        for line in &mut lines {
            said.push(line.place(id)?);
        }
        let Some(Some(found)) = said.first().copied() else {
            lost += 1;
            continue;
        };
        differing += u64::from(said.iter().any(|other| *other != Some(found)));
        changed += u64::from(told.is_some_and(|told| told != found));
        places.push(found);
    }
    places.sort_unstable();
    let double = places.windows(2).filter(|pair| matches!(pair, [one, other] if one == other)).count();
    let measured = format!(
        "{lost} lost, {changed} changed, {double} given twice, {differing} told otherwise by the other node, of {}",
        known.len()
    );
    let is_kept = lost + changed + differing == 0 && double == 0 && !known.is_empty();
    section.row("places that were told", "0 lost, changed or given twice", measured, is_kept);
    let (_, text) = super::scene::ask(place.port(0)?, "GET /wait/waiting_num?event_id=Sample", "")?;
    let queue = member(&text, "waiting_num").context("no number")?;
    let untold = queue.saturating_sub(known.len() as u64);
    let last = places.last().copied().unwrap_or(0);
    let measured =
        format!("{queue} places, {last} the last that was told, {untold} whose answer was cut, of {cut} that were");
    section.row(
        "places without a gap",
        "as many as were told, and at most those cut",
        measured,
        untold <= cut && last <= queue,
    );
    Ok(())
}

/// Compares what happened with what was told of it.
fn telling(place: &Place, known: &HashMap<String, Option<u64>>, section: &mut Section) -> Result<()> {
    let begun = clock();
    let (told, twice) = loop {
        let (mut told, mut ids, mut twice) = (HashSet::new(), HashSet::new(), 0_u64);
        for line in fs::read_to_string(place.folder.join("told.jsonl"))?.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            twice += u64::from(!ids.insert(text("/id")));
            told.insert(text("/data/request_id"));
        }
        let is_whole = known.keys().all(|id| told.contains(id));
        if is_whole || clock().saturating_sub(begun) > TOLD_WITHIN {
            break (told, twice);
        }
        sleep(Duration::from_millis(100));
    };
    let missing = known.keys().filter(|id| !told.contains(*id)).count();
    let measured = format!(
        "{missing} missing of {}, {twice} told twice with the same id; complete {} after the last kill's end",
        known.len(),
        milliseconds(clock().saturating_sub(begun))
    );
    section.row("joins that others are told of, while whoever tells is killed", "0 missing", measured, missing == 0);
    Ok(())
}

/// How many join a second at both nodes together, while nothing happens to them.
fn rate(place: &Place, section: &mut Section) -> Result<()> {
    const TIME: Duration = Duration::from_secs(5);
    let known = Known::default();
    let visitors = [Visitors::come(place.port(0)?, &known), Visitors::come(place.port(1)?, &known)];
    sleep(TIME);
    let (mut joined, mut longest) = (0, Duration::ZERO);
    for visitors in visitors {
        let told = visitors.go()?;
        (joined, longest) = (joined + told.joined, longest.max(told.longest));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of joins")]
    let rate = joined as f64 / TIME.as_secs_f64();
    let measured = format!(
        "{rate:.0}/s by {} visitors, each of whom asks for their place, too; {} at the longest",
        2 * VISITORS,
        milliseconds(longest)
    );
    section.row("joins at both nodes at once", "told", measured, true);
    Ok(())
}

/// Visitors at a node, until they are to go.
struct Visitors {
    is_over: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<Came>>,
}

/// What visitors had.
#[derive(Default)]
struct Came {
    joined: u64,
    cut: u64,
    /// The longest time between two answers to any of them.
    longest: Duration,
    answers: Vec<Duration>,
}

impl Visitors {
    fn come(port: u16, known: &Known) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let visitor = |_| {
            let (known, is_over) = (known.clone(), is_over.clone());
            spawn(move || {
                let mut came = Came::default();
                if join(port, &known, &is_over, &mut came).is_err() {
                    came.cut = 1;
                }
                came
            })
        };
        Self { threads: (0..VISITORS).map(visitor).collect(), is_over }
    }

    fn go(self) -> Result<Came> {
        self.is_over.store(true, Ordering::SeqCst);
        let mut all = Came::default();
        for thread in self.threads {
            let came = thread.join().ok().context("a visitor panicked")?;
            all.joined += came.joined;
            all.cut += came.cut;
            all.answers.extend(came.answers);
        }
        all.answers.sort_unstable();
        let gaps = all.answers.windows(2).filter_map(|pair| Some(pair.last()?.saturating_sub(*pair.first()?)));
        all.longest = gaps.max().unwrap_or_default();
        Ok(all)
    }
}

/// Joins again and again, asks for the place each time, and notes what it is told.
fn join(port: u16, known: &Known, is_over: &AtomicBool, came: &mut Came) -> Result<()> {
    let mut line = Line::open(port)?;
    while !is_over.load(Ordering::Relaxed) {
        let Some(id) = line.join("")? else {
            // It is told to come again: nothing was promised.
            came.cut += 1;
            continue;
        };
        known.lock().insert(id.clone(), None);
        came.joined += 1;
        came.answers.push(clock());
        let place = line.place(&id)?.context("no place")?;
        known.lock().insert(id, Some(place));
    }
    Ok(())
}

impl Place {
    fn start() -> Result<Self> {
        let folder = folder("room-cluster")?;
        let (database, redis) = (Postgres::start().database(), Redis::start());
        redis.set("appendfsync", "always");
        let mut place = Self { nodes: Vec::new(), ports: Vec::new(), folder, database, redis };
        for number in 0..NODES {
            let [port, admin] = free_ports()?;
            place.ports.push(port);
            place.nodes.push(None);
            fs::write(place.file(number), place.document(number, [port, admin]))?;
            place.serve(number)?;
        }
        Ok(place)
    }

    fn port(&self, number: usize) -> Result<u16> {
        self.ports.get(number).copied().context("there is such a node")
    }

    fn file(&self, number: usize) -> PathBuf {
        self.folder.join(format!("node-{number}.yaml"))
    }

    fn document(&self, number: usize, [port, admin]: [u16; 2]) -> String {
        let (postgres, redis) = (self.database.address(), self.redis.address());
        format!(
            "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\nadmin: {{bind: \
             \"127.0.0.1:{admin}\"}}\nstore: {{postgres: \"{postgres}\", redis: \"{redis}\", folder: ./data-{number}}}\n\
             encryption: {{master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}\n\
             rooms: {{sale: {{event: Sample, position_expiry: 15m}}}}\n\
             room_events: {{told: {{to: {{file: {{path: told.jsonl}}}}, types: [visitor_joined]}}}}\n\
             apis: {{wait: {{match: {{path: /wait}}, policies: [{{waiting-room-api: {{room: sale}}}}]}}}}\n"
        )
    }

    fn serve(&mut self, number: usize) -> Result<()> {
        let port = self.port(number)?;
        let mut command = pinned(PROXY_CORE, &program("vestibule")?);
        command.arg("run").arg(self.file(number)).current_dir(&self.folder);
        let mut server =
            Server::start(command, &self.folder.join(format!("node-{number}-{}.log", clock().as_millis())))?;
        server.wait_until_open(port)?;
        *self.nodes.get_mut(number).context("there is such a node")? = Some(server);
        Ok(())
    }

    fn kill(&mut self, number: usize) -> Result<()> {
        let mut server = self.nodes.get_mut(number).and_then(Option::take).context("it runs")?;
        server.stop("KILL")
    }
}
