//! The command-line client that everybody has.

use std::process::Stdio;

use tokio::process::Command;

use crate::within;

/// What curl prints, with standard error behind it where it fails.
pub async fn curl(arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "10"]).args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let done = within("curl", command.output()).await.expect("curl is installed");
    let mut printed = String::from_utf8_lossy(&done.stdout).into_owned();
    if !done.status.success() {
        printed.push_str(&String::from_utf8_lossy(&done.stderr));
    }
    printed
}
