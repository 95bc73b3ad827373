//! More clients than there are descriptors for.

use super::{backend, share_of_core};
use crate::trial::report::Section;
use crate::trial::scene::{Gateway, folder, program};
use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

/// Clients that come at once.
const CROWD: usize = 300;

/// Few descriptors, which are shared out before they run out, and so few that they do run out.
pub(crate) fn run_out(section: &mut Section) -> Result<()> {
    for limit in ["256", "64"] {
        eprintln!("descriptors {limit}");
        let (_backend, port) = backend("descriptors")?;
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n "$0"; exec taskset -c 0 "$@""#, limit]).arg(program("vestibule")?);
        let parts = format!(
            "upstreams: {{backend: {{targets: [\"http://127.0.0.1:{port}\"]}}}}\n\
             apis: {{all: {{match: {{path: /}}, upstream: backend}}}}\n"
        );
        let gateway = Gateway::start_as(command, folder("descriptors")?, &parts)?;
        crowd(limit, &gateway, section)?;
    }
    Ok(())
}

fn crowd(limit: &str, gateway: &Gateway, section: &mut Section) -> Result<()> {
    let what = format!("{limit} descriptors, {CROWD} clients");
    let mut beside = connect(gateway.port)?;
    let first = ask(&mut beside);

    let mut crowd: Vec<TcpStream> = (0..CROWD).filter_map(|_| connect(gateway.port).ok()).collect();
    for client in &mut crowd {
        // Who was turned away may have noticed already.
        drop(client.write_all(REQUEST));
    }
    let beside_good = (0..100).filter(|_| ask(&mut beside) == Some(200)).count();
    let measured = format!("{beside_good} of 100; it began with {first:?}");
    section.row(format!("{what}: a client that was there before"), "100 of 100", measured, beside_good == 100);

    let share = share_of_core(&gateway.server, Duration::from_secs(5));
    section.row(format!("{what}: processor time meanwhile"), "5 % of a core", format!("{share:.1} %"), share <= 5.0);

    let answers: Vec<Option<u16>> = crowd.iter_mut().map(read).collect();
    let of = |wanted: Option<u16>| answers.iter().filter(|status| **status == wanted).count();
    let (good, busy, none) = (of(Some(200)), of(Some(503)), of(None));
    let measured =
        format!("{good} x 200, {busy} x 503, {none} turned away, {} others", answers.len() - good - busy - none);
    section.row(
        format!("{what}: what the crowd got"),
        "200, 503, or closed",
        measured,
        good + busy + none == answers.len(),
    );

    let admin = gateway.ask_admin("/status");
    let (measured, is_kept) = match &admin {
        Ok((status, _, took)) => (format!("{status} after {} ms", took.as_millis()), *status == 200),
        Err(error) => (format!("{error:#}"), false),
    };
    if limit == "256" {
        section.row(format!("{what}: the operator"), "200", measured, is_kept);
    }

    drop(crowd);
    let deadline = crate::bench::process::now() + Duration::from_secs(2);
    let mut again = None;
    while again != Some(200) && crate::bench::process::now() < deadline {
        again = gateway.ask("/1k").ok().map(|(status, _)| status);
    }
    let (status, text, _) = gateway.ask_admin("/status")?;
    let is_closed = status == 200 && text.contains("\"closed\"") && text.contains("\"in_service\":true");
    let measured = format!("{again:?}, circuit and target {}", if is_closed { "as before" } else { "not as before" });
    section.row(
        format!("{what}: 2 s after they left"),
        "200, circuit closed",
        measured,
        again == Some(200) && is_closed,
    );
    Ok(())
}

const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

/// The status of an answer, if one comes.
fn ask(stream: &mut TcpStream) -> Option<u16> {
    stream.write_all(REQUEST).ok()?;
    read(stream)
}

fn read(stream: &mut TcpStream) -> Option<u16> {
    let mut said = Vec::new();
    let mut piece = [0; 8192];
    loop {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        said.extend(piece.iter().take(count));
        let text = String::from_utf8_lossy(&said);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1)?.lines().next()?.trim().parse::<usize>().ok()?;
        if body.len() >= length {
            return head.split(' ').nth(1)?.parse().ok();
        }
    }
}
