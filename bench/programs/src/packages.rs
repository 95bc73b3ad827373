//! Packages of Debian, of Node and of Python that tests and benchmarks need: installed as root, otherwise named.

use crate::run::{installed, output, root, run};
use anyhow::{Result, bail};
use std::path::Path;

/// An independent server of the Forward protocol.
pub const FLUENT_SERVER: &str = "@fluent-org/logger@1.0.10";

/// A file or program, and the Debian package it comes in.
pub struct Needed {
    /// A program's name, or the absolute path of a file.
    pub sign: &'static str,
    /// The package that has it.
    pub package: &'static str,
}

/// Makes sure that everything `needed` is there.
pub fn provide(needed: &[Needed]) -> Result<()> {
    let mut missing: Vec<&str> =
        needed.iter().filter(|needed| !is_there(needed)).map(|needed| needed.package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if installed("apt-get").is_none() || output("id", &["-u"])?.trim() != "0" {
        bail!("some programs are missing; as root:\n  apt-get update && {install}");
    }
    run("apt-get", &["update", "-q"])?;
    // Services that a package would start are of no use here, and would take ports.
    let quietly = format!("export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; {install} -q </dev/null");
    run("sh", &["-c", &quietly])
}

/// Makes sure that packages for Node, each with its version, lie in `target/npm`.
pub fn provide_node(packages: &[&str]) -> Result<()> {
    let folder = root()?.join("target/npm");
    let is_missing = |package: &&&str| {
        let name = package.rsplit_once('@').map_or(**package, |(name, _)| name);
        !folder.join("node_modules").join(name).exists()
    };
    let missing: Vec<&str> = packages.iter().filter(is_missing).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let prefix = folder.display().to_string();
    run("npm", &[&["install", "--no-audit", "--no-fund", "--prefix", &prefix], &*missing].concat())
}

/// Makes sure that a package for Python lies in `target/pip`.
pub fn provide_python(package: &str, module: &str) -> Result<()> {
    let folder = root()?.join("target/pip");
    if folder.join(module).exists() {
        return Ok(());
    }
    run("pip3", &["install", "--quiet", "--no-deps", "--target", &folder.display().to_string(), package])
}

fn is_there(needed: &Needed) -> bool {
    if needed.sign.starts_with('/') { Path::new(needed.sign).exists() } else { installed(needed.sign).is_some() }
}
