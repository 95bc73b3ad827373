//! `bench-watchers ADDRESS PATH --watchers N [--each M]`: so many clients that watch a stream of server-sent events, each on a
//! connection of its own, from several addresses of loopback where one has too few ports; or M of them on each connection, by
//! HTTP/2.
//!
//! Whenever all of them have heard of a serving number, it prints a line of JSON with the number and with microseconds since
//! 1970 at which the first and the last one did; and one with null when all have heard anything. It ends with its standard input.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures go to the caller")]

use anyhow::{Context, Result, bail};
use memchr::memmem;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;

/// Connections from one address.
const EACH: u32 = 20_000;
/// Connections that are made at a time.
const AT_ONCE: u32 = 200;

/// What watchers heard, all on one thread.
struct Heard {
    watchers: u32,
    /// How many heard of a serving number, or of anything, and when the first one did.
    rounds: RefCell<HashMap<Option<i64>, (u32, u64)>>,
    ended: Cell<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (address, path, watchers, each) = match words.as_slice() {
        [address, path, name, watchers] if name == "--watchers" => (address, path, watchers, None),
        [address, path, name, watchers, of, each] if name == "--watchers" && of == "--each" => {
            (address, path, watchers, Some(each.parse()?))
        }
        _ => bail!("usage: bench-watchers ADDRESS PATH --watchers N [--each M]"),
    };
    let (address, watchers): (SocketAddr, u32) = (address.parse()?, watchers.parse()?);
    let heard = Rc::new(Heard { watchers, rounds: RefCell::default(), ended: Cell::new(0) });
    let tasks = LocalSet::new();
    tasks
        .run_until(async {
            match each {
                None => watch(address, path, &heard).await?,
                Some(each) => watch_together(address, path, each, &heard).await?,
            }
            until_told().await;
            Ok(())
        })
        .await
}

/// Each on a connection of their own.
async fn watch(address: SocketAddr, path: &str, heard: &Rc<Heard>) -> Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    let watchers = heard.watchers;
    let mut number = 0;
    while number < watchers {
        let some = (number..watchers.min(number + AT_ONCE)).map(|number| open(address, request.clone(), number));
        let made: Vec<_> = some.map(tokio::task::spawn_local).collect();
        for connection in made {
            let stream = connection.await?.with_context(|| format!("after {number} watchers"))?;
            tokio::task::spawn_local(listen(stream, heard.clone()));
            number += 1;
        }
    }
    Ok(())
}

/// So many on each connection.
async fn watch_together(address: SocketAddr, path: &str, each: u32, heard: &Rc<Heard>) -> Result<()> {
    let mut number = 0;
    while number < heard.watchers {
        let (mut ask, connection) = h2::client::handshake(connected(address, number / each).await?).await?;
        tokio::task::spawn_local(async move { drop(connection.await) });
        let some = each.min(heard.watchers - number);
        for _ in 0..some {
            ask = ask.ready().await?;
            let request = http::Request::get(format!("http://{address}{path}")).body(())?;
            let (answer, _nothing) = ask.send_request(request, true)?;
            tokio::task::spawn_local(listen_together(answer, heard.clone()));
        }
        number += some;
        // What was asked goes out before more is.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Waits for the end of the standard input.
async fn until_told() {
    let (ended, is_over) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Whatever is said, only the end matters.
        let _said = std::io::stdin().read_to_end(&mut Vec::new());
        let _nobody = ended.send(());
    });
    drop(is_over.await);
}

/// A connection that has asked.
async fn open(address: SocketAddr, request: String, number: u32) -> Result<TcpStream> {
    let mut stream = connected(address, number).await?;
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// A connection from an address that has ports left.
async fn connected(address: SocketAddr, number: u32) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Not those of others who watch another server at the same time.
    let [high, low] = address.port().to_be_bytes();
    let from = Ipv4Addr::new(127, high, low, u8::try_from(1 + number / EACH)?);
    socket.bind(SocketAddr::from((from, 0)))?;
    Ok(socket.connect(address).await?)
}

/// Listens until the stream ends.
async fn listen(mut stream: TcpStream, heard: Rc<Heard>) {
    let (mut buffer, mut ear) = ([0; 1024], Ear::default());
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        ear.hear(buffer.get(..length).unwrap_or_default(), &heard);
    }
    heard.end();
}

async fn listen_together(answer: h2::client::ResponseFuture, heard: Rc<Heard>) {
    if let Ok(answer) = answer.await {
        let (mut body, mut ear) = (answer.into_body(), Ear::default());
        while let Some(Ok(piece)) = body.data().await {
            // It fails for streams that have ended only.
            let _released = body.flow_control().release_capacity(piece.len());
            ear.hear(&piece, &heard);
        }
    }
    heard.end();
}

/// What one watcher has heard.
#[derive(Default)]
struct Ear {
    event: Vec<u8>,
    is_there: bool,
    known: Option<i64>,
}

impl Ear {
    fn hear(&mut self, piece: &[u8], heard: &Heard) {
        if !self.is_there {
            self.is_there = true;
            heard.note(None);
        }
        self.event.extend_from_slice(piece);
        let Some(end) = memmem::rfind(&self.event, b"}\n\n") else { return };
        let serving = self.event.get(..end).and_then(serving);
        self.event = Vec::new();
        if serving.is_some() && serving != self.known {
            self.known = serving;
            heard.note(serving);
        }
    }
}

/// The last serving number in what was heard.
fn serving(events: &[u8]) -> Option<i64> {
    const NAME: &[u8] = b"\"serving_counter\":";
    let digits = events.get(memmem::rfind(events, NAME)? + NAME.len()..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'-')?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

impl Heard {
    fn note(&self, serving: Option<i64>) {
        let at = now();
        let mut rounds = self.rounds.borrow_mut();
        let (count, first) = rounds.entry(serving).or_insert((0, at));
        *count += 1;
        if *count == self.watchers {
            let ended = self.ended.get();
            println!("{}", json!({ "serving": serving, "first": *first, "last": at, "ended": ended }));
        }
    }

    /// A stream ended. Before all watchers are there that is no finding but a mistake, such as a limit of connections.
    fn end(&self) {
        self.ended.set(self.ended.get() + 1);
        if self.rounds.borrow().values().all(|(count, _)| *count < self.watchers) {
            eprintln!("a stream ended before all watchers were there");
            std::process::exit(1);
        }
    }
}

/// Microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
