//! More clients than there are descriptors for.

use super::{backend, share_of_core};
use crate::trial::report::Section;
use crate::trial::scene::{Gateway, folder, program};
use anyhow::Result;
use programs::process::now;
use programs::run::output;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

/// Clients that come at once.
const CROWD: usize = 300;

/// Descriptors that a running process may still open, in the worse of two cases.
const LEFT: usize = 12;

/// Few descriptors from the beginning, which are shared out; and some that are taken away from a process that runs.
pub(crate) fn run_out(section: &mut Section) -> Result<()> {
    eprintln!("descriptors");
    let (_backend, port) = backend("descriptors")?;
    let gateway = start("256", port)?;
    let what = format!("256 descriptors, {CROWD} clients");
    let seen = crowd(&gateway)?;
    section.row(format!("{what}: a client that was there before"), "100 x 200", seen.beside(), seen.beside_good == 100);
    tell(&what, &seen, section);
    section.row(format!("{what}: the operator"), "200", format!("{:?}", seen.operator), seen.operator == Some(200));
    drop(gateway);

    let gateway = start("4096", port)?;
    let most = gateway.descriptors() + LEFT;
    let id = gateway.server.id().to_string();
    output("prlimit", &["--pid", &id, &format!("--nofile={most}:{most}")])?;
    let what = format!("{LEFT} descriptors left, {CROWD} clients");
    let seen = crowd(&gateway)?;
    let is_kept = seen.beside_good + seen.beside_busy == 100;
    section.row(format!("{what}: a client that was there before"), "200 or 503", seen.beside(), is_kept);
    tell(&what, &seen, section);
    Ok(())
}

/// A gateway with so many descriptors.
fn start(limit: &str, backend: u16) -> Result<Gateway> {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n "$0"; exec taskset -c 0 "$@""#, limit]).arg(program("vestibule")?);
    let parts = format!(
        "upstreams: {{backend: {{targets: [\"http://127.0.0.1:{backend}\"]}}}}\n\
         apis: {{all: {{match: {{path: /}}, upstream: backend}}}}\n"
    );
    Gateway::start_as(command, folder("descriptors")?, &parts)
}

/// What became of everybody.
struct Seen {
    beside_good: usize,
    beside_busy: usize,
    /// Hundredths of a core that the gateway took meanwhile.
    share: f64,
    answers: Vec<Option<u16>>,
    operator: Option<u16>,
    /// What a client gets within two seconds after they left.
    again: Option<u16>,
    is_as_before: bool,
}

impl Seen {
    fn beside(&self) -> String {
        format!("{} x 200, {} x 503 of 100", self.beside_good, self.beside_busy)
    }
}

fn crowd(gateway: &Gateway) -> Result<Seen> {
    let mut beside = connect(gateway.port)?;
    ask(&mut beside);
    let mut crowd: Vec<TcpStream> = (0..CROWD).filter_map(|_| connect(gateway.port).ok()).collect();
    for client in &mut crowd {
        // Who was turned away may have noticed already.
        drop(client.write_all(REQUEST));
    }
    let answers: Vec<_> = (0..100).map(|_| ask(&mut beside)).collect();
    let of = |wanted: u16| answers.iter().filter(|status| **status == Some(wanted)).count();
    let (beside_good, beside_busy) = (of(200), of(503));
    let share = share_of_core(&gateway.server, Duration::from_secs(5));
    // What has not come by now is waiting in the listener's queue.
    let answers = crowd.iter_mut().map(read_what_is_there).collect();
    let operator = gateway.ask_admin("/status").ok().map(|(status, ..)| status);
    drop(crowd);

    let deadline = now() + Duration::from_secs(2);
    let mut again = None;
    while again != Some(200) && now() < deadline {
        again = gateway.ask("/1k").ok().map(|(status, _)| status);
    }
    let (_, text, _) = gateway.ask_admin("/status")?;
    let is_as_before = text.contains("\"closed\"") && text.contains("\"in_service\":true");
    Ok(Seen { beside_good, beside_busy, share, answers, operator, again, is_as_before })
}

fn tell(what: &str, seen: &Seen, section: &mut Section) {
    let share = seen.share;
    section.row(format!("{what}: processor time meanwhile"), "5 % of a core", format!("{share:.1} %"), share <= 5.0);
    let of = |wanted: Option<u16>| seen.answers.iter().filter(|status| **status == wanted).count();
    let (good, busy, none) = (of(Some(200)), of(Some(503)), of(None));
    let others = seen.answers.len() - good - busy - none;
    let measured = format!("{good} x 200, {busy} x 503, {none} without an answer in 5 s, {others} others");
    section.row(format!("{what}: what the crowd got"), "200, 503, or nothing", measured, others == 0);
    let state = if seen.is_as_before { "as before" } else { "not as before" };
    let measured = format!("{:?}, circuit and target {state}", seen.again);
    let is_kept = seen.again == Some(200) && seen.is_as_before;
    section.row(format!("{what}: 2 s after they left"), "200, circuit closed", measured, is_kept);
}

const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

/// The status of an answer, if one comes.
fn ask(stream: &mut TcpStream) -> Option<u16> {
    stream.write_all(REQUEST).ok()?;
    read(stream)
}

fn read_what_is_there(stream: &mut TcpStream) -> Option<u16> {
    stream.set_read_timeout(Some(Duration::from_millis(10))).ok()?;
    read(stream)
}

fn read(stream: &mut TcpStream) -> Option<u16> {
    let mut said = Vec::new();
    let mut piece = [0; 8192];
    loop {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        said.extend(piece.iter().take(count));
        let text = String::from_utf8_lossy(&said);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1)?.lines().next()?.trim().parse::<usize>().ok()?;
        if body.len() >= length {
            return head.split(' ').nth(1)?.parse().ok();
        }
    }
}
