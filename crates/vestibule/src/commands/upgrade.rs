//! `vestibule upgrade`: the program that is installed now takes over from the one that runs.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::Instant;

use crate::commands::admin;
use crate::commands::admin::call::{Answer, Call};
use crate::commands::admin::place;
use crate::output::{self, GOOD};

/// How often the gateway is asked who it is.
const EVERY: Duration = Duration::from_millis(100);

/// Has the gateway start its program anew and hand everything over, without a request that fails.
///
/// The new process reads the document, takes the listening sockets and serves; the old one ends what it has begun. If
/// the new one cannot serve, the old one serves on. A gateway without an admin listener does it on SIGUSR2.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    whereabouts: place::Whereabouts,
    /// How long the new process may take, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    patience: u64,
}

/// Hands over, and says what came of it.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match upgrade(arguments) {
        Ok(said) => output::print(&said, GOOD),
        Err(reason) => output::fail(&reason),
    }
}

fn upgrade(arguments: &Arguments) -> Result<String, String> {
    let ask = |call: &Call| admin::ask(&arguments.whereabouts, call);
    let status = Call::get(&["status"], Answer::One);
    let process = |answer: &Value| answer.get("process").and_then(Value::as_u64);
    let old = process(&ask(&status)?).unwrap_or_default();
    let new = process(&ask(&Call::post(&["upgrade"], None, Answer::One))?).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(arguments.patience);
    while Instant::now() < until {
        std::thread::sleep(EVERY);
        // Both processes answer at this address for a while, and one that stops may not get to its answer.
        if ask(&status).is_ok_and(|status| process(&status) == Some(new)) {
            return Ok(format!("process {new} serves; process {old} ends what it has begun\n"));
        }
        if exists(old) && !exists(new) {
            return Err(format!("process {new} ended without serving, and process {old} serves on; the log says why"));
        }
    }
    Err(format!("process {new} does not serve after {} s; process {old} does", arguments.patience))
}

/// Whether there is such a process on this machine.
fn exists(process: u64) -> bool {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    process.map(rustix::process::test_kill_process) != Some(Err(rustix::io::Errno::SRCH))
}
