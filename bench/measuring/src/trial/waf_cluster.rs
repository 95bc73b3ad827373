//! `cargo xtask trial waf-cluster`: what rules remember on two nodes of one database, which is away for a while, and nodes that
//! are killed.

use super::report::Section;
use super::scene::{build, clock, folder, milliseconds, program, quantile};
use super::waf::Client;
use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, pinned};
use servers::{Database, Postgres, Redis};
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

const NODES: usize = 2;
/// Clients that are blocked at one node, one after another.
const BLOCKED: usize = 30;
/// Clients that are counted before both nodes are killed.
const COUNTED: usize = 200;
/// How long the database is away, and how often each node is asked a second meanwhile.
const AWAY: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_millis(10);
/// Clients that come at once.
const CROWD: usize = 5000;
/// Requests whose cost is measured.
const ASKED: usize = 5000;

/// A request to `/count` raises the counter of its client; one to `/block-N` is refused from N on.
const DIRECTIVES: &str = r#"
            SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REQUEST_HEADERS.x-client}"
            SecRule REQUEST_FILENAME "@endsWith /count" "id:2,phase:1,pass,nolog,setvar:ip.seen=+1,expirevar:ip.seen=600"
            SecRule REQUEST_FILENAME "@endsWith /block-1" "id:3,phase:1,deny,status:429,chain"
              SecRule IP:seen "@ge 1"
            SecRule REQUEST_FILENAME "@endsWith /block-100" "id:4,phase:1,deny,status:429,chain"
              SecRule IP:seen "@ge 100"
            SecRule REQUEST_FILENAME "@endsWith /block-101" "id:5,phase:1,deny,status:429,chain"
              SecRule IP:seen "@ge 101""#;
/// As many rules, and no collection.
const PLAIN: &str = r#"
            SecAction "id:1,phase:1,pass,nolog,setvar:tx.client=%{REQUEST_HEADERS.x-client}"
            SecRule REQUEST_FILENAME "@endsWith /count" "id:2,phase:1,pass,nolog,setvar:tx.seen=+1"
            SecRule REQUEST_FILENAME "@endsWith /block-1" "id:3,phase:1,deny,status:429,chain"
              SecRule TX:seen "@ge 1"
            SecRule REQUEST_FILENAME "@endsWith /block-100" "id:4,phase:1,deny,status:429,chain"
              SecRule TX:seen "@ge 100"
            SecRule REQUEST_FILENAME "@endsWith /block-101" "id:5,phase:1,deny,status:429,chain"
              SecRule TX:seen "@ge 101""#;

struct Place {
    nodes: Vec<Server>,
    ports: [u16; NODES],
    folder: PathBuf,
    database: Database,
    redis: Redis,
    _backend: Server,
}

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut place = Place::start()?;
    let mut section = Section::new(
        "What the firewall's rules remember on several nodes",
        format!(
            "{NODES} nodes of the release build on one core share a real PostgreSQL; clients, backend and database have the \
             other core. Rules count the requests of a client in the collection IP and refuse it from a number on."
        ),
    );
    blocked(&place, &mut section)?;
    kills(&mut place, &mut section)?;
    away(&mut place, &mut section)?;
    crowd(&place, &mut section)?;
    cost(&place, &mut section)?;
    Ok(section)
}

/// From what one node counts to what the other does.
fn blocked(place: &Place, section: &mut Section) -> Result<()> {
    let (mut one, mut two) = (place.client(0)?, place.client(1)?);
    let mut times = Vec::new();
    for number in 0..BLOCKED {
        let name = format!("blocked-{number}");
        one.ask(&get("/on/count", &name))?;
        let began = clock();
        while two.ask(&get("/on/block-1", &name))? != 429 {
            if clock().saturating_sub(began) > Duration::from_secs(30) {
                bail!("{name} is never blocked at the other node");
            }
            sleep(Duration::from_millis(5));
        }
        times.push(clock().saturating_sub(began));
        // Not in step with what nodes do each second.
        sleep(Duration::from_millis(137));
    }
    let most = quantile(times.clone(), 100);
    let measured =
        format!("{} median, {} at the longest of {BLOCKED}", milliseconds(quantile(times, 50)), milliseconds(most));
    section.row(
        "from a count at one node to the refusal at the other",
        "≤ 2 s",
        measured,
        most <= Duration::from_secs(2),
    );
    Ok(())
}

