//! A server's process, and the port that it listens on.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to come up, or to go.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

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

    /// A server that runs in the foreground, once it listens on its port. None, if it ends before.
    pub(crate) fn listening(program: &Path, arguments: &[&str], log: &Path, port: u16) -> Option<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        let mut process = Self::new(child, Signal::TERM);
        process.comes_up(|| is_listening(port)).then_some(process)
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

    /// Holds it still as it is, or lets it go on.
    pub(crate) fn hold(&self, still: bool) {
        self.signal(if still { Signal::STOP } else { Signal::CONT });
    }

    fn signal(&self, signal: Signal) {
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

/// The port of a server that `serve` starts, and its process. None of `serve` means that another process took the port.
pub(crate) fn started(name: &str, mut serve: impl FnMut(u16) -> Option<Process>) -> (u16, Process) {
    /// Another process may take the port between the look and the start.
    const ATTEMPTS: usize = 5;
    let mut attempts = (0..ATTEMPTS).map(|_| free_port());
    attempts.find_map(|port| Some((port, serve(port)?))).unwrap_or_else(|| panic!("{name} does not start"))
}

/// The port in the address of a server that somebody else started, if a variable names one.
pub(crate) fn shared_port(variable: &str) -> Option<u16> {
    let address = std::env::var(variable).ok()?;
    let port = address.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
    Some(port.expect("the address of a server ends with its port"))
}

/// A port that nobody listens on at the moment.
fn free_port() -> u16 {
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
