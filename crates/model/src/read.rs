//! A file's text to a document, or to everything that is wrong with it.

mod alternatives;
mod check;
mod references;
mod rest;
mod source;
mod suggest;
pub(crate) mod tree;
mod typed;
pub(crate) mod yaml;

use problem::{Finding, Place, Pointer};
use serde_json::Value;

pub use self::references::{Known, Machine, References};
pub use self::rest::{Rest, Wrong};
pub use self::source::Source;
pub(crate) use self::source::steps;
pub use self::suggest::advice;
pub use self::typed::part;
use crate::Document;

/// Reads a document. `file` is its name in findings, `schema` the one of [`crate::schema::schema`], `context` where
/// references are looked up.
pub fn read(
    text: &str,
    file: &str,
    schema: &Value,
    context: &impl References,
) -> Result<(Document, Source), Vec<Finding>> {
    read_or_rest(text, file, schema, context).map_err(|wrong| wrong.findings)
}

/// As [`read`]; and where something is wrong, what can be read without it, so that more can be found out about it.
pub fn read_or_rest(
    text: &str,
    file: &str,
    schema: &Value,
    context: &impl References,
) -> Result<(Document, Source), Wrong> {
    let root = Pointer::default();
    let (tree, mut findings) = yaml::parse(text, file);
    let Some(mut tree) = tree else {
        if findings.is_empty() {
            let place = Some(Place { file: file.to_owned(), line: 1, column: 1 });
            let message = "is empty; begin with `version: 1` and `listeners:`".to_owned();
            findings.push(Finding { at: root, place, message });
        }
        return Err(Wrong { findings, rest: None });
    };
    let mut unresolved = Vec::new();
    references::resolve(&mut tree, &root, context, &mut unresolved);
    let skipped = unresolved.iter().map(|finding| finding.at.clone()).collect();
    let checked = check::check(&tree, schema, file, &skipped);
    let source = Source::new(file, tree);
    findings.extend(unresolved);
    findings.extend(checked.findings);
    let known = findings.len();
    let mut left_out = checked.wrong;
    let document = typed::except(&checked.value, &root, rest::stand_in, &mut left_out, &mut findings);
    for finding in findings.iter_mut().skip(known) {
        hide_secret(finding, &source);
    }
    match document {
        Some(document) if findings.is_empty() => Ok((document, source)),
        document => {
            source.tidy(&mut findings);
            let touched = findings.iter().map(|finding| finding.at.clone()).collect();
            let rest = document.map(|document| Box::new(Rest::new(document, source, checked.value, left_out, touched)));
            Err(Wrong { findings, rest })
        }
    }
}

/// A type's complaint quotes what it read; that is not for people if a reference gave it.
fn hide_secret(finding: &mut Finding, source: &Source) {
    if let Some(written) = source.reference_within(&finding.at) {
        finding.message = source::does_not_fit(written);
    }
}
