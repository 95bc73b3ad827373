//! `vestibule waf test`: regression tests of rule sets against the rules of a document.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use ftw::{Failure, Overrides, TestFile};
use serde_json::json;
use waf::{Engine, Evaluation, Transaction};

use super::{Found, Meant, firewalls, open};
use crate::output::{self, FOUND, GOOD};

/// Runs regression tests in the format of `go-ftw` (schemas 2 and 3) against the rules of a document.
///
/// Requests are read as Apache reads them and answered by a backend that reflects what it is asked to, both in this process:
/// no gateway need run. Exclusions that hold for some operations only are not applied.
#[derive(Args)]
pub(crate) struct Arguments {
    /// A test file, or a folder whose `.yaml` and `.yml` files are tests, those of folders in it included.
    tests: PathBuf,
    /// The document.
    #[arg(long, value_name = "FILE", default_value = "vestibule.yaml")]
    document: PathBuf,
    /// The API whose firewall is meant. May be left out if there is only one.
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// A file of overrides: what is expected of some tests instead of what they say.
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    /// Runs rules as with `mode: detect`, so that a test sees the rules that would come after one that blocks.
    #[arg(long)]
    detect: bool,
    /// Prints JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// Runs the tests.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let configuration = match open(&arguments.document) {
        Ok(configuration) => configuration,
        Err(code) => return code,
    };
    let meant = arguments.api.as_deref().map_or(Meant::All, |api| Meant::Of(api, None));
    let mut found = match firewalls(&configuration, meant) {
        Ok(found) => found,
        Err(findings) => return output::findings(&findings, arguments.json),
    };
    let firewall = match (found.pop(), found.is_empty()) {
        (Some(firewall), true) => firewall,
        (None, _) => return output::fail("there is no policy `waf` there"),
        (Some(last), false) => {
            found.push(last);
            let names: Vec<&str> = found.iter().map(|found| found.api.as_str()).collect();
            return output::fail(&format!("there are several firewalls, say --api with one of: {}", names.join(", ")));
        }
    };
    match tests(arguments) {
        Ok(files) => told(&files, &firewall, arguments),
        Err(reason) => output::fail(&reason),
    }
}

/// The tests, with what is expected instead of what they say.
fn tests(arguments: &Arguments) -> Result<Vec<TestFile>, String> {
    let text = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let overrides = match &arguments.overrides {
        Some(path) => Overrides::read(&text(path)?).map_err(|cause| format!("{}: {cause}", path.display()))?,
        None => Overrides::default(),
    };
    let mut paths = Vec::new();
    collect(&arguments.tests, &mut paths).map_err(|error| format!("{}: {error}", arguments.tests.display()))?;
    paths.sort();
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    for path in &paths {
        match ftw::read(&text(path)?) {
            Ok(mut file) => {
                overrides.apply(&mut file);
                files.push(file);
            }
            Err(cause) => wrong.push(format!("{}: {cause}", path.display())),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    if files.iter().all(|file| file.tests.is_empty()) {
        let shown = arguments.tests.display();
        return Err(format!("there is no test in {shown}: name a test file, or a folder with .yaml or .yml files"));
    }
    Ok(files)
}

fn collect(path: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        into.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?.path();
        let is_test = entry.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if entry.is_dir() || is_test {
            collect(&entry, into)?;
        }
    }
    Ok(())
}

fn told(files: &[TestFile], firewall: &Found, arguments: &Arguments) -> ExitCode {
    let prepare = |transaction: &mut Transaction| {
        firewall.prepared.apply(transaction);
        if arguments.detect {
            transaction.set_engine(Engine::DetectionOnly);
        }
    };
    let (mut passed, mut failures) = (0, Vec::new());
    for file in files {
        let (good, bad) = ftw::run_with(&firewall.prepared.rules, file, Evaluation::Fast, &prepare);
        passed += good;
        failures.extend(bad);
    }
    let code = if failures.is_empty() { GOOD } else { FOUND };
    if arguments.json {
        let failures: Vec<_> = failures.iter().map(as_json).collect();
        return output::print(&format!("{}\n", json!({ "passed": passed, "failures": failures })), code);
    }
    let lines: String = failures.iter().map(line).collect();
    let mut failed: Vec<(u64, u64)> = failures.iter().map(|failure| (failure.rule, failure.test)).collect();
    failed.dedup();
    output::print(&format!("{lines}{passed} tests passed, {} failed\n", failed.len()), code)
}

fn line(failure: &Failure) -> String {
    let Failure { rule, test, stage, what, logged } = failure;
    let stage = if *stage > 0 { format!(", stage {stage}") } else { String::new() };
    let mut logged: Vec<String> = logged.iter().map(u64::to_string).collect();
    logged.dedup();
    format!("{rule}-{test}{stage}: {what} (in the log: {})\n", logged.join(", "))
}

fn as_json(failure: &Failure) -> serde_json::Value {
    let Failure { rule, test, stage, what, logged } = failure;
    json!({ "rule": rule, "test": test, "stage": stage, "what": what, "logged": logged })
}
