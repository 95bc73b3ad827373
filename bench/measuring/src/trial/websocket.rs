//! Web sockets through the gateway: each case is run directly and through it, and what both ends saw is compared.
//!
//! A tunnel must not know what it carries, so the cases are those that an implementation could get wrong: frames of all
//! lengths, in pieces or at once, fragments, control frames, reserved bits and opcodes, text that is not UTF-8, close
//! codes that exist and that do not, ends without a goodbye, compressed messages.

mod cases;
mod ends;
mod frames;

use super::report::Section;
use anyhow::{Context, Result};
use cases::Case;
use ends::{ECHO, Echo, Received, SCRIPTED, Seen};
use programs::process::{PROXY_CORE, Server, free_ports, pinned};
use programs::run::{root, run};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};

const HOW: &str = "\
A client that writes raw frames meets two servers, an echo server that is strict about the protocol (tungstenite) and one \
that says what the case tells it to, once directly and once through the gateway. The answer to the handshake, every byte \
that either end got, and how it ended for either of them are compared.";

/// What became of the cases of one kind.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    different: Vec<String>,
}

/// Runs all cases.
pub(super) fn websocket() -> Result<Section> {
    run("cargo", &["build", "--release", "--locked", "-p", "vestibule"])?;
    let echo = Echo::start()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let scripted = listener.local_addr()?.port();
    let (_gateway, through) = gateway(echo.port, scripted)?;
    let mut kinds: BTreeMap<&'static str, Tally> = BTreeMap::new();
    for case in cases::all() {
        let direct = if case.script.is_some() { scripted } else { echo.port };
        let meet = |port| ends::meet(&case, port, &listener).with_context(|| format!("{}: {}", case.kind, case.name));
        let (direct, through) = (meet(direct)?, meet(through)?);
        let tally = kinds.entry(case.kind).or_default();
        tally.cases += 1;
        if direct != through {
            let difference = difference(&case, &direct, &through);
            eprintln!("{}: {difference}", case.kind);
            tally.different.push(difference);
        }
    }
    Ok(section(&kinds))
}

/// Starts a gateway before both servers, which it tells by the host. Answers its port.
fn gateway(echo: u16, scripted: u16) -> Result<(Server, u16)> {
    let folder = root()?.join("target/trial/websocket");
    fs::create_dir_all(&folder)?;
    let [port] = free_ports()?;
    let document = format!(
        "version: 1\nworkers: 1\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\n\
         upstreams:\n  echo: {{targets: [\"http://127.0.0.1:{echo}\"]}}\n  scripted: {{targets: [\"http://127.0.0.1:{scripted}\"]}}\n\
         apis:\n  echo: {{match: {{host: {ECHO}, path: /}}, upstream: echo}}\n  \
         scripted: {{match: {{host: {SCRIPTED}, path: /}}, upstream: scripted}}\n"
    );
    let file = folder.join("vestibule.yaml");
    fs::write(&file, document)?;
    let mut command = pinned(PROXY_CORE, &root()?.join("target/release/vestibule"));
    command.arg("run").arg(&file).current_dir(&folder);
    let mut server = Server::start(command, &folder.join("log"))?;
    server.wait_until_open(port)?;
    Ok((server, port))
}

fn difference(case: &Case, direct: &Seen, through: &Seen) -> String {
    let name = &case.name;
    if direct.handshake != through.handshake {
        return format!("{name}: the handshake {:?} became {:?}", direct.handshake, through.handshake);
    }
    let told = |received: &Received| format!("{} bytes, {:?}", received.bytes.len(), received.end);
    let at = |one: &Received, other: &Received| {
        one.bytes
            .iter()
            .zip(&other.bytes)
            .position(|(one, other)| one != other)
            .map_or(String::new(), |at| format!(" (from byte {at} on)"))
    };
    if direct.client != through.client {
        let at = at(&direct.client, &through.client);
        return format!("{name}: the client got {} instead of {}{at}", told(&through.client), told(&direct.client));
    }
    match (&direct.server, &through.server) {
        (Some(direct), Some(through)) => {
            format!("{name}: the server got {} instead of {}{}", told(through), told(direct), at(direct, through))
        }
        _ => format!("{name}: a server is missing"),
    }
}

fn section(kinds: &BTreeMap<&'static str, Tally>) -> Section {
    let mut section = Section::new("WebSocket", HOW);
    let mut sum = Tally::default();
    for (kind, tally) in kinds {
        let measured = match tally.different.first() {
            Some(first) => format!("{} of {} differ, the first: {first}", tally.different.len(), tally.cases),
            None => format!("{} cases, all the same", tally.cases),
        };
        section.row(*kind, "the same results", measured, tally.different.is_empty());
        sum.cases += tally.cases;
        sum.different.extend(tally.different.iter().cloned());
    }
    let measured = format!("{} of {} cases the same", sum.cases - sum.different.len(), sum.cases);
    section.row("all", "at least 200 cases, the same results", measured, sum.different.is_empty() && sum.cases >= 200);
    section
}
