//! How other programs are told what changes in the registry.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::formats;
use crate::units::Span;

/// How endpoints of webhooks are told what changes. Endpoints themselves are made by `vestibule admin webhook`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Networks where endpoints may be although they are this machine's own or its link's, such as `127.0.0.0/8`: what an
    /// endpoint's name leads to is looked at before each delivery.
    #[schemars(with = "Vec<formats::Network>")]
    pub allow: Vec<IpNet>,
    /// Whether endpoints may be told without TLS.
    pub http: PlainHttp,
    /// How long an endpoint may take nothing before it is told no more, until somebody enables it again.
    pub give_up: Span,
}

/// Whether something may be told without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlainHttp {
    /// It may not.
    #[default]
    Refused,
    /// It may.
    Accepted,
}

impl Default for Webhooks {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { allow: Vec::new(), http: PlainHttp::default(), give_up: Span::seconds(5 * DAY) }
    }
}
