//! What commands print, and the code that they end with.

use std::io::{self, Write};
use std::process::ExitCode;

use problem::Finding;
use serde_json::{Value, json};

/// Everything is as it should be.
pub(crate) const GOOD: u8 = 0;
/// There are findings, or the command could not do what it was asked to. A mistake on the command line itself ends with 2.
pub(crate) const FOUND: u8 = 1;

/// Prints a text to standard output. A reader that has gone away, such as `head`, is no mistake.
pub(crate) fn print(text: &str, code: u8) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&format!("cannot write: {error}")),
        _ => ExitCode::from(code),
    }
}

/// Says on standard error why a command could not do what it was asked to.
pub(crate) fn fail(message: &str) -> ExitCode {
    // There is nobody left to tell if standard error is gone.
    drop(writeln!(io::stderr().lock(), "vestibule: {message}"));
    ExitCode::from(FOUND)
}

/// Says on standard error, where its log goes too, why a gateway does not serve.
pub(crate) fn refuse(found: &[Finding]) -> ExitCode {
    drop(io::stderr().lock().write_all(lines(found).as_bytes()));
    ExitCode::from(FOUND)
}

/// Findings a line each, and how many there are.
pub(crate) fn lines(findings: &[Finding]) -> String {
    let noun = if findings.len() == 1 { "finding" } else { "findings" };
    let lines = findings.iter().map(Finding::to_string).chain([format!("{} {noun}", findings.len())]);
    lines.map(|line| line + "\n").collect()
}

/// Prints findings for people or for machines, and ends with the code that says whether there are any.
pub(crate) fn findings(findings: &[Finding], for_machines: bool) -> ExitCode {
    let code = if findings.is_empty() { GOOD } else { FOUND };
    if for_machines {
        let findings: Vec<_> = findings.iter().map(as_json).collect();
        return print(&format!("{}\n", json!({ "findings": findings })), code);
    }
    print(&lines(findings), code)
}

/// A finding for machines.
pub(crate) fn as_json(finding: &Finding) -> Value {
    let place = finding.place.as_ref();
    json!({
        "file": place.map(|place| &place.file),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "pointer": finding.at.as_str(),
        "message": finding.message,
    })
}
