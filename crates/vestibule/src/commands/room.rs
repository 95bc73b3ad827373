//! `vestibule room`: what a visitor, or anybody else, can check about a waiting room.

mod source;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rooms::lottery::{Published, ToldDraw, Wrong};
use waiting_room::{RequestId, Tag};

use self::source::Source;
use crate::output::{self, FOUND, GOOD};

/// Checks what is published of a waiting room. It needs no gateway of one's own, and no credential.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks a lottery: that each place follows from the seed, and the seed from what was committed to.
    Verify(Verify),
}

#[derive(Args)]
struct Verify {
    /// A file that `--save` wrote, or the address of the room's public API, such as `https://shop.example/wait`.
    source: String,
    /// The event of the room, if it is asked by its address.
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// The commitment as it was told before the room opened. Without it, it is only known that the draw fits itself.
    #[arg(long, value_name = "HEX", value_parser = commitment)]
    commitment: Option<String>,
    /// A visitor's request id: says which place was drawn for it.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Where to keep what was published, to be checked again without the gateway.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Certificates (PEM) to believe, for an `https` address. Left out, those of the web.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A text that may be a commitment. Another one than was told is an accusation; a text that cannot be one is a slip.
fn commitment(text: &str) -> Result<String, &'static str> {
    let digits = text.trim();
    let is_one = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(digits.to_owned()) } else { Err("a commitment has 64 hexadecimal digits, as `/lottery` tells it") }
}

/// Checks.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Command::Verify(verify) = &arguments.command;
    match verify.run() {
        Ok(told) => output::print(&told, GOOD),
        Err(Failed::Unchecked(why)) => output::fail(&why),
        Err(Failed::Wrong(wrong)) => output::print(&format!("wrong: {wrong}\n"), FOUND),
    }
}

/// Why nothing good can be said.
enum Failed {
    /// It could not be checked.
    Unchecked(String),
    /// It was, and is wrong.
    Wrong(Wrong),
}

impl Verify {
    fn run(&self) -> Result<String, Failed> {
        let id: Option<RequestId> = match &self.request_id {
            None => None,
            Some(id) => {
                Some(id.trim().parse().map_err(|error| Failed::Unchecked(format!("the request id {id} {error}")))?)
            }
        };
        let published = self.published().map_err(Failed::Unchecked)?;
        let draw = published.verify(self.commitment.as_deref()).map_err(Failed::Wrong)?;
        if let Some(file) = &self.save {
            let unwritten = |error| Failed::Unchecked(format!("{} cannot be written: {error}", file.display()));
            std::fs::write(file, published.text()).map_err(unwritten)?;
        }
        let mut told = self.told(draw);
        if let Some(id) = id {
            let tag = Tag::of(id);
            let found = (1..).zip(&published.lots).find(|(_, lot)| lot.tag == tag);
            let (number, lot) = found.ok_or_else(|| Failed::Unchecked(format!("{id} is none of those who drew")))?;
            told = format!("{told}your lot came as number {number}, and your place is {}\n", lot.position);
        }
        Ok(told)
    }

    fn published(&self) -> Result<Published, String> {
        if !self.source.starts_with("http://") && !self.source.starts_with("https://") {
            let unread = |error| format!("{} cannot be read: {error}", self.source);
            let text = std::fs::read_to_string(&self.source).map_err(unread)?;
            return Published::read(&text).map_err(|wrong| format!("{}: {wrong}", self.source));
        }
        let event = self.event.as_deref().ok_or("name the event of the room with `--event`")?;
        let source = Source::new(&self.source, self.ca.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| format!("nothing can be asked: {error}"))?.block_on(source.published(event))
    }

    fn told(&self, draw: &ToldDraw) -> String {
        let public = match draw.public_value.as_str() {
            "" => String::new(),
            value => format!(", and the public value `{value}`"),
        };
        let committed = match &self.commitment {
            Some(_) => "the seed is the one that was committed to before".to_owned(),
            None => format!("the seed is of the commitment {}: compare it with what was told before", draw.commitment),
        };
        format!(
            "right: {} visitors drew, and each has the place that follows from the seed{public}\n{committed}\n",
            draw.visitors
        )
    }
}
