//! Processes under measurement: pinned to a core, with the CPU time and memory of their whole tree.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A core of the machine, by its number.
#[derive(Debug, Clone, Copy)]
pub struct Core(pub usize);

/// Where the proxy under measurement runs, alone.
pub const PROXY_CORE: Core = Core(0);
/// Where backends, clients and load run, on a machine with two cores.
pub const LOAD_CORE: Core = Core(1);

/// A server that was started here, and is stopped when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// How long it may take to stop in an orderly way; six times this to start.
    patience: Duration,
}

/// A command that runs on one core, with as many open files as are allowed.
pub fn pinned(core: Core, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"ulimit -n "$(ulimit -Hn)"; exec taskset -c "$0" "$@""#])
        .arg(core.0.to_string())
        .arg(program);
    command
}

impl Server {
    /// Starts a server; all it says goes to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let (program, errors) = (format!("{command:?}"), log.try_clone()?);
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let child = child.with_context(|| format!("could not start {program}"))?;
        Ok(Self { child, patience: Duration::from_secs(5) })
    }

    /// Gives the server as much time to start and stop as one needs that runs under a tool.
    #[must_use]
    pub fn with_patience(mut self) -> Self {
        self.patience = Duration::from_mins(1);
        self
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server answers a GET with 200.
    pub fn wait_for(&mut self, port: u16, header: &str) -> Result<()> {
        let deadline = now() + self.patience * 6;
        loop {
            let trouble = match answer(port, header) {
                Ok(200) => return Ok(()),
                Ok(status) => format!("status {status}"),
                Err(error) => format!("{error:#}"),
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended: {status}");
            }
            if now() > deadline {
                bail!("it does not answer on port {port}: {trouble}");
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the server accepts connections.
    pub fn wait_until_open(&mut self, port: u16) -> Result<()> {
        let deadline = now() + self.patience * 6;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended: {status}");
            }
            if now() > deadline {
                bail!("it does not listen on port {port}");
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status()?;
        if !status.success() {
            bail!("could not send {name}: {status}");
        }
        Ok(())
    }

    /// Ends the server in an orderly way, or by force after a while.
    pub fn stop(&mut self, signal: &str) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        self.signal(signal)?;
        let deadline = now() + self.patience;
        while self.child.try_wait()?.is_none() {
            if now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Has the process, its children and all their threads stand above whatever else runs on their core, as real-time
    /// ones; answers whether that is allowed.
    pub fn stand_above(&self, priority: u32) -> bool {
        let raise = |id: u32| {
            let words = ["-a", "-f", "-p", &priority.to_string(), &id.to_string()];
            Command::new("chrt").args(words).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        tree(self.id()).into_iter().all(raise)
    }

    /// CPU time used so far by the process and its children.
    pub fn cpu(&self) -> Duration {
        tree(self.id()).into_iter().map(cpu_of).sum()
    }

    /// Resident memory of the process and its children, in bytes.
    pub fn resident(&self) -> u64 {
        tree(self.id()).into_iter().map(resident_of).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop("TERM") {
            eprintln!("process {} may still run: {error:#}", self.id());
        }
    }
}

/// Ends a process that was not started here, in an orderly way, or by force after a while.
pub fn end(id: u32) -> Result<()> {
    let runs = || Path::new(&format!("/proc/{id}")).exists();
    for signal in ["-TERM", "-KILL"] {
        if !runs() {
            return Ok(());
        }
        Command::new("kill").args([signal, &id.to_string()]).status()?;
        let deadline = now() + Duration::from_secs(5);
        while runs() && now() < deadline {
            sleep(Duration::from_millis(20));
        }
    }
    if runs() {
        bail!("it does not end");
    }
    Ok(())
}

/// Asks once for `/1k`.
fn answer(port: u16, header: &str) -> Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /1k HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n")?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said);
    said.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP answer")
}

/// Ports that nobody listens on.
pub fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut held = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// A process and all its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(id) = found.get(next).copied() {
        next += 1;
        for task in entries(&format!("/proc/{id}/task")) {
            let children = fs::read_to_string(format!("/proc/{id}/task/{task}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// User and system time of all threads. The scheduler's count has nanoseconds, where `stat` has hundredths of a second.
fn cpu_of(id: u32) -> Duration {
    let tasks = entries(&format!("/proc/{id}/task"));
    let nanoseconds = tasks.iter().filter_map(|task| {
        let counts = fs::read_to_string(format!("/proc/{id}/task/{task}/schedstat")).ok()?;
        counts.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn resident_of(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Names of what a folder holds; nothing if it cannot be read.
pub fn entries(folder: &str) -> Vec<String> {
    let read = fs::read_dir(folder).into_iter().flatten();
    read.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Time that all cores together were busy, and time that the host took away, since the machine started.
pub fn busy() -> (Duration, Duration) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let hundredths = |index: usize| {
        let line = stat.lines().next().unwrap_or_default();
        line.split_whitespace().nth(index + 1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
    };
    // user, nice, system, irq, softirq; then steal.
    let work: u64 = [0, 1, 2, 5, 6].into_iter().map(hundredths).sum();
    (Duration::from_millis(work * 10), Duration::from_millis(hundredths(7) * 10))
}

/// The time that it is.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
pub fn now() -> Instant {
    Instant::now()
}
