//! Where access logs go: terminals, files, and services that records are shipped to.

mod record;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::record::{Field, LogRecord, Mask};
use crate::named::Named;
use crate::units::{Size, Span};
use crate::upstream::ClientTls;

/// One place that access logs go to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LogSink {
    /// Standard output.
    Stdout(LogFormat),
    /// A file, opened again on SIGHUP.
    File(LogFile),
    /// Fluentd, Fluent Bit or whoever else speaks the Forward protocol, version 1.
    Fluent(Fluent),
    /// Elasticsearch or `OpenSearch`, by `_bulk`.
    Elasticsearch(Elasticsearch),
    /// An OpenTelemetry receiver of logs, by OTLP/HTTP in JSON.
    Otlp(OtlpLogs),
    /// Any service that takes JSON by POST.
    Http(HttpLogs),
    /// A syslog server, by RFC 5424.
    Syslog(Syslog),
}

/// How an access log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFormat {
    /// `json`, `combined`, or one of the firewall's audit log: `firewall` or `modsecurity`.
    #[serde(default)]
    pub format: LineFormat,
}

/// An access log in a file.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// The file; lines are added to its end.
    pub path: PathBuf,
    /// `json`, `combined`, or one of the firewall's audit log: `firewall` or `modsecurity`.
    #[serde(default)]
    pub format: LineFormat,
    /// When the file is moved away for a new one. Left out, others do that and send SIGHUP.
    #[serde(default)]
    pub rotate: Option<Rotate>,
}

/// When a log file is moved away: to its own name with the time behind it, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// The size at which it is moved away. Default 100MiB.
    #[serde(default = "rotate_at")]
    pub at: Size,
    /// How many of those that were moved away are kept; older ones are removed. Default 10.
    #[serde(default = "rotate_keep")]
    #[schemars(range(min = 1, max = 10_000))]
    pub keep: u32,
}

fn rotate_at() -> Size {
    Size::new(100 * 1024 * 1024)
}

fn rotate_keep() -> u32 {
    10
}

/// The format of access log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LineFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// The combined format of Apache httpd.
    Combined,
    /// The firewall's audit log, and nothing else: one JSON object for each exchange in which a rule of it matched.
    Firewall,
    /// The firewall's audit log as `ModSecurity` writes it, in sections by letters.
    Modsecurity,
}

/// Records shipped by the Forward protocol of Fluentd, version 1.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fluent {
    /// The name of this sink, by which it is found again after a change. Default `fluent`.
    #[serde(default)]
    pub name: Option<SinkName>,
    /// Host and port, such as `logs.example:24224`.
    pub address: String,
    /// The tag of records.
    #[serde(default = "tag")]
    pub tag: String,
    /// The key that both sides know, best by `${file:...}`. Left out, the server must not ask for one.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub shared_key: Option<String>,
    /// The name by which this client introduces itself, which must not be the server's.
    #[serde(default = "gateway")]
    pub hostname: String,
    /// TLS. Left out, plain TCP; `{}` trusts the authorities that browsers trust.
    #[serde(default)]
    pub tls: Option<ClientTls>,
    /// Whether a batch counts as taken only when the server says so (`chunk`).
    #[serde(default)]
    pub ack: Ack,
    /// `gzip` or `none`.
    #[serde(default)]
    pub compress: ForwardCompression,
    /// What records hold.
    #[serde(default)]
    pub record: LogRecord,
    /// How much is kept until it is taken.
    #[serde(default)]
    pub keep: KeepLogs,
    /// How much is sent at a time.
    #[serde(default)]
    pub batch: LogBatch,
}

fn tag() -> String {
    "vestibule.access".into()
}

fn gateway() -> String {
    "vestibule".into()
}

/// When a batch counts as taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ack {
    /// When the server acknowledged it.
    #[default]
    Required,
    /// When it was written to the connection; what is in flight when that breaks is lost.
    None,
}

/// Compression of the Forward protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardCompression {
    /// `CompressedPackedForward`.
    #[default]
    Gzip,
    /// `PackedForward`.
    None,
}

/// Compression of a request's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BodyCompression {
    /// gzip.
    #[default]
    Gzip,
    /// Zstandard.
    Zstd,
    /// None.
    None,
}

/// Records shipped to Elasticsearch or `OpenSearch`. Each has its id for `_id`, so that it is there once, however often it
/// was sent.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Elasticsearch {
    /// The name of this sink, by which it is found again after a change. Default `elasticsearch`.
    #[serde(default)]
    pub name: Option<SinkName>,
    /// Base URL, such as `https://search.example:9200`.
    pub url: String,
    /// The index or data stream that records are created in.
    pub index: String,
    /// Headers of each request, such as `authorization: "${file:token}"`.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub headers: Named<String>,
    /// TLS towards an `https` URL.
    #[serde(default)]
    pub tls: ClientTls,
    /// `gzip`, `zstd` or `none`.
    #[serde(default)]
    pub compress: BodyCompression,
    /// What records hold.
    #[serde(default)]
    pub record: LogRecord,
    /// How much is kept until it is taken.
    #[serde(default)]
    pub keep: KeepLogs,
    /// How much is sent at a time.
    #[serde(default)]
    pub batch: LogBatch,
}

