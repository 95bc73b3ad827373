//! The regression tests of the OWASP Core Rule Set, all of them, against the engine in this process.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod folder;

use ftw::{Failure, read, run};
use waf::Evaluation;

fn all_pass(evaluation: Evaluation) {
    let path = folder::path();
    let rules = folder::rules(&path, 4);
    let mut passed = 0;
    let mut failures: Vec<Failure> = Vec::new();
    for file in folder::files(&path) {
        let text = std::fs::read_to_string(&file).unwrap();
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
