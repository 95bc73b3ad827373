//! `cargo xtask trial waf`: the OWASP Core Rule Set through a gateway: all of its tests, what requests cost, and who waits
//! while others send long bodies.

use super::report::Section;
use super::scene::{Gateway, build, clock, milliseconds, program, quantile};
use anyhow::{Context, Result, bail};
use ftw::outside::{Log, Sent, send};
use programs::process::{LOAD_CORE, Server, free_ports, pinned};
use programs::run::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// Names a folder with the rule set and its tests.
const RULE_SET: &str = "VESTIBULE_TEST_CRS";
/// Tests that the gateway refuses before any rule, with status and reason.
const REFUSED: &str = "crates/acceptance-firewall/tests/refused_earlier.txt";
/// Requests of each kind whose cost is measured.
const ASKED: usize = 2000;
/// Requests beside long bodies.
const BESIDE: usize = 500;
/// Clients that send long bodies all the time.
const LONG: usize = 4;

pub(crate) fn run() -> Result<Section> {
    let named = std::env::vars_os().find(|(name, _)| name == RULE_SET).map(|(_, value)| PathBuf::from(value));
    let Some(rules) = named else { bail!("{RULE_SET} must name a folder with the OWASP Core Rule Set and its tests") };
    build()?;
    let mut section = Section::new(
        "The firewall with the Core Rule Set",
        format!(
            "The release build on one core, its backend and clients on another. The regression tests of the Core Rule Set \
             are sent over sockets, byte for byte, at paranoia level 4 without overrides. Then {ASKED} requests of each of \
             three kinds, one after another, through a route without the firewall and through one with it at level 1: \
             processor time of the gateway. Then {BESIDE} small requests while {LONG} clients send bodies of 1 MB."
        ),
    );
    tests(&rules, &mut section)?;
    costs(&rules, &mut section)?;
    Ok(section)
}

/// The regression tests, through a gateway.
fn tests(rules: &Path, section: &mut Section) -> Result<()> {
    let (port, _backend) = reflecting()?;
    let own = root()?.join("target/trial/waf-setup.conf");
    fs::create_dir_all(own.parent().context("a folder")?)?;
    fs::write(&own, ftw::setup())?;
    let list = [own, rules.join("crs-setup.conf.example"), rules.join("rules/*.conf")];
    let list: Vec<String> = list.iter().map(|path| path.display().to_string()).collect();
    let parts = format!(
        "upstreams: {{backend: {{targets: [\"http://127.0.0.1:{port}\"]}}}}\nrequests: {{underscore_headers: keep, \
         repeated_slashes: keep}}\nlimits: {{head_bytes: 256KiB, uri_bytes: 128KiB, headers: 1000}}\nlogs: [{{file: {{path: \
         audit.log, format: modsecurity}}}}]\napis: {{all: {{match: {{path: /}}, upstream: backend, policies: [waf: {{mode: \
         detect, rules: {list:?}}}]}}}}\n"
    );
    let mut gateway = Gateway::start("waf-tests", &parts)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, gateway.port));
    let (mut ports, mut sent) = (BTreeSet::new(), Vec::<Sent>::new());
    let began = clock();
    for file in files(&rules.join("tests"))? {
        let tests = ftw::read(&fs::read_to_string(&file)?).with_context(|| file.display().to_string())?;
        sent.extend(send(address, &tests, &mut ports)?);
    }
    let took = clock().saturating_sub(began);
    gateway.server.stop("TERM")?;
    let log = Log::read(&fs::read_to_string(gateway.folder.join("audit.log"))?);
    let refused = fs::read_to_string(root()?.join(REFUSED))?;
    let refused: BTreeMap<&str, (&str, &str)> = refused
        .lines()
        .filter_map(|line| {
            let (status, rest) = line.split_once(' ')?;
            let (test, why) = rest.split_once(' ')?;
            Some((test, (status, why)))
        })
        .collect();
    let mut tests: BTreeMap<(u64, u64), bool> = BTreeMap::new();
    for stage in &sent {
        *tests.entry((stage.rule, stage.test)).or_insert(true) &= stage.failure(&log).is_none();
    }
    let failed = tests.iter().filter(|(_, passed)| !**passed).map(|((rule, test), _)| format!("{rule}-{test}"));
    let (listed, other): (Vec<_>, Vec<_>) = failed.partition(|test| refused.contains_key(test.as_str()));
    let passed = tests.values().filter(|passed| **passed).count();
    section.row(
        "regression tests through the gateway",
        format!("all but those that it refuses before ({})", refused.len()),
        format!(
            "{passed} of {} pass, {} are refused as listed, {} fail ({}); {:.0} s",
            tests.len(),
            listed.len(),
            other.len(),
            other.join(", "),
            took.as_secs_f64()
        ),
        other.is_empty() && tests.len() >= 5082,
    );
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (test, why) in refused.iter().filter(|(test, _)| listed.iter().any(|failed| failed == *test)) {
        reasons.entry(*why).or_default().push(test);
    }
    for ((status, why), tests) in reasons {
        let measured = format!("{} tests: {}", tests.len(), tests.join(", "));
        section.row(format!("refused before any rule: {why}"), status, measured, true);
    }
    Ok(())
}

