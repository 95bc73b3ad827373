//! `bench-watchers ADDRESS PATH --watchers N [--each M]`: so many clients that watch a stream of server-sent events, each on a
//! connection of its own, from several addresses of loopback where one has too few ports; or M of them on each connection, by
//! HTTP/2.
//!
//! Whenever all of them have heard of a serving number, it prints a line of JSON with the number and with microseconds since
//! 1970 at which the first and the last one did; and one with null when all have heard anything. It ends with its standard input.
//!
//! With a connection each, what counts is when the kernel received it, as the machines of so many clients would each at once:
//! one thread that reads for all of them takes longer than the server does.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures go to the caller")]

use anyhow::{Context, Result, bail};
use memchr::memmem;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns};
use nix::sys::time::TimeSpec;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, IoSliceMut, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;

/// Connections from one address.
const EACH: u32 = 20_000;
/// Connections that are made at a time.
const AT_ONCE: u32 = 200;

/// What watchers heard, all on one thread.
struct Heard {
    watchers: u32,
    /// Of a serving number, or of anything.
    rounds: RefCell<HashMap<Option<i64>, Round>>,
    ended: Cell<u32>,
}

/// How many heard of something, and when the first and the last one did.
struct Round {
    count: u32,
    first: u64,
    last: u64,
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
        let _said = io::stdin().read_to_end(&mut Vec::new());
        let _nobody = ended.send(());
    });
    drop(is_over.await);
}

/// A connection that has asked.
async fn open(address: SocketAddr, request: String, number: u32) -> Result<TcpStream> {
    let mut stream = connected(address, number).await?;
    setsockopt(&stream, ReceiveTimestampns, &true)?;
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
async fn listen(stream: TcpStream, heard: Rc<Heard>) {
    let (mut buffer, mut ear) = ([0; 1024], Ear::default());
    while let Ok((length @ 1.., at)) = stream.async_io(Interest::READABLE, || receive(&stream, &mut buffer)).await {
        ear.hear(buffer.get(..length).unwrap_or_default(), at, &heard);
    }
    heard.end();
}

/// Reads what is there: how many bytes, and when the kernel received the last of them. It notes the time soon after the first
/// connection asks for it; of what came before, the time is that of reading.
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, u64)> {
    let (mut notes, mut parts) = (cmsg_space!(TimeSpec), [IoSliceMut::new(buffer)]);
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut notes), MsgFlags::empty())?;
    let received = message.cmsgs()?.find_map(|note| match note {
        ControlMessageOwned::ScmTimestampns(at) => Some(micros(at.into())),
        _ => None,
    });
    Ok((message.bytes, received.unwrap_or_else(now)))
}

async fn listen_together(answer: h2::client::ResponseFuture, heard: Rc<Heard>) {
    if let Ok(answer) = answer.await {
        let (mut body, mut ear) = (answer.into_body(), Ear::default());
        while let Some(Ok(piece)) = body.data().await {
            // It fails for streams that have ended only.
            let _released = body.flow_control().release_capacity(piece.len());
            ear.hear(&piece, now(), &heard);
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
    fn hear(&mut self, piece: &[u8], at: u64, heard: &Heard) {
        if !self.is_there {
            self.is_there = true;
            heard.note(None, at);
        }
        self.event.extend_from_slice(piece);
        let Some(end) = memmem::rfind(&self.event, b"}\n\n") else { return };
        let serving = self.event.get(..end).and_then(serving);
        self.event = Vec::new();
        if serving.is_some() && serving != self.known {
            self.known = serving;
            heard.note(serving, at);
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
    fn note(&self, serving: Option<i64>, at: u64) {
        let mut rounds = self.rounds.borrow_mut();
        let round = rounds.entry(serving).or_insert(Round { count: 0, first: at, last: at });
        round.count += 1;
        (round.first, round.last) = (round.first.min(at), round.last.max(at));
        if round.count == self.watchers {
            let (ended, Round { first, last, .. }) = (self.ended.get(), round);
            println!("{}", json!({ "serving": serving, "first": first, "last": last, "ended": ended }));
        }
    }

    /// A stream ended. Before all watchers are there that is no finding but a mistake, such as a limit of connections.
    fn end(&self) {
        self.ended.set(self.ended.get() + 1);
        if self.rounds.borrow().values().all(|round| round.count < self.watchers) {
            eprintln!("a stream ended before all watchers were there");
            std::process::exit(1);
        }
    }
}

/// Microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
