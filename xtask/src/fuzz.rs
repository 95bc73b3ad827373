//! `cargo xtask fuzz`: every target of `fuzz` in turn, from its seeds, on one core.

use anyhow::{Context, Result, bail};
use programs::run::{root, run};
use std::fs;

/// Long enough for what a target can find soon.
const SECONDS: &str = "600";

/// Runs the targets that are named, or all, for some seconds each. What one finds does not end the others' search.
pub(crate) fn fuzz(words: &[&str]) -> Result<()> {
    let (seconds, named) = match words.split_first() {
        Some((first, named)) if first.parse::<u32>().is_ok() => (*first, named),
        _ => (SECONDS, words),
    };
    if run("cargo", &["fuzz", "--version"]).is_err() {
        bail!("cargo-fuzz is not installed: cargo install cargo-fuzz");
    }
    let known = targets()?;
    if let Some(unknown) = named.iter().find(|name| !known.iter().any(|target| target == *name)) {
        bail!("there is no target `{unknown}`: {}", known.join(", "));
    }
    let chosen: Vec<&String> =
        known.iter().filter(|target| named.is_empty() || named.contains(&target.as_str())).collect();
    // What does not build is no find.
    run("cargo", &["fuzz", "build", "--fuzz-dir", "fuzz", "-s", "none"])?;
    let found: Vec<&str> =
        chosen.into_iter().filter(|target| search(target, seconds).is_err()).map(String::as_str).collect();
    if !found.is_empty() {
        bail!("found something, see fuzz/artifacts: {}", found.join(", "));
    }
    Ok(())
}

/// The names of the files in `fuzz/targets`.
fn targets() -> Result<Vec<String>> {
    let files = fs::read_dir(root()?.join("fuzz/targets")).context("there are no fuzz targets")?;
    let name = |file: fs::DirEntry| Some(file.file_name().to_str()?.strip_suffix(".rs")?.to_owned());
    let mut names: Vec<String> = files.filter_map(|file| name(file.ok()?)).collect();
    names.sort();
    Ok(names)
}

fn search(target: &str, seconds: &str) -> Result<()> {
    let [corpus, seeds] = ["corpus", "seeds"].map(|folder| format!("fuzz/{folder}/{target}"));
    fs::create_dir_all(root()?.join(&corpus))?;
    let time = format!("-max_total_time={seconds}");
    // Stable Rust has no sanitizers; there is no unsafe code in what is fuzzed.
    let chosen = ["fuzz", "run", "--fuzz-dir", "fuzz", "-s", "none", target, &corpus];
    // Not all targets have seeds.
    let seeds = root()?.join(&seeds).is_dir().then_some(seeds.as_str());
    let limits = ["--", &time, "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"];
    run("cargo", &[chosen.as_slice(), seeds.as_slice(), &limits].concat())
}
