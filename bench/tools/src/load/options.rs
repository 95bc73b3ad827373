//! The command line of `bench-load`.

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::net::SocketAddr;
use std::sync::Arc;

const USAGE: &str = "usage: bench-load MODE ADDRESS PATH [--rate N] [--seconds N] [--requests N] [--connections N] \
                     [--tls CERTIFICATE] [--header LINE]... [--body JSON] [--arrivals poisson]";

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

impl Options {
    pub(crate) fn read(words: &[String]) -> Result<Self> {
        let [mode, address, path, rest @ ..] = words else { bail!("{USAGE}") };
        let mut request = format!("{path} HTTP/1.1\r\nHost: {address}\r\n");
        let mut body = None;
        let mut options = Self {
            mode: mode.clone(),
            address: address.parse().with_context(|| format!("`{address}` is not an address with port"))?,
            request: Vec::new(),
            rate: 1000.0,
            seconds: 1.0,
            requests: 1,
            connections: 1,
            arrivals: Arrivals::Even,
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
                "--body" => body = Some(value),
                _ => bail!("{USAGE}"),
            }
        }
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
