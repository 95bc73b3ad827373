//! `vestibule schema`: the JSON Schema of documents, for editors.

use std::process::ExitCode;

use clap::Args;

use crate::catalog;
use crate::output::{self, GOOD};

/// Prints the JSON Schema of documents.
#[derive(Args)]
pub(crate) struct Arguments {}

/// Prints the schema, as it is checked in.
pub(crate) fn run(_: &Arguments) -> ExitCode {
    output::print(&format!("{:#}\n", catalog::schema()), GOOD)
}
