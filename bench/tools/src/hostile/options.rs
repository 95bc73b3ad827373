//! The command line of `bench-hostile`.

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;

pub(crate) const USAGE: &str = "usage: bench-hostile backend ADDRESS | slow PLAIN TLS CERTIFICATE [--each N] [--kinds A,B] | \
                                flood KIND ADDRESS [--connections N]; each with [--seconds N]";

/// What to do, and for how long.
pub(crate) struct Options {
    words: Vec<String>,
    pub(crate) seconds: f64,
    /// Slow connections of each kind.
    pub(crate) each: u32,
    /// Only these kinds, if there are any.
    pub(crate) kinds: Vec<String>,
    /// Connections of a flood.
    pub(crate) connections: u32,
}

impl Options {
    pub(crate) fn read(words: &[String]) -> Result<Self> {
        let mut options = Self { words: Vec::new(), seconds: 60.0, each: 82, kinds: Vec::new(), connections: 4 };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().context(USAGE);
            match word.as_str() {
                "--seconds" => options.seconds = value()?.parse()?,
                "--each" => options.each = value()?.parse()?,
                "--kinds" => options.kinds = value()?.split(',').map(str::to_owned).collect(),
                "--connections" => options.connections = value()?.parse()?,
                _ => options.words.push(word.clone()),
            }
        }
        Ok(options)
    }

    /// What is no option.
    pub(crate) fn words(&self) -> [&str; 4] {
        let mut words = self.words.iter().map(String::as_str);
        std::array::from_fn(|_| words.next().unwrap_or_default())
    }
}

/// An address of this machine.
pub(crate) fn own(address: &str) -> Result<SocketAddr> {
    let address: SocketAddr = address.parse().with_context(|| format!("`{address}` is not an address with port"))?;
    if !address.ip().is_loopback() {
        bail!("{address} is not an address of this machine");
    }
    Ok(address)
}