/// Records shipped by OTLP/HTTP.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpLogs {
    /// The name of this sink, by which it is found again after a change. Default `otlp`.
    #[serde(default)]
    pub name: Option<SinkName>,
    /// Base URL, such as `http://127.0.0.1:4318`; `/v1/logs` is added.
    pub url: String,
    /// `service.name` of the resource.
    #[serde(default = "gateway")]
    pub service: String,
    /// Headers of each request.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub headers: Named<String>,
    /// TLS towards an `https` URL.
    #[serde(default)]
    pub tls: ClientTls,
    /// `gzip`, `zstd` or `none`.
    #[serde(default)]
    pub compress: BodyCompression,
    /// What records hold.
    #[serde(default)]
    pub record: LogRecord,
    /// How much is kept until it is taken.
    #[serde(default)]
    pub keep: KeepLogs,
    /// How much is sent at a time.
    #[serde(default)]
    pub batch: LogBatch,
}

/// Records shipped as JSON by POST. A status of 2xx means that all were taken.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpLogs {
    /// The name of this sink, by which it is found again after a change. Default `http`.
    #[serde(default)]
    pub name: Option<SinkName>,
    /// The URL that batches are posted to.
    pub url: String,
    /// `lines` or `array`.
    #[serde(default)]
    pub form: BatchForm,
    /// Headers of each request, such as `authorization: "${file:token}"`.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub headers: Named<String>,
    /// TLS towards an `https` URL.
    #[serde(default)]
    pub tls: ClientTls,
    /// `gzip`, `zstd` or `none`.
    #[serde(default)]
    pub compress: BodyCompression,
    /// What records hold.
    #[serde(default)]
    pub record: LogRecord,
    /// How much is kept until it is taken.
    #[serde(default)]
    pub keep: KeepLogs,
    /// How much is sent at a time.
    #[serde(default)]
    pub batch: LogBatch,
}

/// The form of a batch in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BatchForm {
    /// An object a line (`application/x-ndjson`).
    #[default]
    Lines,
    /// An array of objects (`application/json`).
    Array,
}

/// Records shipped by syslog: RFC 5424, with the record as a JSON object for message. The protocol has no acknowledgement:
/// what is in flight when a connection breaks is lost.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Syslog {
    /// The name of this sink, by which it is found again after a change. Default `syslog`.
    #[serde(default)]
    pub name: Option<SinkName>,
    /// Host and port, such as `logs.example:6514`.
    pub address: String,
    /// `tcp` (RFC 6587 with counted octets, RFC 5425 with `tls`) or `udp` (RFC 5426).
    #[serde(default)]
    pub transport: Transport,
    /// TLS over `tcp`. Left out, plain; `{}` trusts the authorities that browsers trust.
    #[serde(default)]
    pub tls: Option<ClientTls>,
    /// The facility of messages.
    #[serde(default)]
    pub facility: Facility,
    /// The name of this machine in messages.
    #[serde(default = "gateway")]
    pub hostname: String,
    /// The name of this program in messages.
    #[serde(default = "gateway")]
    pub app_name: String,
    /// What records hold.
    #[serde(default)]
    pub record: LogRecord,
    /// How much is kept until it is taken.
    #[serde(default)]
    pub keep: KeepLogs,
    /// How much is sent at a time.
    #[serde(default)]
    pub batch: LogBatch,
}

/// How syslog messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A connection.
    #[default]
    Tcp,
    /// Datagrams, of which any may be lost.
    Udp,
}

/// A facility of syslog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Facility {
    /// 1.
    User,
    /// 3.
    Daemon,
    /// 13.
    Audit,
    /// 16.
    #[default]
    Local0,
    /// 17.
    Local1,
    /// 18.
    Local2,
    /// 19.
    Local3,
    /// 20.
    Local4,
    /// 21.
    Local5,
    /// 22.
    Local6,
    /// 23.
    Local7,
}

/// The name of a sink: lower case letters, digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct SinkName(pub String);

impl JsonSchema for SinkName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SinkName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,39}$", "examples": ["siem"] })
    }
}

/// How much is kept on disk for a sink that does not take it, and what happens beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepLogs {
    /// Bytes on disk, at least 64MiB. Default 16GiB.
    pub max: Size,
    /// How old records may become; older ones are dropped and counted. Default: as old as `max` lets them.
    #[serde(rename = "for")]
    pub longest: Option<Span>,
    /// What happens when `max` is reached or the disk is full.
    pub on_full: OnFull,
}

impl Default for KeepLogs {
    fn default() -> Self {
        Self { max: Size::new(16 << 30), longest: None, on_full: OnFull::default() }
    }
}

/// What happens when there is no room for records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// The oldest records are dropped, with a warning, and counted.
    #[default]
    DropOldest,
    /// Requests are refused (503, `no-room-to-count`) until there is room: none is served that is not written down.
    Refuse,
}

/// How much is sent at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogBatch {
    /// The most records. Default 5000.
    #[schemars(range(min = 1, max = 100_000))]
    pub records: u32,
    /// How long the records of a batch that is not full are waited for. Default 1s.
    pub every: Span,
}

impl Default for LogBatch {
    fn default() -> Self {
        Self { records: 5000, every: Span::seconds(1) }
    }
}
