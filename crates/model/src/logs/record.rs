//! What records of a shipped sink hold, and what of it nobody may read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::Named;

/// What the records of a shipped sink hold, and what of it nobody may read.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogRecord {
    /// Names at the sink, and what of an exchange stands under each. Left out, everything under its own name. `id` is in
    /// every record, so that one which came twice can be told.
    pub fields: Named<Field>,
    /// Request headers that records hold, with their names at the sink. Those that are known to be secrets are replaced.
    #[schemars(length(max = 16))]
    pub headers: Named<String>,
    /// Names and texts that every record holds, such as `environment: production`.
    pub add: Named<String>,
    /// What is replaced by `***` before anything is written, also to the disk of this machine.
    pub mask: Mask,
}

/// What is replaced by `***`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mask {
    /// Fields, by their own names.
    pub fields: Vec<Field>,
    /// Request headers, beside `authorization`, `cookie` and those whose names end like a secret's.
    pub headers: Vec<String>,
    /// Parameters of queries, beside those whose names end like a secret's.
    pub query: Vec<String>,
}

/// What is known of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// When its head was complete.
    Time,
    /// Its id, which the client knows as `x-request-id`.
    Id,
    /// The client's address.
    Client,
    /// The method.
    Method,
    /// Path and query, as they were requested.
    Target,
    /// The host that was asked for.
    Host,
    /// `http` or `https`.
    Scheme,
    /// The version of HTTP.
    HttpVersion,
    /// The status of the answer.
    Status,
    /// Whether the answer was sent to its end.
    Complete,
    /// Bytes of the request's body.
    BytesIn,
    /// Bytes of the answer's body.
    BytesOut,
    /// From the head of the request to the end of the answer.
    DurationMs,
    /// The API.
    Api,
    /// The path pattern that matched.
    Route,
    /// The company that called.
    Company,
    /// Its app.
    App,
    /// What identifies the credential and is no secret.
    Credential,
    /// The product by which the app may call.
    Product,
    /// The upstream.
    Upstream,
    /// Its target.
    UpstreamTarget,
    /// How often the request was sent to it.
    UpstreamAttempts,
    /// How long it took to begin its answer.
    UpstreamFirstByteMs,
    /// The code of the problem that the gateway answered with.
    Problem,
    /// What the client says it is.
    UserAgent,
    /// The trace.
    TraceId,
    /// What the firewall found, as its audit log has it.
    Firewall,
}
