//! `bench-watchers ADDRESS PATH --watchers N`: so many clients that watch a stream of server-sent events, each on a connection of
//! its own, from several addresses of loopback where one has too few ports.
//!
//! Whenever all of them have heard of a serving number, it prints a line of JSON with the number and with microseconds since
//! 1970 at which the first and the last one did. It ends with its standard input.
#![expect(clippy::print_stdout, reason = "the figures go to the caller")]

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
    /// How many heard of a serving number, and when the first one did.
    rounds: RefCell<HashMap<i64, (u32, u64)>>,
    ended: Cell<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, name, watchers] = words.as_slice() else {
        bail!("usage: bench-watchers ADDRESS PATH --watchers N")
    };
    if name != "--watchers" {
        bail!("there is no option `{name}`");
    }
    let (address, watchers): (SocketAddr, u32) = (address.parse()?, watchers.parse()?);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    let heard = Rc::new(Heard { watchers, rounds: RefCell::default(), ended: Cell::new(0) });
    let tasks = LocalSet::new();
    tasks.run_until(watch(address, &request, &heard)).await
}

async fn watch(address: SocketAddr, request: &str, heard: &Rc<Heard>) -> Result<()> {
    let watchers = heard.watchers;
    let mut number = 0;
    while number < watchers {
        let some = (number..watchers.min(number + AT_ONCE)).map(|number| open(address, request.to_owned(), number));
        let made: Vec<_> = some.map(tokio::task::spawn_local).collect();
        for connection in made {
            let stream = connection.await?.with_context(|| format!("after {number} watchers"))?;
            tokio::task::spawn_local(listen(stream, heard.clone()));
            number += 1;
        }
    }
    let (ended, is_over) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Whatever is said, only the end matters.
        let _said = std::io::stdin().read_to_end(&mut Vec::new());
        let _nobody = ended.send(());
    });
    drop(is_over.await);
    Ok(())
}

/// A connection that has asked, from an address that has ports left.
async fn open(address: SocketAddr, request: String, number: u32) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + number / EACH)?);
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = socket.connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Listens until the stream ends.
async fn listen(mut stream: TcpStream, heard: Rc<Heard>) {
    let mut buffer = [0; 1024];
    let (mut event, mut known) = (Vec::new(), None);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        event.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let Some(end) = memmem::rfind(&event, b"}\n\n") else { continue };
        let serving = event.get(..end).and_then(serving);
        event.drain(..end + 3);
        if serving.is_some() && serving != known {
            known = serving;
            heard.note(serving.unwrap_or_default());
        }
    }
    heard.ended.set(heard.ended.get() + 1);
}

/// The last serving number in what was heard.
fn serving(events: &[u8]) -> Option<i64> {
    const NAME: &[u8] = b"\"serving_counter\":";
    let digits = events.get(memmem::rfind(events, NAME)? + NAME.len()..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'-')?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

impl Heard {
    fn note(&self, serving: i64) {
        let at = now();
        let mut rounds = self.rounds.borrow_mut();
        let (count, first) = rounds.entry(serving).or_insert((0, at));
        *count += 1;
        if *count == self.watchers {
            let ended = self.ended.get();
            println!("{}", json!({ "serving": serving, "first": *first, "last": at, "ended": ended }));
        }
    }
}

/// Microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
