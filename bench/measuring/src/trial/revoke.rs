//! `cargo xtask trial revoke`: how soon a new key works, and how soon a revoked one does not, while others ask.

use super::report::Section;
use super::scene::{build, clock, folder, milliseconds, program, quantile};
use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, pinned};
use programs::run::output;
use serde_json::Value;
use servers::{Database, Postgres, Redis};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How often each is tried.
const TRIES: usize = 100;
/// Requests a second of somebody else.
const RATE: u32 = 1000;
/// How long they go on.
const LOAD: Duration = Duration::from_secs(150);
/// How soon what is revoked has to be refused.
const BAR: Duration = Duration::from_secs(1);

/// Gateways that share what they know: keys are made and revoked at the first, and used at each.
struct Place {
    nodes: Vec<Node>,
    folder: PathBuf,
    _servers: Vec<Server>,
    /// What several nodes share. Last, so that it goes after them.
    shared: Option<(Database, Redis)>,
}

/// Where one gateway listens.
#[derive(Clone, Copy)]
struct Node {
    plain: u16,
    tls: u16,
    admin: u16,
}

/// What was found.
#[derive(Default)]
struct Found {
    /// New keys that worked at each node when they were returned.
    usable: usize,
    /// From asking for a revocation until all nodes refused.
    refused: Vec<Duration>,
    /// From asking for a revocation until the open answer ended.
    cut: Vec<Duration>,
    /// From asking for a revocation until the connection of the certificate ended.
    closed: Vec<Duration>,
    /// Open answers of somebody else that ended, too.
    lost: usize,
}

pub(crate) fn run() -> Result<Section> {
    run_on(1)
}

/// The same on several nodes that share a store.
pub(crate) fn run_on_several() -> Result<Section> {
    run_on(3)
}

fn run_on(nodes: usize) -> Result<Section> {
    build()?;
    let place = Place::start(nodes)?;
    let neighbour = place.admin(&["key", "create", "acme/shop"])?;
    let neighbour = text(&neighbour, "secret")?;
    let load = place.load(&neighbour)?;
    let begun = clock();
    let mut found = Found::default();
    let mut beside = place.first()?.open(&neighbour)?;
    for number in 0..TRIES {
        place.try_key(&mut found)?;
        place.try_certificate(number, &mut found)?;
    }
    if LOAD < clock().saturating_sub(begun) {
        bail!("the load ended before the tries did");
    }
    found.lost = usize::from(beside.has_ended());
    let load = load.wait_with_output()?;
    let load: Value = serde_json::from_str(String::from_utf8_lossy(&load.stdout).lines().last().unwrap_or_default())?;
    Ok(section(&found, &load, place.nodes.len()))
}

fn section(found: &Found, load: &Value, nodes: usize) -> Section {
    let mut section = Section::new(
        if nodes == 1 { "Revoked is dead" } else { "Revoked is dead on all nodes" },
        format!(
            "{nodes} node(s) of the release build on one core, {RATE} requests a second of another key of the same app. \
             {TRIES} times: a key is made and used when the answer is there; an answer without an end is opened with it; \
             it is revoked, and used until it is refused. As often a certificate, whose connection is open. Times count \
             from sending the request to revoke."
        ),
    );
    let usable = found.usable;
    section.row(
        "a new key works when it is returned",
        format!("{TRIES} of {TRIES}"),
        format!("{usable} of {TRIES}"),
        usable == TRIES,
    );
    for (what, times) in [
        ("revoked key: refused", &found.refused),
        ("revoked key: its open answer ends", &found.cut),
        ("revoked certificate: its open connection ends", &found.closed),
    ] {
        let at = |percent| quantile(times.clone(), percent);
        let [half, most, all] = [50, 99, 100].map(|percent| milliseconds(at(percent)));
        let is_kept = times.len() == TRIES && at(99) < BAR;
        section.row(
            what,
            "p99 < 1 s",
            format!("p50 {half}, p99 {most}, at most {all}, {} tries", times.len()),
            is_kept,
        );
    }
    section.row(
        "open answer of the other key",
        "stays",
        if found.lost == 0 { "stayed" } else { "ended" },
        found.lost == 0,
    );
    let number = |name: &str| load.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (answered, failed) = (number("answered"), number("failed") + number("refused"));
    let p99 = milliseconds(Duration::from_micros(number("p99_us")));
    let measured = format!("{failed} of {} failed, p99 {p99}", answered + failed);
    section.row("requests beside", "0 fail", measured, failed == 0 && 0 < answered);
    section
}

