//! The process that takes over from a proxy: it is who listens on the port when the old process does no more.
//!
//! A successor begins as a child of the old process and belongs to nobody when that one has ended, so it cannot be found
//! among descendants for long. The listening socket tells it at any time.

use anyhow::{Result, bail};
use programs::process::{end, entries, now};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Ends whoever took over a port, whatever became of the measurement.
#[derive(Debug)]
pub(crate) struct Succession {
    port: u16,
    old: u32,
    begun: Instant,
}

impl Succession {
    /// Begins to look at who listens beside, and after, the process `old`.
    pub(crate) fn of(port: u16, old: u32) -> Self {
        Self { port, old, begun: now() }
    }

    /// Waits until another process listens and the old one does not. Answers how long it took.
    pub(crate) fn wait(&self, limit: Duration) -> Result<Duration> {
        loop {
            let listening = listening(self.port);
            let is_done = !listening.is_empty() && !listening.contains(&self.old);
            let waited = self.begun.elapsed();
            if is_done {
                return Ok(waited);
            }
            if waited > limit {
                let beside = listening.iter().filter(|id| **id != self.old).count();
                bail!("the old process still listens after {limit:?}, and {beside} others do");
            }
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Succession {
    fn drop(&mut self) {
        for id in listening(self.port).into_iter().filter(|id| *id != self.old) {
            if let Err(error) = end(id) {
                eprintln!("process {id} may still run: {error:#}");
            }
        }
    }
}

/// Processes that hold a listening socket of this port.
fn listening(port: u16) -> Vec<u32> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let sockets: Vec<String> = table.lines().filter_map(|line| socket(line, port)).collect();
    let processes = entries("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    let holds = |id: &u32| {
        let folder = format!("/proc/{id}/fd");
        entries(&folder).iter().any(|descriptor| {
            fs::read_link(format!("{folder}/{descriptor}"))
                .is_ok_and(|link| sockets.iter().any(|it| link.as_os_str() == it.as_str()))
        })
    };
    processes.filter(holds).collect()
}

/// The name of the socket in a line of the kernel's table, if it listens on this port.
fn socket(line: &str, port: u16) -> Option<String> {
    const LISTENS: &str = "0A";
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, state, _, _, _, _, _, inode, ..] = words.as_slice() else { return None };
    let (_, written) = local.split_once(':')?;
    let is_it = *state == LISTENS && u16::from_str_radix(written, 16) == Ok(port);
    is_it.then(|| format!("socket:[{inode}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn who_listens_on_a_port_is_found_and_nobody_when_it_is_closed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();

        assert!(listening(port).contains(&std::process::id()));
        drop(listener);
        assert!(!listening(port).contains(&std::process::id()));
    }
}
