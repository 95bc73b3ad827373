//! What trials with arrivals share: a gateway and a backend in the release build, clients, and what is read off them.

use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, pinned};
use programs::run::{root, run};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A gateway that serves a document, in a folder of its own.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) server: Server,
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) admin: u16,
}

/// One request, as `bench-arrivals` wrote it down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Time of day when it was due.
    pub(crate) due: Duration,
    pub(crate) took: Duration,
    /// 0 without an answer.
    pub(crate) status: u16,
    pub(crate) has_retry_after: bool,
}

impl Arrival {
    /// Time of day when its answer was whole.
    pub(crate) fn answered(&self) -> Duration {
        self.due + self.took
    }
}

/// Builds the gateway and the tools.
pub(crate) fn build() -> Result<()> {
    run("cargo", &["build", "--release", "--locked", "-p", "vestibule", "-p", "bench-tools"])
}

/// A program of the release build.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(root()?.join("target/release").join(name))
}

/// An empty folder of this name.
pub(crate) fn folder(name: &str) -> Result<PathBuf> {
    let folder = root()?.join("target/trial").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

impl Gateway {
    /// Starts a gateway with these parts of a document, on its core.
    pub(crate) fn start(name: &str, parts: &str) -> Result<Self> {
        let command = pinned(PROXY_CORE, &program("vestibule")?);
        Self::start_as(command, folder(name)?, parts)
    }

    /// Starts a gateway by a command that ends with the program.
    pub(crate) fn start_as(mut command: Command, folder: PathBuf, parts: &str) -> Result<Self> {
        let [port, admin] = free_ports()?;
        let document = format!(
            "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\n\
             admin: {{bind: \"127.0.0.1:{admin}\"}}\nstore: {{embedded: ./data}}\n{parts}"
        );
        fs::write(folder.join("vestibule.yaml"), document)?;
        command.arg("run").arg(folder.join("vestibule.yaml")).current_dir(&folder);
        let mut server = Server::start(command, &folder.join("gateway.log"))?;
        server.wait_until_open(port)?;
        Ok(Self { server, folder, port, admin })
    }

    /// Open descriptors of its process.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.server.id())).map_or(0, Iterator::count)
    }

    /// Asks an operator's question with the token, and answers status, text and the time that it took.
    pub(crate) fn ask_admin(&self, path: &str) -> Result<(u16, String, Duration)> {
        let token = fs::read_to_string(self.folder.join("data/admin.token")).unwrap_or_default();
        let began = clock();
        let (status, text) =
            ask(self.admin, &format!("GET {path}"), &format!("Authorization: Bearer {}\r\n", token.trim()))?;
        Ok((status, text, clock().saturating_sub(began)))
    }

    /// Asks once as a client, on a connection of its own.
    pub(crate) fn ask(&self, path: &str) -> Result<(u16, String)> {
        ask(self.port, &format!("GET {path}"), "")
    }
}

/// Sends a request without a body, on a connection of its own; answers status and the whole text.
pub(crate) fn ask(port: u16, line: &str, header: &str) -> Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n")?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let status = said.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP answer")?;
    Ok((status, said))
}

/// Clients under way.
#[derive(Debug)]
pub(crate) struct Clients {
    child: Child,
    lines: PathBuf,
}

impl Clients {
    /// Starts clients against a port; `words` are those of `bench-arrivals` behind its path.
    pub(crate) fn start(folder: &Path, port: u16, path: &str, words: &[&str]) -> Result<Self> {
        let lines = folder.join(format!("arrivals-{}", clock().as_micros()));
        let mut command = pinned(LOAD_CORE, &program("bench-arrivals")?);
        command.arg(format!("127.0.0.1:{port}")).arg(path).args(words);
        let child = command.stdin(Stdio::null()).stdout(fs::File::create(&lines)?).spawn()?;
        Ok(Self { child, lines })
    }

    /// Waits for the last answer; what was written down, in the order in which it was due.
    pub(crate) fn finish(mut self) -> Result<Vec<Arrival>> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the clients failed: {status}");
        }
        let mut arrivals = Vec::new();
        for line in fs::read_to_string(&self.lines)?.lines() {
            let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
            let [due, took, status, has_retry_after] = numbers.as_slice() else { bail!("not an arrival: {line}") };
            arrivals.push(Arrival {
                due: Duration::from_micros(*due),
                took: Duration::from_micros(*took),
                status: u16::try_from(*status)?,
                has_retry_after: *has_retry_after == 1,
            });
        }
        arrivals.sort_by_key(|arrival| arrival.due);
        Ok(arrivals)
    }
}

/// How many there were of each status, for people.
pub(crate) fn statuses<'a>(arrivals: impl Iterator<Item = &'a Arrival>) -> String {
    let mut counts = std::collections::BTreeMap::<u16, usize>::new();
    for arrival in arrivals {
        *counts.entry(arrival.status).or_default() += 1;
    }
    counts.iter().fold(String::new(), |mut text, (status, count)| {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing into a string does not fail.
        let _written = match status {
            0 => write!(text, "{comma}{count} without an answer"),
            _ => write!(text, "{comma}{count} x {status}"),
        };
        text
    })
}

/// The time that this share of them did not exceed.
pub(crate) fn quantile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default()
}

/// Milliseconds, for people.
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
pub(crate) fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
