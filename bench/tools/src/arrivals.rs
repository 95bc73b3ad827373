//! `bench-arrivals ADDRESS PATH`: clients that do not wait for each other, each request written down by itself.
//!
//! Requests leave at fixed times, whatever became of those before: on a connection that is free, or on a new one. A line
//! for each goes to standard output: when it was due (microseconds since 1970), microseconds to the end of its answer,
//! status (0 without an answer), whether it had `Retry-After` (1 or 0). With `--connections N` instead of `--rate N` as
//! many clients ask again and again, which tells how much can be had at most.

use anyhow::{Context, Result, bail};
use memchr::memmem;
use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked, and how often.
struct Options {
    address: SocketAddr,
    request: Vec<u8>,
    /// Requests a second; none if clients ask again and again.
    rate: Option<f64>,
    connections: u32,
    seconds: f64,
    keeps: bool,
}

/// Everything that clients share. They all live on one thread.
struct Clients {
    options: Options,
    idle: RefCell<Vec<TcpStream>>,
    lines: RefCell<Vec<u8>>,
}

struct Answer {
    status: u16,
    has_retry_after: bool,
    /// The connection, if it can be used again.
    kept: Option<TcpStream>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let clients =
        Rc::new(Clients { options: Options::read(&words)?, idle: RefCell::default(), lines: RefCell::default() });
    let tasks = LocalSet::new();
    tasks.run_until(arrive(&clients)).await;
    // Those under way come to their end, each within its patience.
    tasks.await;
    std::io::stdout().write_all(&clients.lines.borrow())?;
    Ok(())
}

/// Has every request leave at its time.
async fn arrive(clients: &Rc<Clients>) {
    let options = &clients.options;
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(options.seconds);
    let Some(rate) = options.rate else {
        for _ in 0..options.connections {
            let clients = Rc::clone(clients);
            tokio::task::spawn_local(async move {
                while Instant::now() < end {
                    clients.ask(Instant::now()).await;
                }
            });
        }
        return;
    };
    let step = Duration::from_secs_f64(1.0 / rate);
    let mut due = begin;
    while due < end {
        tokio::time::sleep_until(due).await;
        let clients = Rc::clone(clients);
        // The timer is a millisecond coarse, which is not the server's fault.
        let left = due.max(Instant::now().checked_sub(Duration::from_millis(2)).unwrap_or(due));
        tokio::task::spawn_local(async move { clients.ask(left).await });
        due += step;
    }
}

impl Clients {
    /// Asks once, and writes down what came of it.
    async fn ask(&self, due: Instant) {
        let due_at = SystemClock::now().saturating_sub(due.elapsed());
        let answered = tokio::time::timeout(PATIENCE, self.exchange()).await;
        let took = due.elapsed();
        let (status, has_retry_after) = match answered {
            Ok(Ok(Answer { status, has_retry_after, kept })) => {
                self.idle.borrow_mut().extend(kept);
                (status, has_retry_after)
            }
            Ok(Err(_)) | Err(_) => (0, false),
        };
        let line = format!("{} {} {status} {}\n", due_at.as_micros(), took.as_micros(), u8::from(has_retry_after));
        self.lines.borrow_mut().extend_from_slice(line.as_bytes());
    }

    async fn exchange(&self) -> Result<Answer> {
        let mut stream = match self.free() {
            Some(stream) => stream,
            None => TcpStream::connect(self.options.address).await?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(&self.options.request).await?;
        let mut read = Vec::with_capacity(4096);
        let head_end = loop {
            if let Some(at) = memmem::find(&read, b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                bail!("the connection ended");
            }
        };
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        response.parse(&read)?;
        let status = response.code.context("an answer has no status")?;
        let header = |name: &str| {
            response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
        };
        let has_retry_after = header("retry-after").is_some();
        let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        let length = header("content-length").map(number);
        let is_chunked = header("transfer-encoding").is_some();
        let length = length.transpose()?;
        let is_whole = |read: &[u8]| match length {
            Some(length) => read.len() >= head_end + length,
            None => !is_chunked || read.ends_with(b"\r\n0\r\n\r\n"),
        };
        while !is_whole(&read) {
            if stream.read_buf(&mut read).await? == 0 {
                bail!("an answer was cut");
            }
        }
        Ok(Answer { status, has_retry_after, kept: (self.options.keeps && !closes).then_some(stream) })
    }

    /// A connection that the server has not closed.
    fn free(&self) -> Option<TcpStream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(stream) = idle.pop() {
            let waiting = stream.try_read(&mut [0; 1]);
            if waiting.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
                return Some(stream);
            }
        }
        None
    }
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        const USAGE: &str = "usage: bench-arrivals ADDRESS PATH (--rate N | --connections N) --seconds N [--close 1] \
                             [--header LINE]...";
        let [address, path, rest @ ..] = words else { bail!("{USAGE}") };
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n");
        let mut options = Self {
            address: address.parse().with_context(|| format!("`{address}` is not an address with port"))?,
            request: Vec::new(),
            rate: None,
            connections: 0,
            seconds: 1.0,
            keeps: true,
        };
        for pair in rest.chunks(2) {
            let [name, value] = pair else { bail!("{USAGE}") };
            match name.as_str() {
                "--rate" => options.rate = Some(value.parse()?),
                "--connections" => options.connections = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--close" => {
                    options.keeps = false;
                    request.push_str("Connection: close\r\n");
                }
                "--header" => request.extend([value, "\r\n"]),
                _ => bail!("{USAGE}"),
            }
        }
        request.push_str("\r\n");
        options.request = request.into_bytes();
        Ok(options)
    }
}

fn number(value: &[u8]) -> Result<usize> {
    std::str::from_utf8(value)?.trim().parse().context("a length is no number")
}

/// The time of day, by which whoever runs this tells what happened meanwhile.
struct SystemClock;

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
    fn now() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn every_request_has_its_line_whatever_became_of_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let words = [&address, "/", "--connections", "1"].map(str::to_owned);
        let clients =
            Clients { options: Options::read(&words).unwrap(), idle: RefCell::default(), lines: RefCell::default() };
        let serves = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno";
            stream.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
        };
        let asks = async {
            clients.ask(Instant::now()).await;
            clients.ask(Instant::now()).await;
        };
        tokio::join!(serves, asks);

        let lines = String::from_utf8(clients.lines.into_inner()).unwrap();
        let ends: Vec<_> = lines.lines().map(|line| line.splitn(3, ' ').last().unwrap().to_owned()).collect();
        assert_eq!(ends, ["503 1", "0 0"]);
    }
}
