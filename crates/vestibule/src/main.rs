//! The binary: its command line, and nothing that another crate could do.

mod catalog;
mod commands;
mod handover;
mod memory;
mod operators;
mod output;
mod serving;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    admin, check, demo, diff, explain, fmt, hash_password, migrate, room, run, schema, secrets, upgrade, waf,
};

/// An API gateway in one file.
#[derive(Parser)]
#[command(version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Admin(Box<admin::Arguments>),
    Check(check::Arguments),
    Demo(demo::Arguments),
    Diff(diff::Arguments),
    Explain(Box<explain::Arguments>),
    Fmt(fmt::Arguments),
    HashPassword(hash_password::Arguments),
    Migrate(migrate::Arguments),
    Room(Box<room::Arguments>),
    Run(run::Arguments),
    Schema(schema::Arguments),
    Secrets(secrets::Arguments),
    Upgrade(Box<upgrade::Arguments>),
    Waf(waf::Arguments),
}

fn main() -> ExitCode {
    // The allocator asks for pages of 2 MiB, of which each connection would keep some that it never uses: a third of
    // the memory of waiting connections. Where the kernel knows no such pages, there is nothing to switch off.
    let _switched_off = rustix::thread::disable_transparent_huge_pages(true);
    match CommandLine::parse().command {
        Command::Admin(arguments) => admin::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Fmt(arguments) => fmt::run(&arguments),
        Command::HashPassword(arguments) => hash_password::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Room(arguments) => room::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Secrets(arguments) => secrets::run(&arguments),
        Command::Upgrade(arguments) => upgrade::run(&arguments),
        Command::Waf(arguments) => waf::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        CommandLine::command().debug_assert();
    }
}