impl Place {
    /// Starts so many nodes with the app `acme/shop`. More than one need a store that they share.
    fn start(count: usize) -> Result<Self> {
        let folder = folder(if count == 1 { "revoke" } else { "revoke-everywhere" })?;
        let shared = (count > 1).then(|| (Postgres::start().database(), Redis::start()));
        let [backend, stream] = free_ports()?;
        let mut command = pinned(LOAD_CORE, &program("bench-backend")?);
        command.arg(format!("127.0.0.1:{backend}"));
        let mut servers = vec![Server::start(command, &folder.join("backend.log"))?];
        for server in &mut servers {
            server.wait_until_open(backend)?;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, stream))?;
        drop(spawn(move || listener.incoming().flatten().for_each(|stream| drop(spawn(|| drop(talk(stream)))))));
        certificate(&folder)?;
        let mut nodes = Vec::new();
        for number in 0..count {
            let [plain, tls, admin] = free_ports()?;
            let node = Node { plain, tls, admin };
            let file = folder.join(format!("node-{number}.yaml"));
            fs::write(&file, document(node, backend, stream, &store(number, shared.as_ref())))?;
            let mut command = pinned(PROXY_CORE, &program("vestibule")?);
            command.arg("run").arg(&file).current_dir(&folder);
            let mut server = Server::start(command, &folder.join(format!("node-{number}.log")))?;
            server.wait_until_open(plain)?;
            servers.push(server);
            nodes.push(node);
        }
        let place = Self { nodes, folder, _servers: servers, shared };
        place.admin(&["company", "create", "acme"])?;
        place.admin(&["app", "create", "acme/shop"])?;
        place.admin(&["subscription", "create", "acme/shop", "all"])?;
        Ok(place)
    }

    fn first(&self) -> Result<Node> {
        self.nodes.first().copied().context("there is a node")
    }

    fn admin(&self, words: &[&str]) -> Result<Value> {
        let config = self.folder.join("node-0.yaml").display().to_string();
        let answer = output(
            &program("vestibule")?.display().to_string(),
            &[&["admin"], words, &["--config", &config, "--json"]].concat(),
        )?;
        serde_json::from_str(&answer).with_context(|| format!("no JSON: {answer}"))
    }

    /// Asks the Admin API itself: starting a program takes longer than what is measured.
    fn post(&self, path: &str, body: &str) -> Result<Value> {
        let token = fs::read_to_string(self.folder.join("data-0/admin.token"))?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.first()?.admin))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: \
             application/json\r\nContent-Length: {}\r\n\r\n{body}",
            token.trim(),
            body.len()
        )?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        let (_, body) = said.split_once("\r\n\r\n").context("no HTTP answer")?;
        serde_json::from_str(body).with_context(|| format!("no JSON: {said}"))
    }

    fn try_key(&self, found: &mut Found) -> Result<()> {
        let wait = if self.shared.is_some() { "?wait=all" } else { "" };
        let made = self.post(&format!("/companies/acme/apps/shop/keys{wait}"), "{}")?;
        let (id, secret) = (text(&made, "id")?, text(&made, "secret")?);
        let is_usable = self.nodes.iter().map(|node| node.status(&secret)).collect::<Result<Vec<_>>>()?;
        found.usable += usize::from(is_usable.iter().all(|status| *status == 200));
        let open = self.nodes.iter().map(|node| node.open(&secret)).collect::<Result<Vec<_>>>()?;

        let begun = clock();
        // Whoever waits for the end notes when it came.
        let waiting: Vec<_> = open.into_iter().map(|open| spawn(move || open.end())).collect();
        self.post(&format!("/keys/{id}/revoke"), "")?;
        for node in &self.nodes {
            while node.status(&secret)? == 200 {
                give_up_after(begun)?;
            }
        }
        found.refused.push(clock().saturating_sub(begun));
        let ends = waiting.into_iter().map(|waiting| waiting.join().unwrap_or(Duration::MAX));
        found.cut.push(ends.max().unwrap_or_default().saturating_sub(begun));
        Ok(())
    }

    fn try_certificate(&self, number: usize, found: &mut Found) -> Result<()> {
        let name = self.folder.join(format!("client-{number}"));
        let file = |ending: &str| format!("{}.{ending}", name.display());
        let (key, request, chain) = (file("key"), file("csr"), file("crt"));
        let make = "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=till";
        let words: Vec<&str> = make.split_whitespace().chain(["-keyout", &key, "-out", &request]).collect();
        output("openssl", &words)?;
        let asked = serde_json::json!({ "request": fs::read_to_string(&request)? });
        let wait = if self.shared.is_some() { "?wait=all" } else { "" };
        let signed = self.post(&format!("/companies/acme/apps/shop/certificates{wait}"), &asked.to_string())?;
        fs::write(&chain, text(&signed, "certificate")?)?;
        let fingerprint = text(&signed, "fingerprint")?;
        let mut open = Vec::new();
        for node in &self.nodes {
            open.push(node.connect(&chain, &key)?);
        }

        let begun = clock();
        self.post(&format!("/certificates/{fingerprint}/revoke"), "")?;
        for client in &mut open {
            while client.try_wait()?.is_none() {
                give_up_after(begun)?;
                sleep(Duration::from_millis(1));
            }
        }
        found.closed.push(clock().saturating_sub(begun));
        Ok(())
    }

    fn load(&self, key: &str) -> Result<Child> {
        let mut command = pinned(LOAD_CORE, &program("bench-load")?);
        command.args(["rate", &format!("127.0.0.1:{}", self.first()?.plain), "/1k", "--connections", "16"]);
        command.args(["--rate", &RATE.to_string(), "--seconds", &LOAD.as_secs().to_string()]);
        Ok(command.args(["--header", &format!("x-api-key: {key}")]).stdout(Stdio::piped()).spawn()?)
    }
}

