//! `cargo xtask trial sessions`: partners who open and forget sessions at several nodes, of which one is killed again and again.

use super::report::Section;
use super::scene::{build, clock, folder, milliseconds, program};
use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use programs::process::{PROXY_CORE, Server, free_ports, pinned};
use programs::run::output;
use serde_json::Value;
use servers::{Database, Postgres, Redis};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Nodes that share a store.
const NODES: usize = 3;
/// Sessions that the company may have.
const MOST: usize = 20;
/// Clients of the company at each node.
const CLIENTS: usize = 64;
/// How often a node is killed.
const KILLS: usize = 5;
/// How long clients come and go before each kill, and after it.
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(3);
/// What the document says, and for how long a place that nobody renews is held therefore.
const IDLE: Duration = Duration::from_secs(2);
const TIME_TO_LIVE: Duration = Duration::from_secs(5);
/// How often what is over is looked for, and what closing at the backend takes.
const ROUND: Duration = Duration::from_secs(2);

/// A backend that knows its sessions.
#[derive(Default)]
struct Crm {
    opened: AtomicUsize,
    open: Mutex<BTreeSet<String>>,
    most: AtomicUsize,
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    refused: AtomicUsize,
    used: AtomicUsize,
    /// Uses of a session that was just opened that were answered otherwise than with 200.
    wrong: AtomicUsize,
    /// Requests without an answer.
    cut: AtomicUsize,
}

/// The nodes, and what they share.
struct Place {
    nodes: Vec<Node>,
    crm: Arc<Crm>,
    key: String,
    // Last, so that nodes end before their servers.
    _database: Database,
    _redis: Redis,
}

struct Node {
    server: Server,
    folder: PathBuf,
    port: u16,
}

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut place = Place::start()?;
    let seen = Arc::new(Seen::default());
    let mut freed = Vec::new();
    for number in 0..KILLS {
        freed.push(place.round(number, &seen)?);
    }
    Ok(section(&place.crm, &seen, &freed))
}

fn section(crm: &Crm, seen: &Seen, freed: &[Option<Duration>]) -> Section {
    let mut section = Section::new(
        "Sessions on several nodes",
        format!(
            "{NODES} nodes of the release build on one core, with a real PostgreSQL and Redis. {CLIENTS} clients at each open \
             a session, use it at another node, and end it or, every fourth time, forget it; the company may have {MOST}, \
             and `idle` is {IDLE:?}. {KILLS} times: {BEFORE:?} of that, then a node is killed (`kill -9`), {AFTER:?} more, then \
             everybody is still until no session is left. The backend counts what is open."
        ),
    );
    let most = crm.most.load(Ordering::SeqCst);
    let [opened, refused, used, wrong, cut] =
        [&seen.opened, &seen.refused, &seen.used, &seen.wrong, &seen.cut].map(|count| count.load(Ordering::SeqCst));
    let measured = format!("{most} at most; {} were opened, {refused} refused", crm.opened.load(Ordering::SeqCst));
    section.row("sessions open at once", format!("≤ {MOST} at any instant"), measured, (1..=MOST).contains(&most));
    let measured = format!("{wrong} of {used} answered wrongly; {opened} opened, {cut} requests cut by kills");
    section.row("uses of a session at another node", "0 wrong", measured, wrong == 0 && 0 < used);
    let latest = freed.iter().map(|freed| freed.unwrap_or(Duration::MAX)).max().unwrap_or_default();
    let measured = match freed.iter().flatten().max() {
        Some(most) if freed.iter().all(Option::is_some) => format!("at most {}", milliseconds(*most)),
        _ => "not all".to_owned(),
    };
    section.row(
        "places of sessions forgotten, and cut by a kill, free and closed at the backend",
        format!("time to live {TIME_TO_LIVE:?}, and {ROUND:?} for closing"),
        measured,
        latest <= TIME_TO_LIVE + ROUND,
    );
    section
}

