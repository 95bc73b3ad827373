//! How a new process takes over the listening sockets of an old one.
//!
//! Sockets are passed by their numbers, as systemd does it (`LISTEN_FDS`), with the listeners' names beside
//! (`LISTEN_FDNAMES`). The successor tells its predecessor to stop once it serves.

#![expect(clippy::disallowed_methods, reason = "sockets are passed through the environment")]

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use control::Node;
use listenfd::ListenFd;
use proxy::{Inherited, Socket};
use rustix::process::{Signal, getppid, kill_process};

/// The number of the first socket that is passed.
const FIRST: i32 = 3;

/// The name of the admin listener's socket, which is not one of the document's listeners.
const ADMIN: &str = "@admin";

/// Says that the parent process is to be stopped once this one serves.
const PREDECESSOR: &str = "VESTIBULE_PREDECESSOR";

/// The sockets that a predecessor, or systemd, passed to this process; and the one of the admin listener.
pub(crate) fn inherited() -> io::Result<(Inherited, Option<TcpListener>)> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = ListenFd::from_env();
    let mut inherited = Inherited::new();
    for (index, name) in names.split(':').enumerate().take(passed.len()) {
        if let Some(socket) = passed.take_tcp_listener(index)? {
            socket.set_nonblocking(true)?;
            inherited.entry(name.to_owned()).or_default().push(socket);
        }
    }
    let admin = inherited.remove(ADMIN).and_then(|mut sockets| sockets.pop());
    Ok((inherited, admin))
}

/// Starts this program anew, with all listening sockets. Returns the new process's id.
pub(crate) fn start_successor(node: &Node, admin: Option<&TcpListener>) -> io::Result<u32> {
    let mut sockets = node.gateway.sockets()?;
    if let Some(admin) = admin {
        sockets.push(Socket { listener: ADMIN.to_owned(), socket: admin.try_clone()? });
    }
    let names: Vec<_> = sockets.iter().map(|socket| socket.listener.clone()).collect();
    let mappings = (FIRST..)
        .zip(sockets)
        .map(|(child_fd, socket)| FdMapping { parent_fd: OwnedFd::from(socket.socket), child_fd });
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(std::env::args_os().skip(1))
        .env("LISTEN_FDS", names.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .env(PREDECESSOR, std::process::id().to_string())
        .env_remove("LISTEN_PID");
    command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
    let mut child = command.spawn()?;
    let process = child.id();
    // Somebody has to learn how it ends, or a successor that failed would stay as a zombie.
    std::thread::Builder::new().name("successor".to_owned()).spawn(move || match child.wait() {
        Ok(status) => tracing::error!(%status, "the successor ended; this process serves on"),
        Err(error) => tracing::error!(%error, "the successor is lost sight of"),
    })?;
    Ok(process)
}

/// Tells the process that passed its sockets to stop, now that this one serves.
pub(crate) fn tell_predecessor() {
    let Some(predecessor) = std::env::var(PREDECESSOR).ok().and_then(|id| id.parse::<i32>().ok()) else { return };
    // A predecessor that is gone already left its number to somebody else.
    let Some(parent) = getppid().filter(|parent| parent.as_raw_nonzero().get() == predecessor) else { return };
    if let Err(error) = kill_process(parent, Signal::TERM) {
        tracing::warn!(%error, "the predecessor could not be told to stop");
    }
}
