//! What becomes of requests that other servers may read differently than the gateway does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How requests are read where servers differ. By default, nothing is handed on that a backend could read in another way
/// than the gateway's routes and policies did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requests {
    /// What becomes of a path with two or more slashes in a row, such as `/orders//7`.
    pub repeated_slashes: RepeatedSlashes,
    /// What becomes of headers with an underscore in their name, such as `X_Forwarded_For`, which backends in the
    /// tradition of CGI do not tell from `X-Forwarded-For`.
    pub underscore_headers: UnderscoreHeaders,
    /// What `trusted_proxies` write about clients. What else a request says about them comes from anybody, and is taken out.
    pub proxies_write: ProxiesWrite,
}

/// What proxies in front write about clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxiesWrite {
    /// `X-Forwarded-For` and `-Proto` if there is an `X-Forwarded-For`, or else `Forwarded`. Hosts in them are not believed: many
    /// proxies hand on what clients say of these.
    #[default]
    Either,
    /// `X-Forwarded-For`, `-Proto` and `-Host`, whose host is the one that routes look at.
    XForwarded,
    /// `Forwarded` (RFC 7239), whose host is the one that routes look at.
    Standard,
}

/// What becomes of two or more slashes in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatedSlashes {
    /// They are one, for routes, policies and the backend alike.
    #[default]
    Merge,
    /// The request is refused with 400.
    Refuse,
    /// They stay, and what is between them is an empty segment. A backend that merges them may then serve a path that
    /// another route or policy should have guarded.
    Keep,
}

/// What becomes of headers with an underscore in their name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnderscoreHeaders {
    /// They are taken out before anybody looks.
    #[default]
    Remove,
    /// The request is refused with 400.
    Refuse,
    /// They stay. A client may then give a backend a header that the gateway believes to have set.
    Keep,
}
