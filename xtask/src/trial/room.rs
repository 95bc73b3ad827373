//! `cargo xtask trial room`: a rush on a waiting room, kills in the middle of it, and a start with a million places.

use super::report::Section;
use super::scene::{GATEWAY_CORE, ask, build, clock, folder, milliseconds, program};
use crate::bench::load::Figures;
use crate::bench::process::{LOAD_CORE, Server, free_ports, pinned};
use crate::run::{installed, output, root};
use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Connections of each rush.
const CONNECTIONS: usize = 256;
/// How long each rush is measured.
const SECONDS: u64 = 8;
/// How often the gateway is killed, and how long visitors come before each time.
const KILLS: u32 = 10;
const FIRST: Duration = Duration::from_millis(400);
const LONGER: Duration = Duration::from_millis(53);
/// Visitors who come at the same time while it is killed.
const VISITORS: usize = 64;
/// Places that a start has to read.
const PLACES: u64 = 1_000_000;

/// What a rush came to.
struct Rush {
    rate: f64,
    /// CPU of the gateway for each answer.
    cpu: Duration,
    p99: Duration,
    bad: f64,
}

/// A gateway that is started again and again in one folder.
struct Place {
    folder: PathBuf,
    port: u16,
    server: Option<Server>,
}

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut section = Section::new(
        "A rush on a waiting room",
        format!(
            "The release build on one core, with one worker; load on the other core by wrk, {CONNECTIONS} connections that ask \
             as fast as they are answered, {SECONDS} s each. Kills: {VISITORS} visitors join one after the other, and \
             `kill -9` comes in the middle, {KILLS} times in one folder; every place that was told is compared after each start."
        ),
    );
    rushes(&mut section)?;
    kills(&mut section)?;
    Ok(section)
}

fn rushes(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-rush")?;
    place.start()?;
    let still = place.rush("/still", "")?;
    let process = place.rush("/fast/assign_queue_num", JOIN)?;
    let polls = [("/wait/serving_num?event_id=Sample".to_owned(), "serving_num"), (place.queue_num()?, "queue_num")];
    let disk = place.rush("/wait/assign_queue_num", JOIN)?;
    let told = |rush: &Rush| {
        format!(
            "{:.0}/s, p99 {}, {:.1} µs of CPU each, {} bad",
            rush.rate,
            milliseconds(rush.p99),
            micros(rush),
            rush.bad
        )
    };
    section.row(
        "joins, on the disk before they are answered",
        "≥ 20,000/s on one core",
        told(&disk),
        is_good(&disk, 20_000.0),
    );
    section.row("joins, `durability: process`", "≥ 60,000/s on one core", told(&process), is_good(&process, 60_000.0));
    let ratio = micros(&disk) / micros(&still);
    let measured = format!("{ratio:.2} times ({:.1} µs for a static answer)", micros(&still));
    section.row("CPU of a durable join, beside a static answer", "≤ 3 times", measured, ratio <= 3.0);
    for (path, name) in polls {
        let poll = place.rush(&path, "")?;
        let ratio = poll.rate / still.rate;
        let measured = format!("{ratio:.2} of {:.0}/s: {}", still.rate, told(&poll));
        section.row(
            format!("polls of `{name}`"),
            "≥ 0.7 of the rate of a static answer",
            measured,
            ratio >= 0.7 && poll.bad < 1.0,
        );
    }
    starts(section, &mut place)
}

/// Fills a room until it has a million places, kills, and starts again.
fn starts(section: &mut Section, place: &mut Place) -> Result<()> {
    while place.waiting()? < PLACES {
        place.rush("/fast/assign_queue_num", JOIN)?;
    }
    let waiting = place.waiting()?;
    let resident = place.server()?.resident();
    place.end("KILL")?;
    let begun = clock();
    place.start()?;
    while place.waiting_now().is_none() {
        sleep(Duration::from_millis(2));
    }
    let took = clock().saturating_sub(begun);
    let again = place.waiting()?;
    let measured = format!("{} with {again} places of {waiting} in both rooms", milliseconds(took));
    section.row(
        "from the start after `kill -9` to answering",
        "< 1 s",
        measured,
        took < Duration::from_secs(1) && again == waiting,
    );
    #[expect(clippy::cast_precision_loss, reason = "bytes of a process")]
    let each = resident as f64 / waiting as f64;
    section.row(
        "memory of the process, for each place",
        "told",
        format!("{each:.0} bytes of {} MiB", resident >> 20),
        true,
    );
    place.end("TERM")
}

