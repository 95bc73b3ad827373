//! What trials with hostile clients share: a gateway in the release build, a backend that counts, a client beside them.

use anyhow::{Context, Result, bail};
use programs::process::{Core, Server, free_ports, now, pinned};
use programs::run::{output, root, run};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Where the gateway runs.
const GATEWAY: Core = Core(0);
/// Where all others run.
const OTHERS: Core = Core(1);
/// Requests a second of the client beside.
const RATE: u32 = 50;

/// A gateway before a backend, in a folder of their own.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) gateway: Server,
    _backends: [Server; 2],
    folder: PathBuf,
    plain: u16,
    tls: u16,
    backend_port: u16,
}

/// What was seen while clients were hostile.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What they themselves told.
    pub(crate) told: Value,
    /// How much larger the gateway's resident memory became, in bytes.
    pub(crate) grown: u64,
    /// The part of a core that the gateway was busy for.
    pub(crate) busy: f64,
    pub(crate) beside: Beside,
}

/// What a client beside them saw.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) p99: Duration,
}

impl Beside {
    pub(crate) fn text(&self) -> String {
        let Self { answered, failed, p99 } = self;
        format!("{failed} of {} failed, p99 {:.1} ms", answered + failed, p99.as_secs_f64() * 1000.0)
    }
}

impl Stage {
    /// Builds and starts everything. `limits` is what an operator would write.
    pub(crate) fn open(name: &str, limits: &str) -> Result<Self> {
        run("cargo", &["build", "--release", "--locked", "-p", "vestibule", "-p", "bench-tools"])?;
        let folder = root()?.join("target/trial").join(name);
        fs::create_dir_all(&folder)?;
        make_certificate(&folder)?;
        let [plain, tls, backend_port, calm_port] = free_ports()?;
        let hostile = root()?.join("target/release/bench-hostile");
        let mut command = beneath(&hostile);
        command.args(["backend", &format!("127.0.0.1:{backend_port}")]);
        let mut backend = Server::start(command, &folder.join("backend.log"))?;
        backend.wait_until_open(backend_port)?;
        let mut command = pinned(OTHERS, &root()?.join("target/release/bench-backend"));
        command.arg(format!("127.0.0.1:{calm_port}"));
        let mut calm = Server::start(command, &folder.join("calm-backend.log"))?;
        calm.wait_until_open(calm_port)?;
        let document = format!(
            "version: 1\nworkers: 1\nlisteners:\n  plain: {{bind: \"127.0.0.1:{plain}\"}}\n  tls: {{bind: \
             \"127.0.0.1:{tls}\", tls: {{certificates: [{{cert: cert.pem, key: key.pem}}]}}}}\nlimits: {{{limits}}}\n\
             upstreams:\n  backend: {{targets: [\"http://127.0.0.1:{backend_port}\"]}}\n  calm: {{targets: \
             [\"http://127.0.0.1:{calm_port}\"]}}\napis:\n  all: {{match: {{path: /}}, upstream: backend}}\n  calm: \
             {{match: {{path: /calm}}, upstream: calm}}\n"
        );
        fs::write(folder.join("vestibule.yaml"), document)?;
        let mut command = pinned(GATEWAY, &root()?.join("target/release/vestibule"));
        command.arg("run").arg(folder.join("vestibule.yaml"));
        let mut gateway = Server::start(command, &folder.join("gateway.log"))?;
        gateway.wait_for(plain, "")?;
        let stage = Self { gateway, _backends: [backend, calm], folder, plain, tls, backend_port };
        // What the first connections need once is not the hostile clients' doing.
        stage.beside(3)?.wait_with_output()?;
        Ok(stage)
    }

    pub(crate) fn plain(&self) -> String {
        format!("127.0.0.1:{}", self.plain)
    }

    pub(crate) fn tls(&self) -> String {
        format!("127.0.0.1:{}", self.tls)
    }

    pub(crate) fn certificate(&self) -> String {
        self.folder.join("cert.pem").display().to_string()
    }

    /// Has `bench-hostile` do what these words say for a while, with a normal client beside it.
    pub(crate) fn suffer(&self, words: &[&str], seconds: u32) -> Result<Seen> {
        let (before, busy, begun) = (self.gateway.resident(), self.gateway.cpu(), now());
        let mut command = beneath(&root()?.join("target/release/bench-hostile"));
        command.args(words).args(["--seconds", &seconds.to_string()]);
        let log = fs::File::create(self.folder.join("hostile.log"))?;
        let mut hostile = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let beside = self.beside(seconds)?;
        let mut most = before;
        while hostile.try_wait()?.is_none() {
            most = most.max(self.gateway.resident());
            sleep(Duration::from_millis(50));
        }
        let took = begun.elapsed();
        let busy = self.gateway.cpu().saturating_sub(busy);
        Ok(Seen {
            told: figures(hostile)?,
            grown: most.saturating_sub(before),
            busy: busy.as_secs_f64() / took.as_secs_f64(),
            beside: Self::seen(beside)?,
        })
    }

    /// How many requests the backend had at once since it was asked last.
    pub(crate) fn most_at_once(&self) -> Result<u64> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.backend_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        let (_, figures) = said.split_once("\r\n\r\n").context("no HTTP answer")?;
        let figures: Value = serde_json::from_str(figures)?;
        figures.get("most").and_then(Value::as_u64).context("no figure")
    }

    /// A client that behaves, and asks a backend of its own.
    fn beside(&self, seconds: u32) -> Result<Child> {
        let mut command = pinned(OTHERS, &root()?.join("target/release/bench-load"));
        command.args(["rate", &self.plain(), "/calm", "--connections", "8"]);
        command.args(["--rate", &RATE.to_string(), "--seconds", &seconds.to_string()]);
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }

    fn seen(beside: Child) -> Result<Beside> {
        let figures = figures(beside)?;
        let number = |name: &str| figures.get(name).and_then(Value::as_u64).unwrap_or(0);
        Ok(Beside {
            answered: number("answered"),
            failed: number("failed") + number("refused"),
            p99: Duration::from_micros(number("p99_us")),
        })
    }
}

/// A program that shares a core with the client beside and its backend, who must not wait for it there.
fn beneath(program: &Path) -> Command {
    let mut command = pinned(OTHERS, Path::new("nice"));
    command.args(["-n", "15"]).arg(program);
    command
}

/// The line of JSON that a tool printed.
fn figures(child: Child) -> Result<Value> {
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("a tool failed: {}", output.status);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.lines().last().unwrap_or_default()).with_context(|| format!("a tool said:\n{said}"))
}

fn make_certificate(folder: &Path) -> Result<()> {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name).display().to_string());
    let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
    let words: Vec<&str> = make.split_whitespace().chain(["-keyout", &key, "-out", &certificate]).collect();
    output("openssl", &words)?;
    Ok(())
}
