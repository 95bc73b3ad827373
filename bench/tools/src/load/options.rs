//! The command line of `bench-load`.

use crate::as_float;
use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const USAGE: &str = "usage: bench-load MODE ADDRESS PATH [--rate N] [--seconds N] [--requests N] [--connections N] \
                     [--tls CERTIFICATE] [--header LINE]... [--body JSON] [--arrivals poisson] \
                     [--probe PATH] [--probe-rate N]";

/// What to send, where to and how.
pub(crate) struct Options {
    pub(crate) mode: String,
    pub(crate) address: SocketAddr,
    /// The whole request.
    pub(crate) request: Vec<u8>,
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) connections: u64,
    /// How the times lie at which requests leave.
    pub(crate) arrivals: Arrivals,
    /// The whole request that `steady` sends beside, and how often a second.
    pub(crate) probe: Option<(Vec<u8>, f64)>,
    /// Set when TLS is to be spoken.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// How the times lie at which requests leave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// As far from each other as the rate says.
    Even,
    /// By chance, on average as often as the rate says.
    Poisson,
}

/// How long after each other requests leave.
pub(crate) struct Gaps {
    mean: Duration,
    arrivals: Arrivals,
    chance: u64,
}

impl Gaps {
    /// Gaps of this length on average. Those of another `seed` look unlike these, and are the same each time.
    pub(crate) fn new(mean: Duration, arrivals: Arrivals, seed: u64) -> Self {
        Self { mean, arrivals, chance: seed }
    }

    pub(crate) fn next(&mut self) -> Duration {
        match self.arrivals {
            Arrivals::Even => self.mean,
            Arrivals::Poisson => {
                self.chance = mixed(self.chance);
                self.mean.mul_f64(-(as_float((self.chance >> 11) + 1) / 2_f64.powi(53)).ln())
            }
        }
    }
}

/// Something that looks like chance, and is the same each time.
fn mixed(before: u64) -> u64 {
    let mut mixed = before.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

impl Options {
    pub(crate) fn read(words: &[String]) -> Result<Self> {
        let [mode, address, path, rest @ ..] = words else { bail!("{USAGE}") };
        let mut request = format!("{path} HTTP/1.1\r\nHost: {address}\r\n");
        let mut body = None;
        let (mut probe, mut probe_rate) = (None, 1000.0);
        let mut options = Self {
            mode: mode.clone(),
            address: address.parse().with_context(|| format!("`{address}` is not an address with port"))?,
            request: Vec::new(),
            rate: 1000.0,
            seconds: 1.0,
            requests: 1,
            connections: 1,
            arrivals: Arrivals::Even,
            probe: None,
            tls: None,
        };
        for pair in rest.chunks(2) {
            let [name, value] = pair else { bail!("{USAGE}") };
            match name.as_str() {
                "--rate" => options.rate = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--requests" => options.requests = value.parse()?,
                "--connections" => options.connections = value.parse()?,
                "--tls" => options.tls = Some(trusting(value)?),
                "--header" => request.extend([value, "\r\n"]),
                "--arrivals" if value == "poisson" => options.arrivals = Arrivals::Poisson,
                "--probe" => probe = Some(value),
                "--probe-rate" => probe_rate = value.parse()?,
                "--body" => body = Some(value),
                _ => bail!("{USAGE}"),
            }
        }
        options.probe =
            probe.map(|path| (format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes(), probe_rate));
        options.request = match body {
            None => format!("GET {request}\r\n").into_bytes(),
            Some(body) => {
                let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
                format!("POST {request}{head}{body}").into_bytes()
            }
        };
        Ok(options)
    }
}

impl Options {
    /// Where `#` stand in the path, which `count` replaces by digits that differ from request to request.
    pub(crate) fn digits(&self) -> std::ops::Range<usize> {
        let line = self.request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let begin = line.iter().position(|byte| *byte == b'#').unwrap_or_default();
        let end = line.iter().rposition(|byte| *byte == b'#').map_or(begin, |last| last + 1);
        begin..end
    }
}

/// A client that trusts one certificate only, the benchmark's own.
fn trusting(file: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).with_context(|| format!("could not read {file}"))?)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
