//! Requests with many keys, one after the other on each of some connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Asks so many times over so many connections, and says how long it took.
pub(crate) fn ask(
    address: SocketAddr,
    path: &str,
    file: &Path,
    (requests, connections): (usize, usize),
) -> Result<Value> {
    let text = std::fs::read_to_string(file)?;
    let keys: Vec<&str> = text.lines().collect();
    let began = Instant::now();
    let answered: Result<Vec<usize>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|index| {
                // Each connection goes its own way through all keys.
                let keys = keys.iter().cycle().skip(index * keys.len() / connections);
                scope.spawn(move || one_after_the_other(address, path, keys.take(requests / connections)))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a connection's thread panicked")))
            .collect()
    });
    let answered: usize = answered?.into_iter().sum();
    Ok(json!({ "answered": answered, "seconds": began.elapsed().as_secs_f64() }))
}

fn one_after_the_other<'a>(address: SocketAddr, path: &str, keys: impl Iterator<Item = &'a &'a str>) -> Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut answered, mut buffer) = (0, vec![0; 64 * 1024]);
    for key in keys {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\n\r\n")?;
        let status = read(&mut stream, &mut buffer)?;
        if status != 200 {
            bail!("status {status}");
        }
        answered += 1;
    }
    Ok(answered)
}

/// Reads one answer that has a length.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<u16> {
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).context("an answer is too long")?;
        let more = stream.read(room)?;
        if more == 0 {
            bail!("the connection was closed");
        }
        filled += more;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let read = buffer.get(..filled).unwrap_or_default();
        if let httparse::Status::Complete(head) = answer.parse(read)? {
            let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length: usize = std::str::from_utf8(length.context("an answer has no length")?.value)?.parse()?;
            if head + length <= filled {
                return answer.code.context("an answer has no status");
            }
        }
    }
}