/// What is known after all nodes were killed.
fn kills(place: &mut Place, section: &mut Section) -> Result<()> {
    let (mut client, mut told) = (place.client(0)?, Vec::new());
    for number in 0..COUNTED {
        client.ask(&get("/on/count", &format!("killed-{number}")))?;
        told.push(clock());
        sleep(Duration::from_millis(20));
    }
    let killed = clock();
    for node in 0..NODES {
        place.kill(node)?;
    }
    sleep(Duration::from_secs(3));
    let (mut lost, mut lost_late) = (0, 0);
    let mut client = place.client(1)?;
    for (number, told) in told.iter().enumerate() {
        if client.ask(&get("/on/block-1", &format!("killed-{number}")))? != 429 {
            let is_late = killed.saturating_sub(*told) < Duration::from_secs(2);
            (lost, lost_late) = (lost + usize::from(!is_late), lost_late + usize::from(is_late));
        }
    }
    let measured = format!("{lost} of {COUNTED} lost, and {lost_late} that were counted within the last 2 s");
    section.row(
        "clients that were counted before kill -9 of both nodes",
        "0 lost but of the last 2 s",
        measured,
        lost == 0,
    );
    Ok(())
}

/// The database is away while clients ask on.
fn away(place: &mut Place, section: &mut Section) -> Result<()> {
    let mut clients = [place.client(0)?, place.client(1)?];
    place.database.server().stop();
    let (began, mut asked, mut failed, mut times) = (clock(), 0, 0, Vec::new());
    while clock().saturating_sub(began) < AWAY {
        for client in &mut clients {
            // Fifty times at each node, and ordinary requests.
            let path = if asked < 100 { "/on/count" } else { "/on/other" };
            let sent = clock();
            failed += usize::from(client.ask(&get(path, "away"))? != 200);
            times.push(clock().saturating_sub(sent));
            asked += 1;
        }
        sleep(EVERY);
    }
    let alone: Vec<u16> =
        clients.iter_mut().map(|client| client.ask(&get("/on/block-100", "away"))).collect::<Result<_>>()?;
    let measured =
        format!("{failed} of {asked} failed; p99 {}; alone, nodes answer {alone:?}", milliseconds(quantile(times, 99)));
    let what = format!("requests while the database is stopped for {AWAY:?}");
    section.row(what, "0 fail, each node counts by itself", measured, failed == 0 && alone == [200, 200]);

    place.database.server().start_again();
    let began = clock();
    let mut found = Vec::new();
    while clock().saturating_sub(began) < Duration::from_secs(30) {
        let ask = |client: &mut Client| {
            Ok([client.ask(&get("/on/block-100", "away"))?, client.ask(&get("/on/block-101", "away"))?])
        };
        found = clients.iter_mut().map(ask).collect::<Result<Vec<_>>>()?;
        if found.iter().all(|statuses| *statuses == [429, 200]) {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    let took = clock().saturating_sub(began);
    let is_whole = found.iter().all(|statuses| *statuses == [429, 200]);
    let measured = format!("after {:.1} s: {found:?} for `at least 100` and `at least 101`", took.as_secs_f64());
    section.row("50 counted at each node meanwhile, when it is back", "100 at both", measured, is_whole);
    Ok(())
}

/// Very many clients at once.
fn crowd(place: &Place, section: &mut Section) -> Result<()> {
    let (mut one, mut two) = (place.client(0)?, place.client(1)?);
    let began = clock();
    for number in 0..CROWD {
        one.ask(&get("/on/count", &format!("crowd-{number}")))?;
    }
    let counted = clock();
    let mut unknown: Vec<usize> = (0..CROWD).collect();
    while !unknown.is_empty() && clock().saturating_sub(counted) < Duration::from_mins(1) {
        let mut still = Vec::new();
        for number in unknown {
            if two.ask(&get("/on/block-1", &format!("crowd-{number}")))? != 429 {
                still.push(number);
            }
        }
        unknown = still;
    }
    let measured = format!(
        "{} not known; {:.1} s after the last of them, who came within {:.1} s",
        unknown.len(),
        clock().saturating_sub(counted).as_secs_f64(),
        counted.saturating_sub(began).as_secs_f64()
    );
    section.row(
        format!("{CROWD} clients counted at one node are known at the other"),
        "all",
        measured,
        unknown.is_empty(),
    );
    Ok(())
}

/// Processor time of a node for a request.
fn cost(place: &Place, section: &mut Section) -> Result<()> {
    let mut measured = Vec::new();
    for (what, path) in
        [("no collection", "/off/count"), ("the same client", "/on/count"), ("another client each", "/on/count")]
    {
        let mut client = place.client(0)?;
        let server = place.nodes.first().context("there is a node")?;
        // What others left to be brought is not theirs.
        sleep(Duration::from_secs(3));
        let before = server.cpu();
        for number in 0..ASKED {
            let name = if what == "another client each" { format!("cost-{number}") } else { "cost".to_owned() };
            client.ask(&get(path, &name))?;
        }
        // With what it costs to tell the database.
        sleep(Duration::from_secs(3));
        let spent = server.cpu().saturating_sub(before);
        measured.push(format!("{what}: {:.0} µs", spent.as_secs_f64() * 1e6 / f64::from(u32::try_from(ASKED)?)));
    }
    section.row(
        "processor time of a node for a request, sharing included",
        "measured, no bar",
        measured.join("; "),
        true,
    );
    Ok(())
}

fn get(path: &str, client: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nX-Client: {client}\r\n\r\n").into_bytes()
}

impl Place {
    fn start() -> Result<Self> {
        let folder = folder("waf-cluster")?;
        let [backend] = free_ports()?;
        let mut command = pinned(LOAD_CORE, &program("bench-backend")?);
        command.arg(format!("127.0.0.1:{backend}"));
        let mut server = Server::start(command, &folder.join("backend.log"))?;
        server.wait_until_open(backend)?;
        let (database, redis) = (Postgres::start().database(), Redis::start());
        let mut place = Self { nodes: Vec::new(), ports: free_ports()?, folder, database, redis, _backend: server };
        for node in 0..NODES {
            fs::write(place.file(node), place.document(node, backend)?)?;
            let server = place.serve(node)?;
            place.nodes.push(server);
        }
        Ok(place)
    }

    fn file(&self, node: usize) -> PathBuf {
        self.folder.join(format!("node-{node}.yaml"))
    }

    fn port(&self, node: usize) -> Result<u16> {
        self.ports.get(node).copied().context("there is such a node")
    }

    fn client(&self, node: usize) -> Result<Client> {
        Client::connect(self.port(node)?)
    }

    fn serve(&self, node: usize) -> Result<Server> {
        let mut command = pinned(PROXY_CORE, &program("vestibule")?);
        command.arg("run").arg(self.file(node)).current_dir(&self.folder);
        let mut server = Server::start(command, &self.folder.join(format!("node-{node}.log")))?;
        server.wait_until_open(self.port(node)?)?;
        Ok(server)
    }

    /// Kills a node, and starts it again where it was.
    fn kill(&mut self, node: usize) -> Result<()> {
        let server = self.nodes.get_mut(node).context("there is such a node")?;
        server.signal("KILL")?;
        server.stop("KILL")?;
        let server = self.serve(node)?;
        *self.nodes.get_mut(node).context("there is such a node")? = server;
        Ok(())
    }

    fn document(&self, node: usize, backend: u16) -> Result<String> {
        let (port, postgres, redis) = (self.port(node)?, self.database.address(), self.redis.address());
        let api = |name: &str, directives: &str| {
            format!(
                "  {name}:\n    match: {{path: /{name}}}\n    upstream: backend\n    policies:\n      - waf:\n          \
                 directives: |{directives}\n      - rewrite: {{path: /1k}}\n"
            )
        };
        Ok(format!(
            "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\nstore: {{postgres: \"{postgres}\", redis: \"{redis}\", \
             folder: ./data-{node}}}\nencryption: {{master_keys: [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}\nupstreams: \
             {{backend: {{targets: [\"http://127.0.0.1:{backend}\"]}}}}\napis:\n{}{}",
            api("on", DIRECTIVES),
            api("off", PLAIN)
        ))
    }
}
