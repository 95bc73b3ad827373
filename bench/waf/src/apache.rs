//! The reference: Apache with ModSecurity 2.9 as Debian ships them, and whether the same rules match there.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ftw::{Head, Read, parse};
use waf::{Rules, Transaction};

use crate::requests::Chance;
use crate::{environment, judge_head, tests};

/// Sends mutated requests to both until so many could be compared, and compares the rules that are in the logs.
pub fn compare(folder: &Path, rules: &Arc<Rules>, count: usize, seed: u64) -> Result<()> {
    let heads = tests::heads(folder)?;
    let mut chance = Chance::seeded(seed);
    let apache = Apache::start(folder)?;
    let (mut asked, mut through) = (Vec::new(), 0);
    while through < count {
        ensure!(asked.len() < 2 * count, "too few requests came through");
        let requests = requests(&heads, &mut chance, count - through);
        let answers = apache.answers(&requests)?;
        through += answers.iter().filter(|answer| answer.is_through()).count();
        asked.extend(requests.into_iter().zip(answers));
    }
    report(rules, &asked, &apache.stop()?)
}

/// A request as it is sent, and what it says.
type Sent = (Vec<u8>, Box<Head>);

fn requests(heads: &[Head], chance: &mut Chance, count: usize) -> Vec<Sent> {
    let mut requests = Vec::new();
    while requests.len() < count {
        let raw = tests::written(&tests::mutated(heads, chance));
        // What is refused before any rule says nothing about rules.
        if let Read::Request(head) = parse(&raw)
            && head.protocol.starts_with(b"HTTP/1.")
            && !matches!(head.method.as_slice(), b"CONNECT" | b"TRACE")
            && head.target != b"*"
        {
            requests.push((raw, head));
        }
    }
    requests
}

fn report(rules: &Arc<Rules>, asked: &[(Sent, Answer)], log: &Log) -> Result<()> {
    let (mut compared, mut matches) = (0, 0);
    let mut refused: BTreeMap<(u16, String), (usize, &[u8])> = BTreeMap::new();
    let mut different = 0;
    for ((raw, head), answer) in asked {
        let Some(id) = answer.id.as_ref().filter(|_| answer.is_through()) else {
            let why = log.causes.get(&answer.port).cloned().unwrap_or_default();
            refused.entry((answer.status, why)).or_insert((0, raw)).0 += 1;
            continue;
        };
        compared += 1;
        let nothing = BTreeMap::new();
        let theirs = log.rules.get(id).unwrap_or(&nothing);
        let judged = judge_head(Transaction::new(Arc::clone(rules), environment()), head)?;
        let ours: BTreeMap<u64, String> = judged
            .matches()
            .filter(waf::Matched::is_logged)
            .filter_map(|matched| Some((matched.rule()?.id()?, told(&matched))))
            .collect();
        matches += theirs.len();
        if ours.keys().ne(theirs.keys()) {
            different += 1;
            let only = |one: &BTreeMap<u64, String>, other: &BTreeMap<u64, String>| {
                one.iter().filter(|(id, _)| !other.contains_key(id)).map(|(_, what)| format!("  {what}\n")).collect()
            };
            let (here, there): (String, String) = (only(&ours, theirs), only(theirs, &ours));
            println!("{}\n only here:\n{here} only there:\n{there}", raw.escape_ascii());
        }
    }
    println!("{compared} compared, {matches} rules in the log of the reference; {different} differ");
    for ((status, why), (count, example)) in &refused {
        println!("not compared: {count} x {status} {why}\n  such as {}", example.escape_ascii());
    }
    Ok(())
}

/// What a rule matched.
fn told(matched: &waf::Matched<'_>) -> String {
    let id = matched.rule().and_then(|rule| rule.id()).unwrap_or_default();
    let name = matched.name().unwrap_or_default().escape_ascii();
    let value: Vec<u8> = matched.value().iter().copied().take(500).collect();
    format!("{id} {}:{name} = {}", matched.variable().name(), value.escape_ascii())
}

/// What came back.
#[derive(Clone, Debug, Default)]
struct Answer {
    status: u16,
    id: Option<String>,
    /// From where it was asked.
    port: u16,
}

