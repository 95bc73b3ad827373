//! `cargo xtask trial record-source`: a source of partners' records that is down, slow, failing and talking nonsense.

use super::report::Section;
use super::scene::{Gateway, build, folder, milliseconds, program};
use anyhow::{Context, Result};
use programs::process::{LOAD_CORE, Server, free_ports, pinned};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// Requests a second of known partners.
const RATE: u32 = 500;

/// What the source does, and for how many seconds.
const TROUBLES: [(&str, Does, u32); 6] = [
    ("well", Does::Answer("200 OK", RECORD), 10),
    ("down: connections are refused", Does::Refuse, 20),
    ("slow: an answer takes 30 s", Does::AnswerLate, 70),
    ("status 500", Does::Answer("500 Internal Server Error", "{}"), 20),
    ("garbage: a page of HTML with status 200", Does::Answer("200 OK", "<html>Sorry</html>"), 20),
    ("well again", Does::Answer("200 OK", RECORD), 10),
];

const RECORD: &str = "{\"account\":{\"id\":\"A-7\"}}";

#[derive(Debug, Clone, Copy)]
enum Does {
    Answer(&'static str, &'static str),
    AnswerLate,
    Refuse,
}

pub(crate) fn run() -> Result<Section> {
    build()?;
    let [backend_port, source_port] = free_ports()?;
    let mut command = pinned(LOAD_CORE, &program("bench-backend")?);
    command.arg(format!("127.0.0.1:{backend_port}"));
    let mut backend = Server::start(command, &folder("record-source-backend")?.join("backend.log"))?;
    backend.wait_until_open(backend_port)?;
    let gateway = Gateway::start("record-source", &document(backend_port, source_port))?;

    let mut section = Section::new(
        "A source of records in trouble",
        format!(
            "{RATE} requests a second of one partner, whose record another service has. Records are as good as new for \
             2 s, fetched again after 1.6 s, and served stale for an hour; the source is left alone for 1 s after it \
             failed, and given up on after 10 s. A request waits 500 ms at most for a newer record. All run on one \
             machine, the gateway on a core of its own."
        ),
    );
    for (name, does, seconds) in TROUBLES {
        let source = Source::start(source_port, does)?;
        let figures = load(gateway.port, seconds)?;
        let asked = source.stop();
        let number = |name: &str| figures.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (answered, failed) = (number("answered"), number("failed") + number("refused"));
        let p99 = milliseconds(Duration::from_micros(number("p99_us")));
        let measured =
            format!("{failed} of {} failed, p99 {p99}; the source was asked {asked} times", answered + failed);
        section.row(name, "0 requests failed", measured, failed == 0 && answered > 0);
    }
    Ok(section)
}

fn document(backend: u16, source: u16) -> String {
    format!(
        "upstreams:\n  orders: {{targets: [\"http://127.0.0.1:{backend}\"]}}\n  crm: {{targets: \
         [\"http://127.0.0.1:{source}\"], timeouts: {{first_byte: 60s}}}}\napis:\n  orders:\n    match: {{path: \
         \"/orders/{{partner}}\"}}\n    upstream: orders\n    policies:\n      - partner-record:\n          upstream: \
         crm\n          path: \"/partners/{{parameters.partner}}\"\n          members: {{account: \"$.account.id\"}}\n\
         \x20         ttl: 2s\n          refresh_ahead: 400ms\n          stale: 1h\n          pause: 1s\n      - \
         complete: {{headers: {{x-account: \"{{record.account}}\"}}}}\n"
    )
}

/// Has known partners ask, and returns what they saw.
fn load(port: u16, seconds: u32) -> Result<Value> {
    let mut command = pinned(LOAD_CORE, &program("bench-load")?);
    command.args(["rate", &format!("127.0.0.1:{port}"), "/orders/acme", "--connections", "16"]);
    command.args(["--rate", &RATE.to_string(), "--seconds", &seconds.to_string()]);
    let output = command.stdout(Stdio::piped()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(said.lines().last().unwrap_or_default()).with_context(|| format!("the load said:\n{said}"))
}

/// A source that does one thing until it is stopped.
struct Source {
    port: u16,
    asked: Arc<AtomicUsize>,
    stops: Arc<AtomicBool>,
    accepts: Option<JoinHandle<()>>,
}

impl Source {
    fn start(port: u16, does: Does) -> Result<Self> {
        let (asked, stops) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let accepts = match does {
            Does::Refuse => None,
            does @ (Does::Answer(..) | Does::AnswerLate) => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
                let (asked, stops) = (asked.clone(), stops.clone());
                Some(spawn(move || {
                    for stream in listener.incoming().flatten().take_while(|_| !stops.load(Ordering::SeqCst)) {
                        let asked = asked.clone();
                        // Whoever is answered late may outlive this phase; what it says then is of no interest.
                        drop(spawn(move || drop(talk(stream, does, &asked))));
                    }
                }))
            }
        };
        Ok(Self { port, asked, stops, accepts })
    }

    /// Stops, and says how often it was asked.
    fn stop(self) -> usize {
        self.stops.store(true, Ordering::SeqCst);
        if let Some(accepts) = self.accepts {
            // Wakes it up, so that it sees that it is to stop.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
            drop(accepts.join());
        }
        self.asked.load(Ordering::SeqCst)
    }
}

/// Answers one request; the next connection may be the next source's.
fn talk(mut stream: TcpStream, does: Does, asked: &AtomicUsize) -> std::io::Result<()> {
    let mut head = BufReader::new(stream.try_clone()?).lines();
    if head.find(|line| !matches!(line, Ok(line) if !line.is_empty())).is_none() {
        return Ok(());
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let (status, body) = match does {
        Does::Answer(status, body) => (status, body),
        Does::AnswerLate | Does::Refuse => {
            sleep(Duration::from_secs(30));
            ("200 OK", RECORD)
        }
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
