//! Where clients connect.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::authorities::Trust;
use crate::formats;
use crate::limits::Limits;

/// An address that clients connect to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port, such as `0.0.0.0:8080` or `[::]:8443`.
    #[schemars(with = "formats::SocketAddress")]
    pub bind: SocketAddr,
    /// Certificates; left out, the listener speaks plain HTTP.
    #[serde(default)]
    pub tls: Option<ServerTls>,
    /// Whether connections begin with a PROXY protocol header (v1 or v2), sent by a trusted proxy.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
    /// Whether HTTP/2 is spoken: by ALPN on TLS, by prior knowledge on plain TCP.
    #[serde(default)]
    pub http2: Switch,
    /// What clients of this listener are held to; what is left out is as in the document's `limits`.
    #[serde(default)]
    pub limits: Option<Limits>,
}

/// Something that is on or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// It is in use.
    #[default]
    On,
    /// It is not.
    Off,
}

/// What is expected of the first bytes of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// No such header.
    #[default]
    Off,
    /// A connection from one of `trusted_proxies` may begin with one.
    Optional,
    /// Every connection begins with one, and comes from one of `trusted_proxies`.
    Required,
}

/// Server side of TLS.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// Certificate chains with their keys. The client's server name chooses; the first one is the default.
    #[schemars(length(min = 1))]
    pub certificates: Vec<CertificateFiles>,
    /// Authorities (PEM) whose client certificates are accepted.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Names of `certificate_authorities` whose client certificates are accepted.
    #[serde(default)]
    pub client_authorities: Vec<String>,
    /// Where those are, once the document was read.
    #[serde(skip)]
    pub client_trust: Vec<Trust>,
    /// Whether clients must show a certificate.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// The oldest version of TLS: `1.2` or `1.3`.
    #[serde(default)]
    pub min_version: TlsVersion,
}

/// Files that make one certificate; they are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The chain, PEM, leaf first.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    None,
    /// One is asked for; without one the connection goes on.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V1_3,
}
