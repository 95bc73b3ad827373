//! One connection of a client that speaks just enough HTTP/1.1.

use crate::options::Options;
use anyhow::{Context, Result, bail};
use memchr::memmem;
use rustix::net::{RecvFlags, recv};
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(10);

/// An open connection.
pub(crate) struct Client {
    wire: Wire,
    buffer: Vec<u8>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// The head of an answer whose body was read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The server closes the connection after it.
    pub(crate) last: bool,
}

impl Client {
    pub(crate) fn open(options: &Options) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&options.address, LIMIT).context("could not connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let wire = match &options.tls {
            None => Wire::Plain(stream),
            Some(tls) => {
                let session = ClientConnection::new(Arc::clone(tls), ServerName::try_from("localhost")?)?;
                Wire::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        };
        Ok(Self { wire, buffer: Vec::new() })
    }

    /// Tells whether the server has closed the idle connection, which clients look for before they use it again.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.wire {
            // Session tickets may be waiting on a connection with TLS, so that nothing can be told from outside.
            Wire::Tls(_) => false,
            Wire::Plain(stream) => {
                let waiting = recv(stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
                !matches!(waiting, Err(rustix::io::Errno::AGAIN))
            }
        }
    }

    /// Sends a request and reads its whole answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.wire.write_all(request).context("could not send")?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().context("no head of an answer")?;
        };
        let (answer, length) = read_head(&self.buffer)?;
        while self.buffer.len() < head_end + length {
            self.read_more().context("an answer was cut")?;
        }
        Ok(answer)
    }

    fn read_more(&mut self) -> Result<()> {
        let mut chunk = [0_u8; 16 * 1024];
        let count = match &mut self.wire {
            Wire::Plain(stream) => stream.read(&mut chunk)?,
            Wire::Tls(stream) => stream.read(&mut chunk)?,
        };
        if count == 0 {
            bail!("the connection ended");
        }
        self.buffer.extend(chunk.iter().take(count));
        Ok(())
    }
}

impl Wire {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

/// The answer, and the length of its body.
pub(crate) fn read_head(bytes: &[u8]) -> Result<(Answer, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(bytes)?;
    let mut answer = Answer { status: response.code.context("an answer has no status")?, last: false };
    let mut length = 0;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value)?.trim().parse()?;
        } else if header.name.eq_ignore_ascii_case("connection") {
            answer.last = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok((answer, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_length_and_whether_it_is_the_last() {
        let (answer, length) = read_head(b"HTTP/1.1 429 No\r\ncontent-length: 7\r\nConnection: Close\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.last, length), (429, true, 7));
    }
}
