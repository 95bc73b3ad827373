//! One command a file: its arguments, what it does, what it prints.

pub(crate) mod admin;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod fmt;
pub(crate) mod hash_password;
pub(crate) mod migrate;
pub(crate) mod room;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod secrets;
pub(crate) mod upgrade;
pub(crate) mod waf;

use std::path::Path;

use model::Document;
use model::read::{Machine, Source, read};
use problem::{Finding, Place, Pointer};
use serde_json::Value;

/// Reads the document in a file. A file that cannot be opened is a finding like any other.
pub(crate) fn open(path: &Path, schema: &Value) -> Result<(Document, Source), Vec<Finding>> {
    let file = path.display().to_string();
    let text = text(path).map_err(|finding| vec![finding])?;
    read(&text, &file, schema, &Machine::beside(path))
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, Finding> {
    std::fs::read_to_string(path).map_err(|error| {
        let place = Place { file: path.display().to_string(), line: 1, column: 1 };
        Finding { at: Pointer::default(), place: Some(place), message: format!("cannot be read: {error}") }
    })
}