impl Node {
    /// The status of a request with this key, on a connection of its own.
    fn status(self, key: &str) -> Result<u16> {
        let (status, _) = super::scene::ask(self.plain, "GET /1k", &format!("x-api-key: {key}\r\n"))?;
        Ok(status)
    }

    /// Opens an answer that has no end.
    fn open(self, key: &str) -> Result<Open> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.plain))?;
        write!(stream, "GET /stream HTTP/1.1\r\nHost: localhost\r\nx-api-key: {key}\r\n\r\n")?;
        let mut lines = BufReader::new(stream);
        let mut status = String::new();
        lines.read_line(&mut status)?;
        if !status.starts_with("HTTP/1.1 200") {
            bail!("the answer that should stay open: {status}");
        }
        Ok(Open(lines))
    }

    /// A client with a certificate whose first request is answered, and whose connection is open.
    fn connect(self, chain: &str, key: &str) -> Result<Child> {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-quiet",
            "-connect",
            &format!("127.0.0.1:{}", self.tls),
            "-cert",
            chain,
            "-key",
            key,
        ]);
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut stdin = client.stdin.as_ref().context("it is piped")?;
        write!(stdin, "GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut status = String::new();
        BufReader::new(client.stdout.as_mut().context("it is piped")?).read_line(&mut status)?;
        if !status.starts_with("HTTP/1.1 200") {
            bail!("the answer to a certificate: {status}");
        }
        Ok(client)
    }
}

/// An answer that has no end.
struct Open(BufReader<TcpStream>);

impl Open {
    /// Reads until it ends all the same; the time of day then.
    fn end(mut self) -> Duration {
        let mut piece = [0; 1024];
        while self.0.read(&mut piece).is_ok_and(|length| length > 0) {}
        clock()
    }

    fn has_ended(&mut self) -> bool {
        let mut piece = [0; 8 * 1024];
        // Pieces come all the time: what came so far, and then one that is yet to come.
        drop(self.0.get_ref().set_read_timeout(Some(Duration::from_secs(2))));
        (0..10).any(|_| !self.0.read(&mut piece).is_ok_and(|length| length > 0))
    }
}

/// A backend whose answers have no end.
fn talk(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = BufReader::new(stream.try_clone()?).lines();
    if head.find(|line| !matches!(line, Ok(line) if !line.is_empty())).is_none() {
        return Ok(());
    }
    write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        write!(stream, "3\r\nhi\n\r\n")?;
        sleep(Duration::from_millis(500));
    }
}

/// Where a node keeps what it keeps.
fn store(number: usize, shared: Option<&(Database, Redis)>) -> String {
    let Some((database, redis)) = shared else { return format!("store: {{embedded: ./data-{number}}}") };
    format!(
        "store: {{postgres: \"{}\", redis: \"{}\", folder: ./data-{number}}}\nencryption: {{master_keys: \
         [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]}}",
        database.address(),
        redis.address()
    )
}

fn document(Node { plain, tls, admin }: Node, backend: u16, stream: u16, store: &str) -> String {
    format!(
        "version: 1\nworkers: 1\nlisteners:\n  public: {{bind: \"127.0.0.1:{plain}\"}}\n  partners: {{bind: \
         \"127.0.0.1:{tls}\", tls: {{certificates: [{{cert: cert.pem, key: key.pem}}], client_authorities: [partners], \
         client_auth: optional}}}}\nadmin: {{bind: \"127.0.0.1:{admin}\"}}\n{store}\n\
         certificate_authorities: {{partners: {{}}}}\nupstreams:\n  backend: {{targets: \
         [\"http://127.0.0.1:{backend}\"]}}\n  stream: {{targets: [\"http://127.0.0.1:{stream}\"]}}\napis:\n  \
         keys: {{match: {{path: /}}, upstream: backend, policies: [{{api-key: {{}}, when: \"request.scheme == 'http'\"}}, \
         {{client-certificate: {{}}, when: \"request.scheme == 'https'\"}}]}}\n  stream: {{match: {{path: /stream}}, \
         upstream: stream, policies: [{{api-key: {{}}}}]}}\nproducts: {{all: {{operations: [\"keys: GET /**\", \
         \"stream: GET /**\"]}}}}\n"
    )
}

fn certificate(folder: &Path) -> Result<()> {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name).display().to_string());
    let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost";
    let words: Vec<&str> = make.split_whitespace().chain(["-keyout", &key, "-out", &certificate]).collect();
    output("openssl", &words)?;
    Ok(())
}

fn text(value: &Value, member: &str) -> Result<String> {
    let found = value.get(member).and_then(Value::as_str).map(str::to_owned);
    found.with_context(|| format!("no `{member}` in {value}"))
}

fn give_up_after(begun: Duration) -> Result<()> {
    if Duration::from_secs(20) < clock().saturating_sub(begun) {
        bail!("what was revoked goes on");
    }
    Ok(())
}
