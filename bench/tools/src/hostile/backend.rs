//! A backend that reads what it is sent to the end, and counts how many requests it has at once.

use crate::{now, spawn};
use anyhow::Result;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long `/hold` takes.
const HOLD: Duration = Duration::from_secs(2);
/// How much `/big` is.
const BIG: usize = 256 * 1024 * 1024;

/// Requests since the last look.
#[derive(Default)]
struct Seen {
    now: AtomicU64,
    most: AtomicU64,
    all: AtomicU64,
}

/// A request counts while it is there.
struct Here(Arc<Seen>);

impl Here {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.all.fetch_add(1, Ordering::Relaxed);
        let count = seen.now.fetch_add(1, Ordering::Relaxed) + 1;
        seen.most.fetch_max(count, Ordering::Relaxed);
        Self(Arc::clone(seen))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves until the process is ended.
pub(crate) async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let seen = Arc::<Seen>::default();
    loop {
        let (stream, _) = listener.accept().await?;
        let seen = Arc::clone(&seen);
        spawn(async move { converse(stream, &seen).await });
    }
}

async fn converse(mut stream: TcpStream, seen: &Arc<Seen>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8 * 1024);
    while let Some(path) = head(&mut stream, &mut buffer).await? {
        if path == "/stats" {
            body(&mut stream, &mut buffer).await?;
            // Whoever looks begins a new count.
            let now = seen.now.load(Ordering::Relaxed);
            let figures = json!({
                "now": now,
                "most": seen.most.swap(now, Ordering::Relaxed),
                "all": seen.all.swap(0, Ordering::Relaxed),
            });
            answer(&mut stream, figures.to_string().as_bytes()).await?;
            continue;
        }
        let _here = Here::new(seen);
        body(&mut stream, &mut buffer).await?;
        match path.as_str() {
            "/hold" => {
                let until = now() + HOLD;
                let gone = tokio::time::timeout(until.saturating_duration_since(now()), stream.read_buf(&mut buffer));
                if gone.await.is_ok() {
                    return Ok(());
                }
                answer(&mut stream, b"held").await?;
            }
            "/big" => big(&mut stream).await?,
            _ => answer(&mut stream, &[b'x'; 1024]).await?,
        }
    }
    Ok(())
}

async fn answer(stream: &mut TcpStream, body: &[u8]) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    Ok(())
}

async fn big(stream: &mut TcpStream) -> Result<()> {
    let piece = vec![b'x'; 64 * 1024];
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n").as_bytes()).await?;
    for _ in 0..BIG / piece.len() {
        stream.write_all(&piece).await?;
        // Others wait for their turn meanwhile.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Reads a head, which stays in the buffer with what follows it, and answers its path; none if there is no more.
async fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<String>> {
    while !buffer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(buffer)?;
    Ok(request.path.map(str::to_owned))
}

/// Reads the body whose head is in the buffer, and throws both away.
async fn body(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    let (head, framing) = {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = request.parse(buffer)? else { return Ok(()) };
        let named = |name: &str| request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        let framing = match (named("transfer-encoding"), named("content-length")) {
            (Some(_), _) => None,
            (None, Some(length)) => Some(std::str::from_utf8(length.value)?.trim().parse::<usize>()?),
            (None, None) => Some(0),
        };
        (head, framing)
    };
    buffer.drain(..head);
    // The last chunk is told from others by what it ends with, which no client here sends within a chunk.
    let is_whole = |buffer: &[u8]| framing.map_or(buffer.ends_with(b"0\r\n\r\n"), |length| buffer.len() >= length);
    while !is_whole(buffer) {
        if stream.read_buf(buffer).await? == 0 {
            anyhow::bail!("a body was cut");
        }
    }
    buffer.clear();
    Ok(())
}