fn kills(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-kill")?;
    let known = Arc::new(Mutex::new(HashMap::<String, u64>::new()));
    let (mut wrong, mut lost, mut cut) = (0, 0, 0);
    for number in 0..KILLS {
        place.start()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let port = place.port;
        let visitors: Vec<_> = (0..VISITORS)
            .map(|_| {
                let (known, is_over) = (known.clone(), is_over.clone());
                spawn(move || come(port, &known, &is_over))
            })
            .collect();
        sleep(FIRST + LONGER * number);
        place.end("KILL")?;
        is_over.store(true, Ordering::SeqCst);
        for visitor in visitors {
            cut += u64::from(visitor.join().is_ok_and(|came| came.is_err()));
        }
        place.start()?;
        for (id, told) in known.lock().iter_mut() {
            match place_of(place.port, id)? {
                None => lost += 1,
                // It was told of its id, and died before it asked for its place.
                Some(found) if *told == 0 => *told = found,
                Some(found) if found != *told => wrong += 1,
                Some(_) => {}
            }
        }
        place.end("TERM")?;
    }
    place.start()?;
    let known = known.lock();
    let mut places: Vec<u64> = known.values().copied().collect();
    places.sort_unstable();
    let double = places.windows(2).filter(|pair| matches!(pair, [one, other] if one == other)).count();
    let queue = waiting(place.port)?;
    let last = places.last().copied().unwrap_or(0);
    let measured = format!(
        "{lost} lost, {wrong} changed, {double} given twice, of {} told in {KILLS} lives ({cut} cut)",
        known.len()
    );
    section.row(
        "places that were told, after `kill -9`",
        "0 lost, changed or given twice",
        measured,
        lost + wrong == 0 && double == 0 && !known.is_empty(),
    );
    let untold = queue.saturating_sub(known.len() as u64);
    let measured = format!("{queue} places, {last} the last that was told, {untold} whose answer was cut");
    section.row(
        "places without a gap",
        "as many as were told, and at most those cut",
        measured,
        untold <= cut && last <= queue,
    );
    place.end("TERM")
}

/// Joins again and again on one connection, asks for the place each time, and notes what it is told.
fn come(port: u16, known: &Mutex<HashMap<String, u64>>, is_over: &AtomicBool) -> Result<()> {
    let mut line = Line::open(port)?;
    while !is_over.load(Ordering::Relaxed) {
        let body = "{\"event_id\":\"Sample\"}";
        let head = format!("POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let joined = line.ask(&(head + body))?;
        let id = joined.get("api_request_id").and_then(Value::as_str).context("no id")?.to_owned();
        known.lock().insert(id.clone(), 0);
        let asked =
            line.ask(&format!("GET /wait/queue_num?event_id=Sample&request_id={id} HTTP/1.1\r\nHost: a\r\n\r\n"))?;
        let place = asked.get("queue_number").and_then(Value::as_u64).context("no place")?;
        known.lock().insert(id, place);
    }
    Ok(())
}

/// A connection that stays.
struct Line(BufReader<TcpStream>);

impl Line {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn ask(&mut self, request: &str) -> Result<Value> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                bail!("it was closed");
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }
}

fn place_of(port: u16, id: &str) -> Result<Option<u64>> {
    let (_, text) = ask(port, &format!("GET /wait/queue_num?event_id=Sample&request_id={id}"), "")?;
    Ok(member(&text, "queue_number"))
}

fn waiting(port: u16) -> Result<u64> {
    let (_, text) = ask(port, "GET /wait/waiting_num?event_id=Sample", "")?;
    member(&text, "waiting_num").context("no number")
}

/// A number in an answer's body.
fn member(text: &str, name: &str) -> Option<u64> {
    let (_, body) = text.split_once("\r\n\r\n")?;
    serde_json::from_str::<Value>(body).ok()?.get(name)?.as_u64()
}

