//! Other programs: run them, fail when they fail, find the workspace they run in.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program in the workspace's root, with its output going to the user.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    run_with(program, arguments, &[])
}

/// As [`run`], with these variables in its environment.
pub fn run_with(program: &str, arguments: &[&str], variables: &[(&str, String)]) -> Result<()> {
    println!("$ {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(root()?)
        .status()
        .with_context(|| format!("could not start `{program}`"))?;
    if !status.success() {
        bail!("`{program} {}` failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a program in the workspace's root and answers what it wrote to its standard output.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root()?)
        .output()
        .with_context(|| format!("could not start `{program}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed: {}\n{said}", arguments.join(" "), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{program}` wrote something that is not text"))
}

/// The workspace's root.
pub fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("bench/programs lies in the workspace")
}

/// Where a program is, if it is installed. Looks where administrators' programs are too.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let always = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(always).map(|folder| folder.join(program)).find(|file| file.is_file())
}
