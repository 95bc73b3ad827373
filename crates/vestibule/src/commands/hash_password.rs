//! `vestibule hash-password`: what stands for a password in a document.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use identity::basic_auth;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::output::{self, GOOD};

/// Reads a password from standard input, and prints its Argon2id hash for the policy `basic-auth`.
///
/// The password is the first line; at a terminal it is asked for, and not shown.
#[derive(Args)]
pub(crate) struct Arguments {}

/// Reads a line and prints its hash.
pub(crate) fn run(_: &Arguments) -> ExitCode {
    let password = match password() {
        Ok(password) => password,
        Err(error) => return output::fail(&format!("the password cannot be read: {error}")),
    };
    if password.is_empty() {
        return output::fail("the password is empty: write it into standard input");
    }
    match basic_auth::hash(password.as_bytes()) {
        Ok(hash) => output::print(&(hash + "\n"), GOOD),
        Err(error) => output::fail(&error),
    }
}

fn password() -> io::Result<String> {
    let input = io::stdin();
    let mut line = String::new();
    if input.is_terminal() {
        write!(io::stderr(), "Password: ")?;
        let shown = tcgetattr(&input)?;
        let mut hidden = shown.clone();
        hidden.local_modes -= LocalModes::ECHO;
        tcsetattr(&input, OptionalActions::Flush, &hidden)?;
        let read = input.read_line(&mut line);
        tcsetattr(&input, OptionalActions::Flush, &shown)?;
        writeln!(io::stderr())?;
        read?;
    } else {
        input.read_line(&mut line)?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
