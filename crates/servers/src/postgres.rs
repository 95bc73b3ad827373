//! PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, is_listening, program, shared_port, started};

/// A server.
pub struct Postgres {
    port: u16,
    /// None, if somebody else started it.
    own: Option<Own>,
}

struct Own {
    process: Option<Process>,
    data: PathBuf,
    // Last, so that it goes when nobody uses it any more.
    _folder: TempDir,
}

/// An empty database of a server.
pub struct Database {
    server: Postgres,
    name: String,
}

impl Postgres {
    /// The server that the environment names, otherwise one of its own.
    pub fn shared() -> Self {
        shared_port(crate::POSTGRES).map_or_else(Self::start, |port| Self { port, own: None })
    }

    /// A server of its own.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir().unwrap();
        let data = folder.path().join("data");
        // It refuses to run as root, so then it runs as the user that its package makes, who must get at the folder.
        if is_root() {
            fs::create_dir(&data).unwrap();
            let owned = Command::new("chown").arg("postgres:").args([folder.path(), &data]).status();
            assert!(owned.is_ok_and(|status| status.success()), "{MISSING}");
        }
        let made = as_nobody_special("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (port, process) = started("PostgreSQL", |port| serve(&data, port));
        Self { port, own: Some(Own { process: Some(process), data, _folder: folder }) }
    }

    /// An empty database of its own.
    pub fn database(self) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        self.run(&format!("CREATE DATABASE {name}"));
        Database { server: self, name }
    }

    /// Its address, without a database.
    pub fn address(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// Stops it, which ends all connections.
    pub fn stop(&mut self) {
        let own = self.own.as_mut().expect("it is somebody else's");
        own.process = None;
    }

    /// Starts it again, where it was.
    pub fn start_again(&mut self) {
        let port = self.port;
        let own = self.own.as_mut().expect("it is somebody else's");
        own.process = Some(serve(&own.data, port).expect("it starts again"));
    }

    /// Holds it still as it is, or lets it go on: connections stay, and nobody answers.
    pub fn hold(&self, still: bool) {
        let own = self.own.as_ref().expect("it is somebody else's");
        // Each connection is served by a process of its own, which goes on until it is held too.
        let signal = if still { "STOP" } else { "CONT" };
        let postmaster = fs::read_to_string(own.data.join("postmaster.pid")).unwrap_or_default();
        let pid = postmaster.lines().next().unwrap_or_default();
        Command::new("pkill").arg(format!("-{signal}")).args(["-P", pid]).status().ok();
        if let Some(process) = &own.process {
            process.hold(still);
        }
    }

    fn run(&self, sql: &str) {
        let ran = Command::new(find("psql"))
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &format!("{}/postgres", self.address()), "-c", sql])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Database {
    /// Its address.
    pub fn address(&self) -> String {
        format!("{}/{}", self.server.address(), self.name)
    }

    /// The server that it is on.
    pub fn server(&mut self) -> &mut Postgres {
        &mut self.server
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server of one's own goes as a whole.
        if self.server.own.is_none() && !std::thread::panicking() {
            self.server.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// Starts a server. None, if another process took the port.
fn serve(data: &Path, port: u16) -> Option<Process> {
    let child = as_nobody_special("postgres")
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .args(["-c", "max_connections=400", "-c", "shared_buffers=32MB"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A fast shutdown: connections are ended, and what was committed stays.
    let mut process = Process::new(child, Signal::INT);
    process.comes_up(|| is_ready(port)).then_some(process)
}

/// Whether it takes connections, which it does a while after it listens.
fn is_ready(port: u16) -> bool {
    let port = port.to_string();
    is_listening(port.parse().unwrap_or(0))
        && Command::new(find("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status()
            .is_ok_and(|status| status.success())
}

fn as_nobody_special(name: &str) -> Command {
    let program = find(name);
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    // The folder of whoever runs the tests may be closed to it.
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn find(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").map(|versions| versions.flatten().collect::<Vec<_>>());
    let mut folders: Vec<_> =
        versions.unwrap_or_default().into_iter().map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    program(name, &folders).expect(MISSING)
}

const MISSING: &str = "PostgreSQL is not installed: apt-get install postgresql";
