//! How a new process takes over the listening sockets of an old one.
//!
//! Sockets are passed by their numbers, as systemd does it (`LISTEN_FDS`), with the listeners' names beside
//! (`LISTEN_FDNAMES`). Both processes accept from the same queues for a while. The successor tells its predecessor to
//! stop once it serves; one that does not come to serve changes nothing.

#![expect(clippy::disallowed_methods, reason = "sockets are passed through the environment")]

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Weak};

use command_fds::{CommandFdExt, FdMapping};
use control::{Expecting, Node};
use listenfd::ListenFd;
use parking_lot::Mutex;
use proxy::Inherited;
use rustix::io::FdFlags;
use rustix::process::{Signal, getppid, kill_process};

/// The number of the first socket that is passed.
const FIRST: i32 = 3;

/// The name by which the admin listener's socket is passed.
const ADMIN: &str = "@admin";

/// Says that the parent process is to be stopped once this one serves.
const PREDECESSOR: &str = "VESTIBULE_PREDECESSOR";

/// Sockets that a predecessor, or systemd, passed to this process.
#[derive(Default)]
pub(crate) struct Passed {
    pub(crate) listeners: Inherited,
    pub(crate) admin: Option<TcpListener>,
}

/// What is needed to start this program anew.
pub(crate) struct Handover {
    /// Where the program is: looked up at the start, because its file may be another one later.
    program: PathBuf,
    arguments: Vec<OsString>,
    node: Weak<Node>,
    admin: Option<TcpListener>,
    successor: Arc<Mutex<Option<u32>>>,
    succession: Succession,
}

/// Whether this program can be started anew in the middle of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Succession {
    Possible,
    /// A part of what it does cannot be handed over.
    Impossible,
}

impl Passed {
    /// Takes what was passed.
    pub(crate) fn take() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        let mut passed = Self::default();
        for (index, name) in names.split(':').enumerate().take(sockets.len()) {
            let Some(socket) = sockets.take_tcp_listener(index)? else { continue };
            socket.set_nonblocking(true)?;
            // A socket that slips into another process is one that nobody accepts from.
            rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
            if name == ADMIN {
                passed.admin = Some(socket);
            } else {
                passed.listeners.entry(readable(name)).or_default().push(socket);
            }
        }
        Ok(passed)
    }
}

impl Handover {
    /// Prepares to hand over what `node` and its admin listener listen on.
    pub(crate) fn of(node: &Arc<Node>, admin: Option<&TcpListener>, succession: Succession) -> io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
            node: Arc::downgrade(node),
            admin: admin.map(TcpListener::try_clone).transpose()?,
            successor: Arc::default(),
            succession,
        })
    }

    /// Whether there is a successor, which serves or is about to.
    pub(crate) fn is_under_way(&self) -> bool {
        self.successor.lock().is_some()
    }

    /// Starts this program anew, with all listening sockets. Returns the new process's id.
    pub(crate) fn start_successor(&self) -> io::Result<u32> {
        if self.succession == Succession::Impossible {
            return Err(io::Error::other("this process cannot be handed over"));
        }
        let mut successor = self.successor.lock();
        if let Some(process) = *successor {
            return Err(io::Error::other(format!("process {process} is about to take over already")));
        }
        let node = self.node.upgrade().ok_or_else(|| io::Error::other("this process stops"))?;
        let expecting = node.expect_successor();
        let child = self.command()?.spawn()?;
        let process = child.id();
        *successor = Some(process);
        drop(successor);
        tracing::info!(process, "a successor was started");
        self.watch(child, expecting)?;
        Ok(process)
    }

    fn command(&self) -> io::Result<Command> {
        let node = self.node.upgrade().ok_or_else(|| io::Error::other("this process stops"))?;
        let listeners = node.gateway.sockets()?.into_iter().map(|socket| (written(&socket.listener), socket.socket));
        let admin = self.admin.as_ref().map(TcpListener::try_clone).transpose()?;
        let admin = admin.map(|socket| (ADMIN.to_owned(), socket));
        let (names, sockets): (Vec<_>, Vec<_>) = listeners.chain(admin).unzip();
        let mappings =
            (FIRST..).zip(sockets).map(|(child_fd, socket)| FdMapping { parent_fd: OwnedFd::from(socket), child_fd });
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env(PREDECESSOR, std::process::id().to_string())
            .env_remove("LISTEN_PID");
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        Ok(command)
    }

    /// Learns how a successor ends, or one that failed would stay as a zombie and keep others from being started.
    fn watch(&self, mut child: Child, expecting: Expecting) -> io::Result<()> {
        let successor = self.successor.clone();
        std::thread::Builder::new().name("successor".to_owned()).spawn(move || {
            match child.wait() {
                Ok(status) => tracing::error!(%status, "the successor ended; this process serves on"),
                Err(error) => tracing::error!(%error, "the successor is lost sight of"),
            }
            *successor.lock() = None;
            drop(expecting);
        })?;
        Ok(())
    }
}

/// Tells the process that passed its sockets to stop, now that this one serves.
pub(crate) fn tell_predecessor() {
    let Some(predecessor) = std::env::var(PREDECESSOR).ok().and_then(|id| id.parse::<i32>().ok()) else { return };
    // A predecessor that is gone already left its number to somebody else.
    let Some(parent) = getppid().filter(|parent| parent.as_raw_nonzero().get() == predecessor) else { return };
    match kill_process(parent, Signal::TERM) {
        Ok(()) => tracing::info!(predecessor, "the predecessor was told to stop"),
        Err(error) => tracing::warn!(%error, "the predecessor could not be told to stop"),
    }
}

/// A listener's name in a list that is separated by colons.
fn written(name: &str) -> String {
    name.replace('%', "%25").replace(':', "%3A").replace('@', "%40")
}

fn readable(written: &str) -> String {
    written.replace("%40", "@").replace("%3A", ":").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_survives_the_list() {
        for name in ["public", "a:b", "%3A", "@admin", "100%"] {
            assert!(!written(name).contains(':') && written(name) != ADMIN);
            assert_eq!(readable(&written(name)), name);
        }
    }
}
