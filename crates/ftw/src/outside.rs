//! Tests of a gateway from outside: requests over sockets, byte for byte, and what its audit log says of them.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::file::{Expected, TestFile};
use crate::request;
use crate::run::{Failure, Report, judge};

/// What was sent in a stage of a test, and what came back.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The rule that the test is about.
    pub rule: u64,
    /// The number of the test.
    pub test: u64,
    /// The number of the stage, from 0.
    pub stage: usize,
    /// What must come of it.
    pub expected: Expected,
    /// The port that it was sent from, by which its record is found.
    port: u16,
    /// What came back.
    pub answer: Vec<u8>,
}

/// What an audit log says, by the port that a request came from.
#[derive(Debug, Default)]
pub struct Log(HashMap<u16, Entry>);

#[derive(Debug, Default)]
struct Entry {
    ids: Vec<u64>,
    lines: Vec<String>,
}

/// Sends the requests of a file to a gateway, one after another, each from a port of its own.
pub fn send(address: SocketAddr, file: &TestFile, ports: &mut BTreeSet<u16>) -> io::Result<Vec<Sent>> {
    let mut sent = Vec::new();
    for test in &file.tests {
        for (stage, content) in test.stages.iter().enumerate() {
            let mut stream = connect(address, ports)?;
            let port = stream.local_addr()?.port();
            let answer = exchange(&mut stream, &request::raw(&content.input))?;
            let expected = content.expected.clone();
            sent.push(Sent { rule: file.rule, test: test.number, stage, expected, port, answer });
        }
    }
    Ok(sent)
}

/// A connection from a port that none came from before.
fn connect(address: SocketAddr, ports: &mut BTreeSet<u16>) -> io::Result<TcpStream> {
    for _ in 0..TRIES {
        let stream = TcpStream::connect(address)?;
        if ports.insert(stream.local_addr()?.port()) {
            stream.set_read_timeout(Some(BRIEF))?;
            stream.set_nodelay(true)?;
            return Ok(stream);
        }
    }
    Err(io::Error::other("no port is left that was not used"))
}

fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    // A gateway that refuses early may close before all was sent; what it says is there to be read.
    let sent = stream.write_all(request);
    let is_head = request.starts_with(b"HEAD ");
    let (mut answer, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    let mut is_finished = false;
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(answer),
            Ok(length) => answer.extend_from_slice(piece.get(..length).unwrap_or_default()),
            // It may wait for what will never come.
            Err(error) if is_late(&error) && !is_finished => {
                is_finished = true;
                stream.shutdown(Shutdown::Write)?;
                stream.set_read_timeout(Some(PATIENCE))?;
            }
            Err(_) if !answer.is_empty() => return Ok(answer),
            Err(error) => return sent.and(Err(error)),
        }
        if is_whole(&answer, is_head) {
            return Ok(answer);
        }
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Whether nothing more will come, though the connection stays open.
fn is_whole(answer: &[u8], is_head: bool) -> bool {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let (head, body) = (answer.get(..end).unwrap_or_default(), answer.get(end + 4..).unwrap_or_default());
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('1') {
        return is_whole(body, is_head);
    }
    if is_head || matches!(status, "204" | "304") {
        return true;
    }
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match field("content-length:").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => field("transfer-encoding:").is_some() && body.ends_with(b"0\r\n\r\n"),
    }
}

impl Sent {
    /// The status that came back.
    pub fn status(&self) -> Option<u16> {
        let line = self.answer.split(|byte| *byte == b'\r').next()?;
        let word = line.split(|byte| *byte == b' ').nth(1)?;
        std::str::from_utf8(word).ok()?.parse().ok()
    }

    /// The answer as text, cut.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.answer.get(..600).unwrap_or(&self.answer)).into_owned()
    }

    /// Whether it did not come out as it must, by the log of the gateway.
    pub fn failure(&self, log: &Log) -> Option<Failure> {
        let entry = log.0.get(&self.port);
        let report = Report {
            status: self.status(),
            answer: self.answer.clone(),
            logged: entry.map(|entry| entry.ids.clone()).unwrap_or_default(),
            lines: entry.map(|entry| entry.lines.clone()).unwrap_or_default(),
        };
        let what = judge(&self.expected, &report)?;
        Some(Failure { rule: self.rule, test: self.test, stage: self.stage, what, logged: report.logged })
    }

    /// Whether its exchange is in the log.
    pub fn is_logged(&self, log: &Log) -> bool {
        log.0.contains_key(&self.port)
    }
}

impl Log {
    /// Reads an audit log with sections.
    pub fn read(text: &str) -> Self {
        let mut log = Self::default();
        let mut port = None;
        let mut after_head = false;
        for line in text.lines() {
            if line.starts_with("--") && line.ends_with("-A--") {
                after_head = true;
            } else if std::mem::take(&mut after_head) {
                port = line.rsplit(' ').nth(2).and_then(|port| port.parse().ok());
                log.0.entry(port.unwrap_or_default()).or_default();
            } else if let (Some(port), true) = (port, line.starts_with("Message: ")) {
                let entry = log.0.entry(port).or_default();
                let id = line.split_once(" [id \"").and_then(|(_, rest)| rest.split('"').next());
                entry.ids.extend(id.and_then(|id| id.parse::<u64>().ok()));
                entry.lines.push(line.to_owned());
            }
        }
        log
    }
}

/// After so long the end of a request is said, for a gateway that waits for more of it.
const BRIEF: Duration = Duration::from_secs(1);
/// How long an answer may take then.
const PATIENCE: Duration = Duration::from_secs(10);
const TRIES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_by_its_framing() {
        for (answer, is_head, whole) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", false, true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", false, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true, true),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", false, true),
            ("HTTP/1.1 200 OK\r\n\r\na", false, false),
            ("HTTP/1.1 200 OK\r\n", false, false),
        ] {
            assert_eq!(is_whole(answer.as_bytes(), is_head), whole, "{answer}");
        }
    }

    #[test]
    fn records_are_found_by_the_port_that_a_request_came_from() {
        let text = "--1-A--\n[26/Nov/2026:05:00:00 +0000] id 127.0.0.1 4711 127.0.0.1 80\n--1-H--\nMessage: Warning. x \
                    [file \"a\"] [id \"942100\"] [msg \"b\"]\nMessage: Warning. y [id \"7\"]\n--1-Z--\n";
        let log = Log::read(text);
        let entry = &log.0[&4711];
        assert_eq!((entry.ids.as_slice(), entry.lines.len()), (&[942_100, 7][..], 2));
    }
}
