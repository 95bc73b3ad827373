//! What breaks around a gateway and in it: a policy that panics, no descriptors, a full disk, a clock that jumps.

mod clock_jumps;
mod descriptors;
mod full_disk;

use super::report::Section;
use super::scene::{build, folder, program};
use anyhow::Result;
use programs::process::{LOAD_CORE, Server, free_ports, now, pinned};
use programs::run::run as run_program;
use std::thread::sleep;
use std::time::Duration;

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut section = Section::new(
        "Faults around and within",
        "Release build, one worker on one core; backend and clients on another. No descriptors: `ulimit -n`. Full disk: the \
         data folder and the access log on a small tmpfs that is filled up. Clock: libfaketime, an hour forth, two back and \
         one forth again under load. Panic: the acceptance tests whose policies panic in every phase.",
    );
    panics(&mut section);
    descriptors::run_out(&mut section)?;
    full_disk::fill(&mut section)?;
    clock_jumps::jump(&mut section)?;
    Ok(section)
}

/// A policy that panics is compiled into a test only, never into the program.
fn panics(section: &mut Section) {
    let ran = run_program("cargo", &["test", "-q", "-p", "acceptance", "panics"]);
    let measured = ran.as_ref().map_or_else(|error| format!("{error:#}"), |()| "so it is".to_owned());
    section.row(
        "a policy that panics: its request fails closed, those beside it and after it are answered",
        "tests pass",
        measured,
        ran.is_ok(),
    );
}

/// A backend that answers at once.
fn backend(name: &str) -> Result<(Server, u16)> {
    let [port] = free_ports()?;
    let mut command = pinned(LOAD_CORE, &program("bench-backend")?);
    command.arg(format!("127.0.0.1:{port}"));
    let mut server = Server::start(command, &folder(&format!("{name}-backend"))?.join("log"))?;
    server.wait_until_open(port)?;
    Ok((server, port))
}

/// Hundredths of a core that a process takes over a while.
fn share_of_core(server: &Server, over: Duration) -> f64 {
    let (before, begun) = (server.cpu(), now());
    sleep(over);
    server.cpu().saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
}
