//! The binary: its command line, and nothing that another crate could do.

mod catalog;
mod commands;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{check, schema};

/// An API gateway in one file.
#[derive(Parser)]
#[command(version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Schema(schema::Arguments),
}

fn main() -> ExitCode {
    match CommandLine::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
    }
}
