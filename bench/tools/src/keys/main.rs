//! `bench-keys`: many keys in a store, requests with them, and how long it takes to tell wrong ones. Prints JSON.
//!
//! - `fill FOLDER COUNT`: makes a store with so many keys, ten an app, and `keys.txt` with every tenth key or the first ten.
//! - `ask ADDRESS PATH FILE REQUESTS CONNECTIONS`: so many requests, each with the next key of the file.
//! - `timing FOLDER SAMPLES`: compares how long wrong keys of several sorts take to be refused.
#![expect(clippy::print_stdout, reason = "the figures go to the caller")]
#![expect(clippy::disallowed_methods, reason = "it measures, so it takes the time")]

mod ask;
mod fill;
mod form;
mod timing;

use std::path::Path;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = match *words.as_slice() {
        ["fill", folder, count] => runtime()?.block_on(fill::fill(Path::new(folder), count.parse()?))?,
        ["ask", address, path, file, requests, connections] => {
            ask::ask(address.parse()?, path, Path::new(file), (requests.parse()?, connections.parse()?))?
        }
        ["timing", folder, samples] => {
            let index = runtime()?.block_on(fill::index(Path::new(folder)))?;
            timing::timing(&index, &Path::new(folder).join("keys.txt"), samples.parse()?)?
        }
        _ => bail!(
            "usage: bench-keys fill FOLDER COUNT | ask ADDRESS PATH FILE REQUESTS CONNECTIONS | timing FOLDER SAMPLES"
        ),
    };
    println!("{said}");
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
