//! `bench-hostile`: clients that mean harm, and a backend that notices what reaches it. Prints one line of JSON.
//!
//! - `backend ADDRESS`: reads bodies whole, holds `/hold` for a while, answers `/big` with more than anybody waits for,
//!   and tells at `/stats` how many requests it had at once.
//! - `slow PLAIN TLS CERTIFICATE`: so many connections of each slow kind at once, and when each was cut.
//! - `flood KIND ADDRESS`: one kind of flood over a few connections, and how often it was cut.
//!
//! For addresses of this machine only: nothing here is to be pointed at anybody else.
#![expect(clippy::print_stdout, reason = "the figures go to the caller")]

mod backend;
mod flood;
mod frames;
mod options;
mod slow;

use anyhow::{Result, bail};
use options::Options;
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let options = Options::read(&words)?;
    let figures = match options.words() {
        ["backend", address, ..] => return backend::serve(options::own(address)?).await,
        ["slow", plain, tls, certificate] => {
            let targets = slow::Targets { plain: options::own(plain)?, tls: options::own(tls)?, certificate };
            slow::all(&targets, &options).await?
        }
        ["flood", kind, address, _] => flood::run(kind, options::own(address)?, &options).await?,
        _ => bail!("{}", options::USAGE),
    };
    println!("{figures}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> Instant {
    Instant::now()
}

/// Starts a task.
#[expect(clippy::disallowed_methods, reason = "the process ends when it has told what it saw")]
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}