impl Answer {
    fn is_through(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What the reference logged.
#[derive(Debug, Default)]
struct Log {
    /// Rules and what they matched, by the id of the request.
    rules: HashMap<String, BTreeMap<u64, String>>,
    /// What else was said, by the port of the client.
    causes: HashMap<u16, String>,
}

/// A running Apache, in a folder of its own.
struct Apache {
    child: Option<Child>,
    place: PathBuf,
    port: u16,
}

impl Apache {
    fn start(folder: &Path) -> Result<Self> {
        let place = std::env::temp_dir().join(format!("bench-waf-apache-{}", std::process::id()));
        std::fs::create_dir_all(place.join("data"))?;
        // Its workers are another user's when root starts it.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(place.join("data"), all)?;
        let (backend, port) = (backend()?, TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let crs = folder.display();
        let rules = format!("{}\nInclude {crs}/crs-setup.conf.example\nInclude {crs}/rules/*.conf\n", ftw::setup());
        std::fs::write(place.join("rules.conf"), rules)?;
        let configuration = CONFIGURATION
            .replace("PLACE", &place.display().to_string())
            .replace("BACKEND", &backend.to_string())
            .replace("PORT", &port.to_string());
        std::fs::write(place.join("apache.conf"), configuration)?;
        let child = Command::new("apache2")
            .args(["-d", "/etc/apache2", "-DFOREGROUND", "-f"])
            .arg(place.join("apache.conf"))
            .stdin(Stdio::null())
            .spawn()
            .context("apache2 is missing: install apache2 and libapache2-mod-security2")?;
        let apache = Self { child: Some(child), place, port };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(apache);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("Apache does not listen; see {}", apache.place.display())
    }

    fn answers(&self, requests: &[Sent]) -> Result<Vec<Answer>> {
        let half = requests.len().div_ceil(2);
        std::thread::scope(|scope| {
            let parts: Vec<_> = requests
                .chunks(half.max(1))
                .map(|part| scope.spawn(move || part.iter().map(|(raw, _)| self.ask(raw)).collect::<Vec<_>>()))
                .collect();
            let answers = parts.into_iter().map(|part| part.join().map_err(|_| anyhow::anyhow!("a sender panicked")));
            Ok(answers.collect::<Result<Vec<_>>>()?.concat())
        })
    }

    /// The status of the answer, and the number that the log has for the request; status 0 if there was no answer.
    fn ask(&self, raw: &[u8]) -> Answer {
        let mut port = 0;
        let mut ask = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            port = stream.local_addr()?.port();
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(raw)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().unwrap_or_default();
        let text = String::from_utf8_lossy(&answer);
        let heads = text.split("\r\n\r\n").find(|head| !head.starts_with("HTTP/1.1 100"));
        let head = heads.unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let id = head.lines().find_map(|line| line.strip_prefix("X-Bench-Id: ")).map(|id| id.trim().to_owned());
        Answer { status, id, port }
    }

    /// Ends it, and reads what it logged. Which rules matched, the audit log says: lines of the other one are cut where they
    /// are too long, before or behind the number of the rule.
    fn stop(mut self) -> Result<Log> {
        self.end();
        let read = |name: &str| -> Result<String> {
            Ok(String::from_utf8_lossy(&std::fs::read(self.place.join(name))?).into_owned())
        };
        let mut log = Log { rules: rules_of(&read("audit.log")?)?, ..Log::default() };
        for line in read("error.log")?.lines() {
            let Some((_, rest)) = line.split_once("[client 127.0.0.1:") else { continue };
            let Some((port, said)) = rest.split_once("] ") else { continue };
            if said.contains("ModSecurity: ") && id(said).is_some() {
                continue;
            }
            // Numbers and values of one request hide that many were refused for one reason.
            let said =
                said.trim_start_matches(CLIENT).split([':', '"', '[', '(']).take(3).collect::<Vec<_>>().join(":");
            let cause = log.causes.entry(port.parse()?).or_default();
            if !cause.contains(said.trim()) {
                cause.push_str(&format!("{}; ", said.trim()));
            }
        }
        Ok(log)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // So that its workers end too, and write what they have.
            let _asked = Command::new("kill").arg(child.id().to_string()).status();
            let _ended = child.wait();
        }
    }
}

/// What an audit log says of rules, by the id of the request.
fn rules_of(audit: &str) -> Result<HashMap<String, BTreeMap<u64, String>>> {
    let mut rules: HashMap<String, BTreeMap<u64, String>> = HashMap::new();
    let (mut request, mut begins) = (String::new(), false);
    for line in audit.lines() {
        if std::mem::replace(&mut begins, line.starts_with("--") && line.ends_with("-A--")) {
            let named = line.split_once("] ").and_then(|(_, rest)| rest.split(' ').next());
            named.context("a record of the audit log without an id")?.clone_into(&mut request);
        } else if let Some(number) = id(line).filter(|_| line.starts_with("Message: ")) {
            rules.entry(request.clone()).or_default().insert(number.parse()?, line.to_owned());
        }
    }
    Ok(rules)
}

/// The number of the rule in a message: the last field of its name, for values may look like one.
fn id(message: &str) -> Option<&str> {
    message.rsplit_once("[id \"")?.1.split('"').next()
}

impl Drop for Apache {
    fn drop(&mut self) {
        self.end();
        if std::env::var_os("BENCH_WAF_KEEP").is_none() {
            let _gone = std::fs::remove_dir_all(&self.place);
        }
    }
}

/// A backend that answers every request alike, and closes the connection.
fn backend() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}

fn serve(mut stream: TcpStream) -> Result<()> {
    let mut read = Vec::new();
    let mut piece = [0; 16_384];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        read.extend_from_slice(&piece[..count]);
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        if read.len() >= end + 4 + length.unwrap_or(0) {
            let body = if read.starts_with(b"HEAD ") { "" } else { crate::ANSWER };
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\nConnection: close\r\n\r\n";
            return Ok(stream.write_all(format!("{head}{body}").as_bytes())?);
        }
    }
}

/// What the error log says twice.
const CLIENT: &str = "[client 127.0.0.1] ";

const CONFIGURATION: &str = r#"
ServerName localhost
PidFile PLACE/pid
ErrorLog PLACE/error.log
LogLevel info
ErrorLogFormat "[%l] [client %{c}a] %M"
Mutex file:PLACE default
Listen 127.0.0.1:PORT
User www-data
Group www-data
KeepAlive Off
Timeout 15
AllowEncodedSlashes On
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule unique_id_module /usr/lib/apache2/modules/mod_unique_id.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule security2_module /usr/lib/apache2/modules/mod_security2.so
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MaxRequestWorkers 8
Header always set X-Bench-Id "%{UNIQUE_ID}e"
SetEnv proxy-sendcl 1
ProxyPass / http://127.0.0.1:BACKEND/ nocanon disablereuse=on
SecAuditEngine On
SecAuditLogParts AHZ
SecAuditLogType Serial
SecAuditLog PLACE/audit.log
SecDataDir PLACE/data
SecTmpDir PLACE/data
SecPcreMatchLimit 1000000
SecPcreMatchLimitRecursion 1000000
SecUnicodeMapFile /etc/modsecurity/unicode.mapping 20127
Include PLACE/rules.conf
"#;
