//! Redis, or Valkey.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, is_listening, program, shared_port, started};

/// A server, and a prefix of keys that nobody else uses.
pub struct Redis {
    port: u16,
    prefix: String,
    /// None, if somebody else started it.
    own: Option<Own>,
}

struct Own {
    process: Option<Process>,
    folder: TempDir,
}

impl Redis {
    /// The server that the environment names, otherwise one of its own.
    pub fn shared() -> Self {
        shared_port(crate::REDIS).map_or_else(Self::start, |port| Self { port, prefix: prefix(), own: None })
    }

    /// A server of its own.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("redis-").tempdir().unwrap();
        let (port, process) = started("Redis", |port| serve(&folder, port));
        Self { port, prefix: prefix(), own: Some(Own { process: Some(process), folder }) }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What keys of this test begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Changes a setting while it runs.
    pub fn set(&self, name: &str, value: &str) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        write!(stream, "CONFIG SET {name} {value}\r\n").unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+OK\r\n", "{name} cannot be set");
    }

    /// Stops it, which ends all connections. What it knew is written down.
    pub fn stop(&mut self) {
        let own = self.own.as_mut().expect("it is somebody else's");
        own.process = None;
    }

    /// Starts it again, where it was.
    pub fn start_again(&mut self) {
        let port = self.port;
        let own = self.own.as_mut().expect("it is somebody else's");
        own.process = Some(serve(&own.folder, port).expect("it starts again"));
    }

    /// Holds it still as it is, or lets it go on: connections stay, and nobody answers.
    pub fn hold(&self, still: bool) {
        let own = self.own.as_ref().expect("it is somebody else's");
        if let Some(process) = &own.process {
            process.hold(still);
        }
    }
}

fn serve(folder: &TempDir, port: u16) -> Option<Process> {
    let program = program("redis-server", &[]).or_else(|| program("valkey-server", &[])).expect(MISSING);
    let child = Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", "", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut process = Process::new(child, Signal::TERM);
    process.comes_up(|| is_listening(port)).then_some(process)
}

fn prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}:", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

const MISSING: &str = "Redis is not installed: apt-get install redis-server";