impl Place {
    fn start() -> Result<Self> {
        let (database, redis) = (Postgres::start().database(), Redis::start());
        let crm = Arc::new(Crm::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let backend = listener.local_addr()?.port();
        let served = crm.clone();
        drop(spawn(move || {
            for stream in listener.incoming().flatten() {
                let crm = served.clone();
                // A connection ends when a node does.
                drop(spawn(move || drop(crm.serve(stream))));
            }
        }));
        let folder = folder("sessions")?;
        let mut nodes = Vec::new();
        for number in 0..NODES {
            let folder = folder.join(format!("node-{number}"));
            fs::create_dir_all(&folder)?;
            let [port, admin] = free_ports()?;
            fs::write(folder.join("vestibule.yaml"), document(port, admin, backend, &database, &redis))?;
            nodes.push(Node { server: start(&folder, port)?, folder, port });
        }
        let mut place = Self { nodes, crm, key: String::new(), _database: database, _redis: redis };
        place.admin(&["company", "create", "acme"])?;
        place.admin(&["app", "create", "acme/desk"])?;
        place.admin(&["subscription", "create", "acme/desk", "all"])?;
        let key = place.admin(&["key", "create", "acme/desk"])?;
        key.get("secret").and_then(Value::as_str).context("no key")?.clone_into(&mut place.key);
        for node in &place.nodes {
            let begun = clock();
            // A key is known everywhere a moment after it was made.
            while !matches!(ask(node.port, "POST /crm/login", &place.key, ""), Some((200, _))) {
                if Duration::from_secs(10) < clock().saturating_sub(begun) {
                    bail!("a node opens no session");
                }
                sleep(Duration::from_millis(50));
            }
        }
        place.wait_until_free()?;
        Ok(place)
    }

    fn admin(&self, words: &[&str]) -> Result<Value> {
        let config = self.nodes.first().context("there is a node")?.folder.join("vestibule.yaml").display().to_string();
        let vestibule = program("vestibule")?.display().to_string();
        let answer = output(&vestibule, &[&["admin"], words, &["--config", &config, "--json"]].concat())?;
        serde_json::from_str(&answer).with_context(|| format!("no JSON: {answer}"))
    }

    /// Clients come and go, a node is killed, everybody is still: how long it takes until all places are free.
    fn round(&mut self, number: usize, seen: &Arc<Seen>) -> Result<Option<Duration>> {
        let ports: Vec<u16> = self.nodes.iter().map(|node| node.port).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..NODES * CLIENTS)
            .map(|client| {
                let (ports, key, seen, stop) = (ports.clone(), self.key.clone(), seen.clone(), stop.clone());
                spawn(move || come_and_go(client, &ports, &key, &seen, &stop))
            })
            .collect();
        sleep(BEFORE);
        // The first one answers what is asked of operators.
        let killed = self.nodes.get_mut(1 + number % (NODES - 1)).context("there are several")?;
        killed.server.stop("KILL")?;
        sleep(AFTER);
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            if client.join().is_err() {
                bail!("a client panicked");
            }
        }
        let begun = clock();
        let is_free = self.wait_until_free()?;
        let took = clock().saturating_sub(begun);
        println!("{number}: {} were open at most, free after {took:?}", self.crm.most.load(Ordering::SeqCst));
        let killed = self.nodes.get_mut(1 + number % (NODES - 1)).context("there are several")?;
        killed.server = start(&killed.folder, killed.port)?;
        Ok(is_free.then_some(took))
    }

    /// Waits until no session has a place and none is open; whether that came.
    fn wait_until_free(&self) -> Result<bool> {
        let begun = clock();
        while clock().saturating_sub(begun) < 6 * TIME_TO_LIVE {
            let left = self.admin(&["session", "list"])?;
            let is_empty = left.get("items").and_then(Value::as_array).is_some_and(Vec::is_empty);
            if is_empty && self.crm.open.lock().is_empty() {
                return Ok(true);
            }
            sleep(Duration::from_millis(100));
        }
        Ok(false)
    }
}

fn start(folder: &Path, port: u16) -> Result<Server> {
    let mut command = pinned(PROXY_CORE, &program("vestibule")?);
    command.args(["run", "vestibule.yaml"]).current_dir(folder);
    let mut server = Server::start(command, &folder.join("gateway.log"))?;
    server.wait_until_open(port)?;
    Ok(server)
}

