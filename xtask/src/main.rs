//! Development commands: `cargo xtask test | layers | docs | bench | fuzz | trial`.
//!
//! Deliberately not here: anything a user of the gateway runs. Few dependencies, so that it builds in seconds.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

mod docs;
mod fuzz;
mod layers;
mod test;

use anyhow::{Result, bail};
use measuring::{bench, trial};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test             formatting, lints, levels, generated files, all tests (installs what they need, as root)
  layers           levels of the crates, lengths of files and crates
  docs [--check]   write the generated files again, or tell whether they are up to date
  bench [CASE...]  Vestibule beside its peers, into bench/RESULTS.md (some 20 minutes, on a quiet machine)
    --quick          two rounds, into target/bench/RESULTS.md
    --peers A,B      only these: vestibule, nginx, haproxy, envoy, caddy, pingora
    --no-pingora     without the minimal proxy on Pingora, which is built first (minutes)
    --rounds N       other than 7
    --out FILE       other than above
    cases: plain tls handshake large post http2 partner routes latency reload idle instructions chain
  bench room [joins arrivals watchers idle beside]  waiting rooms under load, into bench/ROOM.md (some 7 minutes)
  fuzz [SECONDS] [TARGET...]  unknown input, 600 seconds a target
  trial NAME...    hard times for a gateway, each its section of bench/TRIALS.md (minutes each)
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match obey(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey(words: &[&str]) -> Result<()> {
    match words {
        ["test"] => test::test(),
        ["layers"] => layers::layers(),
        ["docs"] => docs::write(),
        ["docs", "--check"] => docs::check(),
        ["bench", "room", cases @ ..] => bench::room::bench(cases),
        ["bench", words @ ..] => bench::bench(words),
        ["fuzz", words @ ..] => fuzz::fuzz(words),
        ["trial", names @ ..] => trial::trial(names),
        [] | ["help" | "-h" | "--help"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("there is no such command\n\n{USAGE}"),
    }
}
