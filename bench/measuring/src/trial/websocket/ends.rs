//! Both ends of a conversation: a client that sends what a case says, and the servers that it meets.

use super::cases::{Case, Script};
use anyhow::{Context, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use tungstenite::error::CapacityError;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

/// The hosts by which a gateway tells the servers.
pub(super) const ECHO: &str = "echo.example";
pub(super) const SCRIPTED: &str = "scripted.example";

/// Nobody waits longer for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// A conversation as both ends saw it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The status, and the headers about the WebSocket.
    pub(super) handshake: Vec<String>,
    pub(super) client: Received,
    /// What a server with a script got; the echo server's part shows in what the client got.
    pub(super) server: Option<Received>,
}

/// What one end got after the handshake.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) end: End,
}

/// How a connection ended for one end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// The other end closed it in order.
    Closed,
    /// It was reset.
    Reset,
    /// It did not end in time.
    #[default]
    Open,
}

/// Runs a case: the client connects to `port`; the server, if it has a script, is whoever is connected to at `listener`.
pub(super) fn meet(case: &Case, port: u16, listener: &TcpListener) -> Result<Seen> {
    thread::scope(|scope| {
        let server = case.script.as_ref().map(|script| scope.spawn(move || serve(script, case, listener)));
        let (handshake, client) = ask(case, port)?;
        let server = match server {
            Some(server) => Some(server.join().ok().context("the server's thread panicked")??),
            None => None,
        };
        Ok(Seen { handshake, client, server })
    })
}

fn ask(case: &Case, port: u16) -> Result<(Vec<String>, Received)> {
    let mut stream = connected(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)?;
    let more = lines(&case.offers);
    let host = if case.script.is_some() { SCRIPTED } else { ECHO };
    write!(
        stream,
        "GET /chat HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )?;
    let handshake = about_websockets(&head(&mut stream)?);
    let mut writer = stream.try_clone()?;
    let received = thread::scope(|scope| {
        // Whoever writes without reading may wait for one who does the same.
        scope.spawn(move || {
            for piece in case.sent.chunks(case.piece) {
                if writer.write_all(piece).is_err() {
                    break;
                }
            }
        });
        until_end(&mut stream, Vec::new())
    });
    Ok((handshake, received))
}

/// Serves one connection as the script says.
fn serve(script: &Script, case: &Case, listener: &TcpListener) -> Result<Received> {
    let mut stream = connected(listener.accept()?.0)?;
    head(&mut stream)?;
    let accepts = lines(&script.accepts);
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{accepts}\r\n"
    )?;
    for piece in script.says.chunks(case.piece) {
        stream.write_all(piece)?;
    }
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while bytes.len() < case.sent.len() {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend(buffer.iter().take(read)),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(until_end(&mut stream, bytes))
}

fn lines(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [line, "\r\n"]).collect()
}

fn connected(stream: TcpStream) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads a head, and no byte behind it.
fn head(stream: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).context("the handshake did not end")?;
        bytes.extend(byte);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What of an answer concerns the WebSocket; a gateway may add to the rest.
fn about_websockets(head: &str) -> Vec<String> {
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut lines: Vec<String> = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .filter(|(name, _)| name.starts_with("sec-websocket") || ["upgrade", "connection"].contains(&name.as_str()))
        .map(|(name, value)| match name.as_str() {
            "connection" => format!("{name}: {}", value.to_ascii_lowercase()),
            _ => format!("{name}: {value}"),
        })
        .collect();
    lines.sort();
    lines.insert(0, status);
    lines
}

fn until_end(stream: &mut TcpStream, first: Vec<u8>) -> Received {
    let mut received = Received { bytes: first, end: End::Open };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => received.end = End::Closed,
            Ok(read) => {
                received.bytes.extend(buffer.iter().take(read));
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => received.end = End::Reset,
            Err(_) => {}
        }
        return received;
    }
}

/// An echo server that closes with the code that the standard asks for.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) port: u16,
}

impl Echo {
    /// Serves until the process ends.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
        Ok(Self { port })
    }
}

fn echo(stream: TcpStream) {
    let Ok(stream) = connected(stream) else { return };
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    loop {
        let code = match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => match socket.send(message) {
                Ok(()) => continue,
                Err(_) => break,
            },
            Ok(_) => continue,
            Err(Error::Protocol(_)) => CloseCode::Protocol,
            Err(Error::Utf8(_)) => CloseCode::Invalid,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => CloseCode::Size,
            Err(_) => break,
        };
        let _told = socket.close(Some(CloseFrame { code, reason: "".into() }));
        break;
    }
    let _sent = socket.flush();
    let stream = socket.get_mut();
    if stream.shutdown(Shutdown::Write).is_ok() {
        // What is still on its way would otherwise turn the end into a reset.
        until_end(stream, Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{BINARY, By, TEXT, close, whole};
    use super::*;

    fn met(sent: &[Vec<u8>], script: Option<Script>) -> Seen {
        let case =
            Case { kind: "test", name: String::new(), offers: Vec::new(), sent: sent.concat(), piece: 3, script };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let echo = Echo::start().unwrap();
        let port = if case.script.is_some() { listener.local_addr().unwrap().port() } else { echo.port };
        meet(&case, port, &listener).unwrap()
    }

    #[test]
    fn the_strict_server_echoes_and_closes_with_the_code_that_fits() {
        let goodbye = close(By::Client, 1000, b"");
        for (sent, answer) in [
            (
                whole(By::Client, TEXT, b"Hello"),
                [whole(By::Server, TEXT, b"Hello"), close(By::Server, 1000, b"")].concat(),
            ),
            (whole(By::Client, TEXT, b"\xff"), close(By::Server, 1007, b"")),
            (whole(By::Server, TEXT, b"unmasked"), close(By::Server, 1002, b"")),
        ] {
            let seen = met(&[sent, goodbye.clone()], None);
            assert_eq!(seen.handshake.first().map(String::as_str), Some("101"));
            assert_eq!(seen.client, Received { bytes: answer, end: End::Closed });
        }
    }

    #[test]
    fn a_server_with_a_script_says_it_and_hears_the_client_out() {
        let (sent, says) = (whole(By::Client, BINARY, b"to"), whole(By::Server, BINARY, b"from"));
        let seen = met(std::slice::from_ref(&sent), Some(Script { accepts: Vec::new(), says: says.clone() }));
        assert_eq!(seen.client, Received { bytes: says, end: End::Closed });
        assert_eq!(seen.server, Some(Received { bytes: sent, end: End::Closed }));
    }
}
