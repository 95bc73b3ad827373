//! `bench-slots ADDRESS SLOTS MILLISECONDS BYTES`: a server that can do so much at a time and no more.
//!
//! An answer takes a slot for as long as is said, and whoever finds none waits. So its capacity is known: slots divided by
//! time.

use anyhow::{Context, Result, bail};
use memchr::memmem;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

struct Server {
    slots: Semaphore,
    time: Duration,
    answer: Vec<u8>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, slots, milliseconds, bytes] = words.as_slice() else {
        bail!("usage: bench-slots ADDRESS SLOTS MILLISECONDS BYTES")
    };
    let length: usize = bytes.parse()?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    let body = br#"{"id":4711,"name":"sample"},"#.iter().copied().cycle().take(length);
    let server = Arc::new(Server {
        slots: Semaphore::new(slots.parse()?),
        time: Duration::from_millis(milliseconds.parse()?),
        answer: head.into_bytes().into_iter().chain(body).collect(),
    });
    let listener = TcpListener::bind(address).await.with_context(|| format!("could not listen on {address}"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        let server = Arc::clone(&server);
        #[expect(clippy::disallowed_methods, reason = "the process ends by a signal; nothing is to be awaited")]
        tokio::spawn(async move { server.serve(stream).await });
    }
}

impl Server {
    /// Answers requests without a body until the connection ends.
    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::with_capacity(4096);
        loop {
            while let Some(at) = memmem::find(&buffer, b"\r\n\r\n") {
                buffer.drain(..at + 4);
                let slot = self.slots.acquire().await?;
                tokio::time::sleep(self.time).await;
                drop(slot);
                stream.write_all(&self.answer).await?;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }
}
