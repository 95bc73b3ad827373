//! `bench-teller ADDRESS`: the least that a server of server-sent events does. Whoever asks by GET is told what was said last,
//! and whatever is said afterwards; what comes by POST is said to all of them, one after the other, by one call of the kernel
//! each and nothing else.
//!
//! So it tells what of a tick is the kernel's, on the machine where others are measured.

use anyhow::{Context, Result, bail};
use memchr::memmem;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const DONE: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = words.as_slice() else { bail!("usage: bench-teller ADDRESS") };
    let listener = TcpListener::bind(address).with_context(|| format!("could not listen on {address}"))?;
    // Hundreds come at once, and the standard library lets fewer wait.
    rustix::net::listen(&listener, 4096)?;
    let (mut all, mut said) = (Vec::new(), Vec::new());
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        match asked(&mut stream)? {
            Asked::Nothing => {}
            Asked::ToHear => {
                stream.write_all(&[HEAD, &said].concat())?;
                all.push(stream);
            }
            Asked::ToSay(data) => {
                said = [b"data: ", &*data, b"\n\n"].concat();
                for listener in &mut all {
                    listener.write_all(&said)?;
                }
                stream.write_all(DONE)?;
            }
        }
    }
    Ok(())
}

enum Asked {
    Nothing,
    ToHear,
    ToSay(Vec<u8>),
}

/// Reads one request.
fn asked(stream: &mut TcpStream) -> Result<Asked> {
    let (mut read, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut some)?;
        if count == 0 {
            return Ok(Asked::Nothing);
        }
        read.extend_from_slice(some.get(..count).unwrap_or_default());
        let Some(end) = memmem::find(&read, b"\r\n\r\n") else { continue };
        let (head, body) = read.split_at(end + 4);
        if !head.starts_with(b"POST ") {
            return Ok(Asked::ToHear);
        }
        if body.len() >= length(head)? {
            return Ok(Asked::ToSay(body.to_vec()));
        }
    }
}

/// The `Content-Length` of a head.
fn length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let field = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(field.context("a POST without Content-Length")?.trim().parse()?)
}
