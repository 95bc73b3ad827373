//! `bench-backend ADDRESS`: the server behind every proxy of the benchmark, as cheap as a server can be.
//!
//! `/100k` answers 100 KiB, every other path 1 KiB. A body is read whole before the answer goes out, because a proxy's
//! work on a body must not be cut short. Deliberately not here: chunked bodies, which no case sends.

use anyhow::{Context, Result, bail};
use memchr::memmem;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The longest head, which no case comes near.
const HEAD_BYTES: usize = 16 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("usage: bench-backend ADDRESS")?;
    let listener = TcpListener::bind(&address).await.with_context(|| format!("could not listen on {address}"))?;
    let answers = Arc::new(Answers { short: answer(1024), long: answer(100 * 1024) });
    loop {
        let (stream, _) = listener.accept().await?;
        let answers = Arc::clone(&answers);
        #[expect(clippy::disallowed_methods, reason = "the process ends by a signal; nothing is to be awaited")]
        tokio::spawn(async move { serve(stream, &answers).await });
    }
}

/// Complete answers, made once.
struct Answers {
    short: Vec<u8>,
    long: Vec<u8>,
}

fn answer(length: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let body = br#"{"id":4711,"name":"sample"},"#.iter().copied().cycle().take(length);
    head.into_bytes().into_iter().chain(body).collect()
}

/// Answers requests until the connection ends.
async fn serve(mut stream: TcpStream, answers: &Answers) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(80 * 1024);
    loop {
        let head_end = loop {
            if let Some(at) = memmem::find(&buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if buffer.len() > HEAD_BYTES || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = Head::read(&buffer)?;
        while buffer.len() < head_end + head.body {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..head_end + head.body);
        stream.write_all(if head.wants_long { &answers.long } else { &answers.short }).await?;
    }
}

/// What matters of a request's head.
struct Head {
    wants_long: bool,
    /// Length of the body.
    body: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(bytes)?;
        let mut body = 0;
        for header in request.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                body = std::str::from_utf8(header.value)?.trim().parse()?;
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("no case of the benchmark sends a chunked body");
            }
        }
        Ok(Self { wants_long: request.path == Some("/100k"), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_chooses_the_answer_and_the_length_is_read_in_any_case() {
        let head = Head::read(b"POST /100k HTTP/1.1\r\nCONTENT-LENGTH: 65536 \r\n\r\n").unwrap();
        assert!(head.wants_long);
        assert_eq!(head.body, 65_536);
        assert!(!Head::read(b"GET /1k HTTP/1.1\r\n\r\n").unwrap().wants_long);
    }

    #[test]
    fn a_chunked_body_is_refused_rather_than_misread() {
        assert!(Head::read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let answer = answer(1024);
        let end = memmem::find(&answer, b"\r\n\r\n").unwrap() + 4;
        assert_eq!(answer.len() - end, 1024);
    }
}
