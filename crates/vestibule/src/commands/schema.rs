//! `vestibule schema`: the JSON Schema of documents, for editors, and the reference of policies, for people.

use std::process::ExitCode;

use clap::Args;

use crate::catalog;
use crate::output::{self, GOOD};

/// Prints the JSON Schema of documents.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Prints the reference of all policies instead, as Markdown.
    #[arg(long)]
    reference: bool,
}

/// Prints what was asked for, as it is checked in.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.reference {
        return output::print(&policies::reference::reference(), GOOD);
    }
    output::print(&format!("{:#}\n", catalog::schema()), GOOD)
}
