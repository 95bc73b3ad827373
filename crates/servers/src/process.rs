//! A server's process, and the port that it listens on.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to come up, or to go.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that ends with this value.
pub(crate) struct Process {
    child: Child,
    /// How it is asked to end.
    farewell: Signal,
}

impl Process {
    pub(crate) fn new(child: Child, farewell: Signal) -> Self {
        Self { child, farewell }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) {
        if self.child.try_wait().ok().flatten().is_some() {
            return;
        }
        self.signal(self.farewell);
        let begin = Instant::now();
        while self.child.try_wait().ok().flatten().is_none() {
            if begin.elapsed() > PATIENCE {
                self.child.kill().ok();
            }
            std::thread::sleep(STEP);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, signal).ok();
        }
    }

    /// Waits until `is_up` says so. Whether that came to pass before the process ended.
    pub(crate) fn comes_up(&mut self, is_up: impl Fn() -> bool) -> bool {
        let begin = Instant::now();
        while !is_up() {
            if self.child.try_wait().ok().flatten().is_some() || begin.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(STEP);
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Whether somebody listens on a port.
pub(crate) fn is_listening(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A program in one of these folders or in `PATH`.
pub(crate) fn program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let everywhere = folders.iter().cloned().chain(std::env::split_paths(&path));
    everywhere.map(|folder| folder.join(name)).find(|file| Path::is_file(file))
}

const STEP: Duration = Duration::from_millis(10);
