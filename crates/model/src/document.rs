//! The whole document, `vestibule.yaml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alerts::Alerts;
use crate::api::{Api, Product};
use crate::authorities::CertificateAuthority;
use crate::formats;
use crate::jobs::Job;
use crate::keys::{Encryption, ImportedKeys, SigningKeys};
use crate::limits::Limits;
use crate::listener::{Listener, ServerTls};
use crate::logs::LogSink;
use crate::named::Named;
use crate::plan::Plan;
use crate::requests::Requests;
use crate::room_events::RoomEvents;
use crate::rooms::WaitingRoom;
use crate::units::Span;
use crate::upstream::Upstream;
use crate::usage::Usage;
use crate::webhooks::Webhooks;

/// Everything that an operator says to one gateway.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The version of this format: 1.
    pub version: Version,
    /// Where clients connect.
    pub listeners: Named<Listener>,
    /// Where operators connect. Left out, there is no admin listener.
    #[serde(default)]
    pub admin: Option<Admin>,
    /// Where companies, keys and usage are kept. Left out, nothing is kept and policies that need keys are refused.
    #[serde(default)]
    pub store: Option<Store>,
    /// How secrets in the store are encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// Keys that sign tokens for backends, by the names that `backend-token` and `token-keys` use.
    #[serde(default)]
    pub signing: Named<SigningKeys>,
    /// Authorities whose certificates identify apps, by the names that listeners and `vestibule admin certificate` use.
    #[serde(default)]
    pub certificate_authorities: Named<CertificateAuthority>,
    /// What it takes to check keys that other programs made.
    #[serde(default)]
    pub imported_keys: ImportedKeys,
    /// Threads that serve traffic. Left out, one for each processor.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<usize>,
    /// What every client is held to, unless its listener says otherwise.
    #[serde(default)]
    pub limits: Limits,
    /// How requests are read that other servers may read differently.
    #[serde(default)]
    pub requests: Requests,
    /// Networks whose `Forwarded`, `X-Forwarded-For` and PROXY protocol headers are believed.
    #[serde(default)]
    #[schemars(with = "Vec<formats::Network>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Backends.
    #[serde(default)]
    pub upstreams: Named<Upstream>,
    /// What is exposed.
    #[serde(default)]
    pub apis: Named<Api>,
    /// Bundles of operations that apps subscribe to.
    #[serde(default)]
    pub products: Named<Product>,
    /// Waiting rooms, by the names that `waiting-room-api` and `waiting-room-token` use.
    #[serde(default)]
    pub rooms: Named<WaitingRoom>,
    /// Who is told what happens in waiting rooms, under names of your own. A change takes effect at the next start.
    #[serde(default)]
    pub room_events: Named<RoomEvents>,
    /// What companies pay.
    #[serde(default)]
    pub plans: Named<Plan>,
    /// What becomes of usage records.
    #[serde(default)]
    pub usage: Usage,
    /// How other programs are told what changes in the registry.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// Who is told what goes wrong.
    #[serde(default)]
    pub alerts: Alerts,
    /// What is done at certain times, under names of your own.
    #[serde(default)]
    pub jobs: Named<Job>,
    /// Where access logs go.
    #[serde(default)]
    pub logs: Vec<LogSink>,
    /// Where spans go.
    #[serde(default)]
    pub tracing: Option<Tracing>,
    /// What the gateway says of itself, on standard error.
    #[serde(default)]
    pub diagnostics: Diagnostics,
    /// How the gateway stops.
    #[serde(default)]
    pub shutdown: Shutdown,
}

/// The version of the document's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(serde::de::Error::custom(format!("version {other} is not known; write 1"))),
        }
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(1)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [1] })
    }
}

/// The admin listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port. Anything but a loopback address needs `tls`.
    #[schemars(with = "formats::SocketAddress")]
    pub bind: SocketAddr,
    /// Certificates of the admin listener.
    #[serde(default)]
    pub tls: Option<ServerTls>,
    /// The file that holds the bootstrap token, made with mode 0600 at first start. Default: `admin.token` in the store.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// Where the gateway keeps its state.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// A folder of this machine: an embedded database and journals. Made if it is not there. With it nothing else is needed.
    #[serde(default)]
    pub embedded: Option<PathBuf>,
    /// The database that several nodes share, in place of `embedded`: `postgres://user:password@host:5432/database`, with
    /// `?sslmode=require` for TLS only.
    #[serde(default)]
    pub postgres: Option<String>,
    /// Where several nodes count together: Redis or Valkey, `redis://user:password@host:6379/0`, or `rediss://` with TLS.
    #[serde(default)]
    pub redis: Option<String>,
    /// With `postgres`, a folder of this machine for the node's own journals, which it needs again after a restart. Each node has
    /// another one.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Authorities that sign the certificates of PostgreSQL and Redis, in PEM. Left out, those that the public trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// How limits decide while Redis is away.
    #[serde(default)]
    pub limits_without_redis: LimitsAlone,
}

impl Store {
    /// Where this node keeps what is its own.
    pub fn folder(&self) -> &Path {
        self.embedded.as_deref().or(self.folder.as_deref()).unwrap_or(Path::new(""))
    }
}

/// How limits decide while several nodes cannot count together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LimitsAlone {
    /// Each node counts by itself, from what it knows, and what it granted is added to the common count afterwards. Meanwhile
    /// all nodes together may grant more than the limit.
    #[default]
    CountAlone,
    /// They cannot decide: requests are refused, or pass where the policy's `on_failure` is `open`.
    Fail,
}

/// Export of spans.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// Base URL of an OTLP/HTTP receiver, such as `http://127.0.0.1:4318`.
    pub otlp: String,
    /// The share of new traces that are recorded, 0 to 1; a caller's own decision is kept.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
    /// `service.name` of the resource.
    #[serde(default = "service")]
    pub service: String,
}

fn one() -> f64 {
    1.0
}

fn service() -> String {
    "vestibule".into()
}

/// What the gateway says of itself.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diagnostics {
    /// The least important events to show.
    #[serde(default)]
    pub level: Level,
    /// `text` or `json`.
    #[serde(default)]
    pub format: DiagnosticsFormat,
}

/// How important an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is wrong and served all the same.
    Warn,
    /// Something changed.
    #[default]
    Info,
    /// Something happened to one connection.
    Debug,
}

/// The form of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiagnosticsFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// How the gateway stops.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long requests under way may take after SIGTERM, before they are cut.
    #[serde(default = "drain")]
    pub drain: Span,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain: drain() }
    }
}

fn drain() -> Span {
    Span::seconds(30)
}
