//! Backends.

use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::share::Share;
use crate::units::{Size, Span};

/// A backend: targets that are as good as each other.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Where requests go: URLs of scheme, host and port.
    #[schemars(length(min = 1))]
    pub targets: Vec<Target>,
    /// How a target is chosen.
    #[serde(default)]
    pub balance: Balance,
    /// Questions asked regularly to find out which targets are well.
    #[serde(default)]
    pub health: Option<Health>,
    /// When a target is left out because real requests failed.
    #[serde(default)]
    pub ejection: Ejection,
    /// How much the upstream may be asked at a time.
    #[serde(default)]
    pub breaker: Breaker,
    /// When a request is sent again.
    #[serde(default)]
    pub retries: Retries,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// TLS towards `https` targets.
    #[serde(default)]
    pub tls: ClientTls,
    /// The version of HTTP towards the targets.
    #[serde(default)]
    pub http: HttpVersion,
    /// The local address to connect from.
    #[serde(default)]
    pub bind: Option<IpAddr>,
    /// The `Host` that the backend sees.
    #[serde(default)]
    pub host: HostHeader,
    /// Connections kept for the next request.
    #[serde(default)]
    pub keep_alive: KeepAlive,
    /// How often host names are looked up again. Default 30s.
    #[serde(default = "thirty_seconds")]
    pub dns_refresh: Span,
    /// Bytes of an answer's head. Beyond: 502. Default 64KiB.
    #[serde(default = "head_bytes")]
    pub head_bytes: Size,
}

fn thirty_seconds() -> Span {
    Span::seconds(30)
}

fn head_bytes() -> Size {
    Size::new(64 * 1024)
}

/// One place that requests go to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Target {
    /// A URL, such as `http://10.0.0.5:8080`.
    Url(String),
    /// A URL with a weight.
    Weighted(WeightedTarget),
}

/// A target that gets more or less than the others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedTarget {
    /// A URL, such as `http://10.0.0.5:8080`.
    pub url: String,
    /// Requests in relation to the other targets, 1 for each that has no weight; 0 takes it out of service.
    #[schemars(range(max = 1000))]
    pub weight: u32,
}

impl Target {
    /// The URL as written.
    pub fn url(&self) -> &str {
        match self {
            Self::Url(url) => url,
            Self::Weighted(target) => &target.url,
        }
    }

    /// The weight, 1 unless written.
    pub fn weight(&self) -> u32 {
        match self {
            Self::Url(_) => 1,
            Self::Weighted(target) => target.weight,
        }
    }
}

/// How a target is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with fewer requests under way, of two drawn by chance.
    LeastRequest,
    /// The same one for the same value, as far as possible.
    Hash(HashBy),
}

/// What a request is told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HashBy {
    /// The client's address.
    Address,
    /// A header.
    Header(String),
    /// A cookie.
    Cookie(String),
}

/// Active health checks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path to ask for by GET.
    pub path: String,
    /// How often. Default 5s.
    #[serde(default = "five_seconds")]
    pub every: Span,
    /// How long an answer may take. Default 2s.
    #[serde(default = "two_seconds")]
    pub timeout: Span,
    /// Good answers in a row (status 200 to 399) that bring a target back. Default 1.
    #[serde(default = "once")]
    pub healthy_after: u32,
    /// Bad answers in a row that take a target out. Default 3.
    #[serde(default = "thrice")]
    pub unhealthy_after: u32,
}

fn five_seconds() -> Span {
    Span::seconds(5)
}

fn two_seconds() -> Span {
    Span::seconds(2)
}

fn once() -> u32 {
    1
}

fn thrice() -> u32 {
    3
}

/// Passive health checks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ejection {
    /// Failures in a row (no connection, no answer, 502, 503, 504) that eject a target; 0 never ejects. Default 5.
    pub failures: u32,
    /// How long it stays out at first; then a single request tries it. Each further time in a row doubles it, up to ten
    /// times. Default 10s.
    pub period: Span,
    /// The share of targets that may be out at a time; a sole target is never ejected. Default 50%.
    pub max: Share,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { failures: 5, period: Span::seconds(10), max: Share::from_percent(50) }
    }
}

/// Limits on what an upstream is asked at a time, and what opens its circuit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Connections at a time, of all workers. Default 4096.
    #[schemars(range(min = 1))]
    pub connections: u32,
    /// Requests that may wait for one of `connections` at a time, first come, first served; beyond, 503. Default 1024.
    pub pending: u32,
    /// How long a request may wait for a connection before it is refused with 503. Default 1s.
    pub pending_time: Span,
    /// Requests under way at a time, those that wait included; beyond, 503. Default 4096.
    pub requests: u32,
    /// Failures in a row (no connection, no answer in time), while no target does better, that open the circuit; 0 never
    /// opens it. Default 10.
    pub failures: u32,
    /// How long an open circuit refuses before it lets one request try. Default 250ms, so that a returning backend is found soon.
    pub retry_after: Span,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            connections: 4096,
            pending: 1024,
            pending_time: Span::seconds(1),
            requests: 4096,
            failures: 10,
            retry_after: Span::milliseconds(250),
        }
    }
}

/// When a request is sent again. Only what cannot have had an effect is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// Further attempts after the first. Default 2.
    pub attempts: u32,
    /// Retries as a share of all requests; ten a second may be made in any case, unless it is `0%`. It costs nothing to try
    /// another target after one that refused the connection. Default 20%.
    pub budget: Share,
    /// Statuses of an answer to an idempotent request that are worth another target. Default none.
    pub statuses: Vec<u16>,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 2, budget: Share::from_percent(20), statuses: Vec::new() }
    }
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To connect, TLS handshake included. Default 5s.
    pub connect: Span,
    /// From the end of the request to the head of the answer. Default 60s.
    pub first_byte: Span,
    /// Between two pieces of a body. Default 60s.
    pub idle: Span,
    /// For the whole exchange, retries and waiting included. Beyond: 504, or an answer that has begun is cut. Default: no
    /// limit.
    pub total: Option<Span>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Span::seconds(5), first_byte: Span::seconds(60), idle: Span::seconds(60), total: None }
    }
}

/// Client side of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// Authorities (PEM) that sign the targets' certificates. Default: those that browsers trust.
    pub ca: Option<PathBuf>,
    /// Our certificate chain (PEM), where targets ask for one.
    pub cert: Option<PathBuf>,
    /// The private key (PEM) of `cert`.
    pub key: Option<PathBuf>,
    /// The name to ask for and to check, instead of the target's host.
    pub server_name: Option<String>,
}

/// The version of HTTP that a target is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2: by ALPN on TLS, by prior knowledge on plain TCP.
    #[serde(rename = "2")]
    Http2,
}

/// The `Host` that a backend sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostHeader {
    /// The one that the client sent.
    #[default]
    Preserve,
    /// The target's host and port.
    Target,
    /// This one.
    Fixed(String),
}

/// Connections kept for the next request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepAlive {
    /// How long one may be idle. Of more than eight, those that nobody needed for ten seconds go earlier. Default 30s.
    pub idle: Span,
    /// How many idle ones a worker keeps for each target. Default 256.
    pub connections: u32,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Span::seconds(30), connections: 256 }
    }
}
