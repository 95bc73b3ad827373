//! `vestibule admin`: asks a running gateway, through its admin listener.

mod alert;
mod app;
mod audit;
pub(crate) mod call;
mod certificate;
mod certificate_rule;
pub(crate) mod client;
mod company;
mod contract;
mod developer;
mod job;
mod key;
pub(crate) mod place;
mod product;
mod reload;
mod room;
mod session;
mod show;
mod statement;
mod status;
mod subscription;
mod token;
mod usage;
mod webhook;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::call::Call;
use self::client::Client;
use crate::output::{self, GOOD};

/// Asks a running gateway: companies, developers, contracts, apps, products, subscriptions, keys, certificates, tokens,
/// webhooks, waiting rooms, audit log, usage, statements, sessions, alerts, jobs, status.
///
/// The gateway is found by `--url` and its token, or by the configuration that it was started with.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    whereabouts: place::Whereabouts,
    /// Prints JSON, for machines.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(subcommand)]
    Company(company::Command),
    #[command(subcommand)]
    Developer(developer::Command),
    #[command(subcommand)]
    Contract(contract::Command),
    #[command(subcommand)]
    App(app::Command),
    #[command(subcommand)]
    Product(product::Command),
    #[command(subcommand)]
    Subscription(subscription::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    Certificate(certificate::Command),
    #[command(subcommand)]
    CertificateRule(certificate_rule::Command),
    #[command(subcommand)]
    Token(token::Command),
    #[command(subcommand)]
    Webhook(webhook::Command),
    #[command(subcommand)]
    Room(room::Command),
    Audit(audit::Arguments),
    Usage(Box<usage::Arguments>),
    #[command(subcommand)]
    Statement(statement::Command),
    #[command(subcommand)]
    Session(session::Command),
    #[command(subcommand)]
    Alert(alert::Command),
    #[command(subcommand)]
    Job(job::Command),
    Status(status::Arguments),
    Reload(reload::Arguments),
}

/// Asks, and prints the answer.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let call = match &arguments.command {
        Command::Company(command) => command.call(),
        Command::Developer(command) => command.call(),
        Command::Contract(command) => command.call(),
        Command::App(command) => command.call(),
        Command::Product(command) => command.call(),
        Command::Subscription(command) => command.call(),
        Command::Key(command) => match command.call() {
            Ok(call) => call,
            Err(reason) => return output::fail(&reason),
        },
        Command::Certificate(command) => match command.call() {
            Ok(call) => call,
            Err(reason) => return output::fail(&reason),
        },
        Command::CertificateRule(command) => match command.call() {
            Ok(call) => call,
            Err(reason) => return output::fail(&reason),
        },
        Command::Token(command) => command.call(),
        Command::Webhook(command) => command.call(),
        Command::Room(command) => match command.call() {
            Ok(call) => call,
            Err(reason) => return output::fail(&reason),
        },
        Command::Audit(arguments) => arguments.call(),
        Command::Usage(arguments) => arguments.call(),
        Command::Statement(command) => command.call(),
        Command::Session(command) => command.call(),
        Command::Alert(command) => command.call(),
        Command::Job(command) => command.call(),
        Command::Status(arguments) => arguments.call(),
        Command::Reload(arguments) => arguments.call(),
    };
    match ask(&arguments.whereabouts, &call) {
        Ok(answer) if arguments.json => output::print(&format!("{answer:#}\n"), GOOD),
        Ok(answer) => match call.shown(&answer) {
            Ok(text) => output::print(&text, GOOD),
            Err(reason) => output::fail(&reason),
        },
        Err(reason) => output::fail(&reason),
    }
}

/// What the gateway answers, or why there is no answer, for people.
pub(crate) fn ask(whereabouts: &place::Whereabouts, call: &Call) -> Result<serde_json::Value, String> {
    let place = whereabouts.place()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no thread can be started: {error}"))?;
    runtime.block_on(Client::new(place).answer(call))
}
