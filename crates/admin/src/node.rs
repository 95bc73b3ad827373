//! What the Admin API asks of the gateway that it administers.

use async_trait::async_trait;
use model::diff::Change;
use problem::Finding;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use telemetry::metrics::Exposition;

/// The gateway, as far as operators may ask it for something.
///
/// Whoever asked may go away at any `.await`: what must be finished is finished elsewhere.
#[async_trait]
pub trait Node: Send + Sync {
    /// Whether the gateway serves, and by which configuration.
    fn readiness(&self) -> Readiness;

    /// All metrics, in the format that an `Accept` field prefers.
    fn metrics(&self, accept: Option<&str>) -> Exposition;

    /// How the gateway is.
    fn status(&self) -> Status;

    /// The configuration that serves, unless there is none yet.
    fn configuration(&self) -> Option<Configuration>;

    /// Reads the configuration file again and serves by it, or goes on as before.
    async fn reload(&self) -> Result<Applied, Refused>;

    /// Serves by this document, YAML or JSON, or only says what would change.
    async fn apply(&self, document: &str, apply: Apply) -> Result<Applied, Refused>;

    /// Adds to the sums what the journal still holds, so that usage is told up to this moment.
    async fn count_usage(&self) -> Result<(), Refused>;

    /// Makes the sums anew from the records that are kept.
    async fn rebuild_usage(&self) -> Result<Rebuilt, Refused>;
}

/// What became of the sums of usage.
#[derive(Clone, Copy, Debug)]
pub struct Rebuilt {
    /// From which hour on, counted since 1970.
    pub from_hour: u32,
    /// The records that were read.
    pub records: u64,
    /// The sums that they came to.
    pub rows: usize,
    /// The sums that had not been so before.
    pub changed: usize,
}

/// Whether a gateway serves.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Whether it takes requests.
    pub state: Serving,
    /// The configuration that serves, counted from 1; 0 if there is none yet.
    pub generation: u64,
    /// Names the content of the configuration; empty if there is none yet.
    pub hash: String,
}

/// Where a gateway stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "State")]
pub enum Serving {
    /// There is no configuration yet.
    Starting,
    /// It takes requests.
    Ready,
    /// It ends what it has begun, and takes nothing new.
    Draining,
}

/// The configuration that serves.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Which one, counted from 1.
    pub generation: u64,
    /// Names its content.
    pub hash: String,
    /// The document as it was written: references stand for the secrets that they give.
    pub document: Value,
}

/// Whether a document is to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// It is.
    Now,
    /// It is not: the question is what it would change.
    DryRun,
}

/// What became of a new configuration.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The configuration that serves now.
    pub generation: u64,
    /// Names its content.
    pub hash: String,
    /// What is different from the one before.
    pub changes: Vec<Change>,
}

/// Why the gateway did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The configuration is wrong; everything that is wrong is named.
    #[error("the configuration has {} findings", .0.len())]
    Findings(Vec<Finding>),
    /// It cannot be done as things are. The text tells the operator why, and what to do.
    #[error("{0}")]
    Conflict(String),
    /// It failed. The text tells the operator what did; the cause is for the log.
    #[error("{0}")]
    Failed(String, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How a gateway is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Status {
    /// The version of the binary.
    pub version: String,
    /// Its process id.
    pub process: u32,
    /// Where it stands in its life.
    pub state: Serving,
    /// The configuration that serves.
    pub generation: u64,
    /// Names its content.
    pub hash: String,
    /// Where clients connect.
    pub listeners: Vec<ListenerStatus>,
    /// The backends.
    pub upstreams: Vec<UpstreamStatus>,
    /// Where usage is written down, if it is.
    pub journal: Option<JournalStatus>,
    /// Keys that this node knows.
    pub keys: u64,
    /// Requests that no policy saw because they were malformed or too many.
    pub refused: u64,
}

/// An address that clients connect to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListenerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Address and port.
    pub address: String,
    /// Connections that are open.
    pub connections: u64,
}

/// A backend.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UpstreamStatus {
    /// Its name in the configuration.
    pub name: String,
    /// The state of its circuit: `closed`, `half-open` or `open`.
    pub breaker: String,
    /// Requests under way.
    pub in_flight: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Where requests go.
    pub targets: Vec<TargetStatus>,
}

/// One place that requests to a backend go to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TargetStatus {
    /// As the configuration has it.
    pub url: String,
    /// Whether requests go there: it is healthy, and not ejected.
    pub in_service: bool,
    /// Requests under way.
    pub in_flight: u64,
}

/// The state of the journal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JournalStatus {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files that they are in.
    pub segments: u64,
    /// How often the disk failed to take records.
    pub failures: u64,
}