/// What requests cost with and without the firewall, and who waits for long bodies.
fn costs(rules: &Path, section: &mut Section) -> Result<()> {
    let [backend] = free_ports()?;
    let mut command = pinned(LOAD_CORE, &program("bench-backend")?);
    command.arg(format!("127.0.0.1:{backend}"));
    let mut server = Server::start(command, &root()?.join("target/trial/waf-backend.log"))?;
    server.wait_until_open(backend)?;
    let list =
        [rules.join("crs-setup.conf.example"), rules.join("rules/*.conf")].map(|path| path.display().to_string());
    let parts = format!(
        "upstreams: {{backend: {{targets: [\"http://127.0.0.1:{backend}\"]}}}}\napis:\n  off: {{match: {{path: /off}}, \
         upstream: backend}}\n  on: {{match: {{path: /on}}, upstream: backend, policies: [waf: {{rules: {list:?}, \
         request_body: {{limit: 2MiB}}}}]}}\n"
    );
    let gateway = Gateway::start("waf-costs", &parts)?;
    for (what, of) in
        [("GET with browser headers", Kind::Get), ("form of 3.4 KB", Kind::Form), ("JSON of 10 KB", Kind::Json)]
    {
        let (off, _) = cost(&gateway, "/off", of)?;
        let (on, times) = cost(&gateway, "/on", of)?;
        section.row(
            format!("processor time of a {what}: with the firewall, and without"),
            "measured, no bar",
            format!("{}, {}; p50 {}", milliseconds(on), milliseconds(off), milliseconds(quantile(times, 50))),
            true,
        );
    }
    beside(&gateway, section)
}

#[derive(Clone, Copy)]
enum Kind {
    Get,
    Form,
    Json,
}

impl Kind {
    fn request(self, path: &str, number: usize) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Get => return head("GET", &format!("{path}/items/{number}?page={number}&sort=name"), "", 0),
            Self::Form => {
                let fields =
                    (0..20).map(|field| format!("field{field}={}", words(number + field, 20).replace(' ', "+")));
                ("application/x-www-form-urlencoded", fields.collect::<Vec<_>>().join("&"))
            }
            Self::Json => {
                let item = |item: usize| format!("{{\"id\":{item},\"name\":\"{}\"}}", words(number + item, 22));
                ("application/json", format!("[{}]", (0..55).map(item).collect::<Vec<_>>().join(",")))
            }
        };
        let mut request = head("POST", &format!("{path}/items"), &format!("Content-Type: {kind}\r\n"), body.len());
        request.extend(body.bytes());
        request
    }
}

/// Ordinary words, others for each number.
fn words(number: usize, count: usize) -> String {
    const WORDS: [&str; 12] = [
        "green", "umbrella", "seven", "order", "window", "paper", "city", "letter", "garden", "river", "stone", "music",
    ];
    let word = |at: usize| WORDS.get((number * 7 + at * 5 + at * at) % WORDS.len()).copied().unwrap_or_default();
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

fn head(method: &str, target: &str, more: &str, length: usize) -> Vec<u8> {
    let length = if length > 0 { format!("Content-Length: {length}\r\n") } else { String::new() };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
         AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\nAccept: \
         text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7\r\n\
         Accept-Encoding: gzip, deflate, br\r\nReferer: https://shop.example/items?page=1\r\nCookie: session=8d1f0c2a77b1; \
         theme=dark; lang=en\r\n{more}{length}\r\n"
    )
    .into_bytes()
}

