//! The regression tests of the OWASP Core Rule Set, all of them, against the engine in this process.
//!
//! `VESTIBULE_TEST_CRS` names a folder with `crs-setup.conf.example`, `rules` and `tests` in it, as a checkout of the rule
//! set has them (`tests` are its `tests/regression/tests`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ftw::{Failure, read, run, setup};
use waf::{Compatibility, Evaluation, Rules, Source};

/// The folder of the rule set, where there is one.
fn folder() -> PathBuf {
    let named = std::env::vars_os().find(|(name, _)| name == "VESTIBULE_TEST_CRS").map(|(_, value)| PathBuf::from(value));
    named.expect("VESTIBULE_TEST_CRS must name a folder with the OWASP Core Rule Set and its tests")
}

fn rules(folder: &Path) -> Arc<Rules> {
    let (example, all) = (folder.join("crs-setup.conf.example"), folder.join("rules/*.conf"));
    let sources = [
        Source::Text { name: "setup.conf", content: setup().as_bytes() },
        Source::Files(&example),
        Source::Files(&all),
    ];
    let loaded = Rules::read(&sources, Compatibility::Strict);
    Arc::new(loaded.unwrap_or_else(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("the rule set does not load:\n{}", findings.join("\n"))
    }))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for group in std::fs::read_dir(folder.join("tests")).unwrap() {
        let group = group.unwrap().path();
        if group.is_dir() {
            files.extend(std::fs::read_dir(group).unwrap().map(|file| file.unwrap().path()));
        }
    }
    files.sort();
    files
}

fn all_pass(evaluation: Evaluation) {
    let folder = folder();
    let rules = rules(&folder);
    let mut passed = 0;
    let mut failures: Vec<Failure> = Vec::new();
    for file in files(&folder) {
        let text = std::fs::read_to_string(&file).unwrap();
        if text.trim().is_empty() {
            continue;
        }
        let tests = read(&text).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
        let (good, bad) = run(&rules, &tests, evaluation);
        passed += good;
        failures.extend(bad);
    }
    let shown: Vec<String> = failures
        .iter()
        .map(|failure| format!("{}-{}: {} (log: {:?})", failure.rule, failure.test, failure.what, failure.logged))
        .collect();
    assert!(failures.is_empty(), "{passed} passed, {} failed:\n{}", failures.len(), shown.join("\n"));
    assert!(passed >= 5082, "only {passed} tests were found");
}

#[test]
fn every_regression_test_passes_when_every_rule_is_asked() {
    all_pass(Evaluation::Plain);
}

#[test]
fn every_regression_test_passes_with_all_shortcuts() {
    all_pass(Evaluation::Fast);
}