impl Place {
    fn make(name: &str) -> Result<Self> {
        let folder = folder(name)?;
        let [port, admin] = free_ports()?;
        let document = format!(
            "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\n\
             admin: {{bind: \"127.0.0.1:{admin}\"}}\nstore: {{embedded: ./data}}\n\
             rooms:\n  sale: {{event: Sample, position_expiry: 15m}}\n  fast: {{event: Sample, durability: process}}\n\
             apis:\n  wait: {{match: {{path: /wait}}, policies: [{{waiting-room-api: {{room: sale}}}}]}}\n  \
             fast: {{match: {{path: /fast}}, policies: [{{waiting-room-api: {{room: fast}}}}]}}\n  \
             still: {{match: {{path: /still}}, policies: [{{respond: {{json: {{serving_counter: \"0\"}}}}}}]}}\n"
        );
        fs::write(folder.join("vestibule.yaml"), document)?;
        fs::write(
            folder.join("join.lua"),
            "dofile(\"bench/figures.lua\")\nwrk.method = \"POST\"\nwrk.body = '{\"event_id\":\"Sample\"}'\n\
             wrk.headers[\"content-type\"] = \"application/json\"\n",
        )?;
        Ok(Self { folder, port, server: None })
    }

    fn start(&mut self) -> Result<()> {
        let mut command = pinned(GATEWAY_CORE, &program("vestibule")?);
        command.arg("run").arg(self.folder.join("vestibule.yaml")).current_dir(&self.folder);
        let mut server = Server::start(command, &self.folder.join("gateway.log"))?;
        server.wait_until_open(self.port)?;
        self.server = Some(server);
        Ok(())
    }

    fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("it does not run")
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.stop(signal))
    }

    /// Asks as fast as it is answered; `script` is a file of the folder, or nothing for GET.
    fn rush(&self, path: &str, script: &str) -> Result<Rush> {
        let figures_only = root()?.join("bench/figures.lua");
        let script = if script.is_empty() { figures_only } else { self.folder.join(script) };
        let wrk = installed("wrk").context("wrk is not installed")?;
        let core = LOAD_CORE.0.to_string();
        let words = [
            "-c".to_owned(),
            core,
            wrk.display().to_string(),
            "-t1".to_owned(),
            format!("-c{CONNECTIONS}"),
            format!("-d{SECONDS}s"),
            "-s".to_owned(),
            script.display().to_string(),
            format!("http://127.0.0.1:{}{path}", self.port),
        ];
        let before = self.server()?.cpu();
        let said = output("taskset", &words.iter().map(String::as_str).collect::<Vec<_>>())?;
        let spent = self.server()?.cpu().saturating_sub(before);
        let figures = Figures::read(&said)?;
        let answered = figures.number("answered").max(1.0);
        let rush = Rush {
            rate: answered / figures.number("seconds"),
            cpu: spent.div_f64(answered),
            p99: Duration::from_secs_f64(figures.number("p99_us") / 1e6),
            bad: figures.number("refused") + figures.number("failed"),
        };
        println!("{path}: {:.0}/s, {:.2} µs, {} bad", rush.rate, micros(&rush), rush.bad);
        Ok(rush)
    }

    /// The path by which somebody asks for a place.
    fn queue_num(&self) -> Result<String> {
        let body = "{\"event_id\":\"Sample\"}";
        let head = format!("POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let joined = Line::open(self.port)?.ask(&(head + body))?;
        let id = joined.get("api_request_id").and_then(Value::as_str).context("no id")?;
        Ok(format!("/wait/queue_num?event_id=Sample&request_id={id}"))
    }

    /// How many wait in both rooms.
    fn waiting(&self) -> Result<u64> {
        let (_, text) = ask(self.port, "GET /fast/waiting_num?event_id=Sample", "")?;
        Ok(waiting(self.port)? + member(&text, "waiting_num").context("no number")?)
    }

    /// As [`waiting`], if it is answered.
    fn waiting_now(&self) -> Option<u64> {
        waiting(self.port).ok()
    }
}

fn is_good(rush: &Rush, rate: f64) -> bool {
    rush.rate >= rate && rush.bad < 1.0
}

fn micros(rush: &Rush) -> f64 {
    rush.cpu.as_secs_f64() * 1e6
}

/// The script that joins.
const JOIN: &str = "join.lua";