/// Processor time of the gateway for one request, and how long each took.
fn cost(gateway: &Gateway, path: &str, kind: Kind) -> Result<(Duration, Vec<Duration>)> {
    let mut client = Client::connect(gateway.port)?;
    for number in 0..20 {
        client.ask(&kind.request(path, number))?;
    }
    let before = gateway.server.cpu();
    let mut times = Vec::with_capacity(ASKED);
    for number in 0..ASKED {
        let request = kind.request(path, number);
        let began = clock();
        let status = client.ask(&request)?;
        times.push(clock().saturating_sub(began));
        if status != 200 {
            bail!("an ordinary request of {path} was answered with {status}");
        }
    }
    let spent = gateway.server.cpu().saturating_sub(before);
    Ok((spent / u32::try_from(ASKED)?, times))
}

/// Small requests while others send long bodies.
fn beside(gateway: &Gateway, section: &mut Section) -> Result<()> {
    let alone = small(gateway)?;
    let stop = Arc::new(AtomicBool::new(false));
    let body = format!("{{\"text\":\"{}\"}}", words(1, 160_000));
    let mut request = head("POST", "/on/items", "Content-Type: application/json\r\n", body.len());
    request.extend(body.bytes());
    let request = Arc::new(request);
    let clients: Vec<JoinHandle<Result<usize>>> = (0..LONG)
        .map(|_| {
            let (stop, request, port) = (stop.clone(), request.clone(), gateway.port);
            spawn(move || {
                let mut client = Client::connect(port)?;
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    client.ask(&request)?;
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    sleep(Duration::from_millis(500));
    let beside = small(gateway);
    stop.store(true, Ordering::Relaxed);
    let mut long = 0;
    for client in clients {
        long += client.join().unwrap_or_else(|_| bail!("a client panicked"))?;
    }
    let beside = beside?;
    let [alone, p99] = [alone, beside].map(|times| quantile(times, 99));
    section.row(
        format!("small requests while {LONG} clients send bodies of 1 MB ({long} of them): p99, and alone"),
        "≤ 50 ms",
        format!("{}, {}", milliseconds(p99), milliseconds(alone)),
        p99 <= Duration::from_millis(50),
    );
    Ok(())
}

fn small(gateway: &Gateway) -> Result<Vec<Duration>> {
    let mut client = Client::connect(gateway.port)?;
    let mut times = Vec::with_capacity(BESIDE);
    for number in 0..BESIDE {
        let request = Kind::Get.request("/on", number);
        let began = clock();
        client.ask(&request)?;
        times.push(clock().saturating_sub(began));
    }
    Ok(times)
}

/// A connection on which one request follows another.
pub(super) struct Client(BufReader<TcpStream>);

impl Client {
    pub(super) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(super) fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.0.get_mut().write_all(request)?;
        let (mut line, mut length) = (String::new(), 0_u64);
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP answer")?;
        loop {
            let mut field = String::new();
            self.0.read_line(&mut field)?;
            if field.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = field.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        std::io::copy(&mut self.0.by_ref().take(length), &mut std::io::sink())?;
        Ok(status)
    }
}

/// A backend as tests expect it; it ends with this process.
fn reflecting() -> Result<(u16, JoinHandle<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let serve = move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the gateway's affair.
            spawn(move || drop(reflect(stream)));
        }
    };
    Ok((port, spawn(serve)))
}

fn reflect(stream: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let mut body = Vec::new();
        let (mut length, mut is_chunked) = (0_usize, false);
        loop {
            let mut field = Vec::new();
            reader.read_until(b'\n', &mut field)?;
            let field = String::from_utf8_lossy(&field).to_ascii_lowercase();
            if field.trim().is_empty() {
                break;
            }
            if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            is_chunked |= field.starts_with("transfer-encoding:");
        }
        if is_chunked {
            loop {
                let mut size = String::new();
                reader.read_line(&mut size)?;
                let size = usize::from_str_radix(size.trim(), 16)?;
                let mut chunk = vec![0; size + 2];
                reader.read_exact(&mut chunk)?;
                if size == 0 {
                    break;
                }
                body.extend(chunk.get(..size).unwrap_or_default());
            }
        } else {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        let mut words = line.split(|byte| *byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        reader.get_mut().write_all(&ftw::reflect(method, target, &body))?;
    }
}

/// The test files, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for group in fs::read_dir(folder)? {
        let group = group?.path();
        if group.is_dir() {
            for file in fs::read_dir(group)? {
                files.push(file?.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