fn come_and_go(client: usize, ports: &[u16], key: &str, seen: &Seen, stop: &AtomicBool) {
    let port = |number: usize| ports.get(number % ports.len()).copied().unwrap_or_default();
    let count = |counter: &AtomicUsize| counter.fetch_add(1, Ordering::SeqCst);
    let mut number = client;
    while !stop.load(Ordering::SeqCst) {
        number += NODES * CLIENTS + 1;
        let Some((status, session)) = ask(port(number), "POST /crm/login", key, "") else {
            count(&seen.cut);
            sleep(Duration::from_millis(20));
            continue;
        };
        if status != 200 {
            count(&seen.refused);
            sleep(Duration::from_millis(20));
            continue;
        }
        count(&seen.opened);
        match ask(port(number + 1), "GET /crm/customers", key, &session) {
            Some((200, _)) => count(&seen.used),
            Some(_) => count(&seen.wrong) + count(&seen.used),
            None => count(&seen.cut),
        };
        if !number.is_multiple_of(4) && ask(port(number + 2), "DELETE /crm/session", key, &session).is_none() {
            count(&seen.cut);
        }
    }
}

/// Asks once, on a connection of its own: status, and the id of a session if the answer has one.
fn ask(port: u16, line: &str, key: &str, session: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let session = if session.is_empty() { String::new() } else { format!("X-Session: {session}\r\n") };
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Api-Key: {key}\r\n{session}");
    write!(stream, "{head}Content-Length: 0\r\n\r\n").ok()?;
    let lines: Vec<String> = BufReader::new(stream).lines().map_while(Result::ok).collect();
    let status = lines.first()?.split(' ').nth(1)?.parse().ok()?;
    let field = |line: &String| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-session").then(|| value.to_owned())
    };
    Some((status, lines.iter().find_map(field).unwrap_or_default()))
}

impl Crm {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        while let Some(line) = lines.next() {
            let (line, mut session) = (line?, String::new());
            for field in lines.by_ref() {
                let field = field?;
                if field.is_empty() {
                    break;
                }
                if let Some((_, value)) =
                    field.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("x-session"))
                {
                    value.clone_into(&mut session);
                }
            }
            let (status, id) = self.answer(&line, session);
            write!(stream, "HTTP/1.1 {status} X\r\nX-Session: {id}\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    }

    fn answer(&self, line: &str, session: String) -> (u16, String) {
        // As long as a login takes, so that many are under way.
        if line.starts_with("POST") {
            sleep(Duration::from_millis(5));
        }
        let mut open = self.open.lock();
        if line.starts_with("POST") {
            let id = format!("s{}", self.opened.fetch_add(1, Ordering::SeqCst));
            open.insert(id.clone());
            self.most.fetch_max(open.len(), Ordering::SeqCst);
            return (200, id);
        }
        if line.starts_with("DELETE") {
            open.remove(&session);
            return (200, session);
        }
        (if open.contains(&session) { 200 } else { 440 }, session)
    }
}

fn document(port: u16, admin: u16, backend: u16, database: &Database, redis: &Redis) -> String {
    let (postgres, redis) = (database.address(), redis.address());
    format!(
        "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\n\
         admin: {{bind: \"127.0.0.1:{admin}\"}}\nstore: {{postgres: \"{postgres}\", redis: \"{redis}\", folder: ./data}}\n\
         encryption: {{master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}\n\
         upstreams: {{crm: {{targets: [\"http://127.0.0.1:{backend}\"]}}}}\napis:\n  crm:\n    match: {{path: /crm}}\n    \
         upstream: crm\n    policies:\n      - api-key: {{}}\n      - sessions:\n          id: [{{header: x-session}}]\n          \
         open: [{{when: \"request.method == 'POST'\", id: {{header: x-session}}}}]\n          \
         end: [{{when: \"request.method == 'DELETE'\"}}]\n          maximum: {{company: {MOST}}}\n          \
         idle: {}s\n          close: {{upstream: crm, path: /crm/session, headers: {{x-session: \"{{session.id}}\"}}}}\n\
         products: {{all: {{operations: [\"crm: * /**\"]}}}}\n",
        IDLE.as_secs()
    )
}
