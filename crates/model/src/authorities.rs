//! Authorities whose certificates clients show.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// An authority whose certificates identify apps: the gateway's own, one that the operator brings, or somebody else's.
///
/// Without `cert`, the gateway makes a root of its own at the first start and keeps its key in the store, encrypted. With
/// `cert` and `key`, it signs with those, such as those of an intermediate authority. With `cert` alone, others sign, and
/// their certificates are made known by `vestibule admin certificate register`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateAuthority {
    /// The authority's certificate (PEM), and behind it those up to the root.
    pub cert: Option<PathBuf>,
    /// The key of `cert` (PEM), if the gateway shall sign.
    pub key: Option<PathBuf>,
    /// The revocation list (PEM) of an authority that others sign with. It is read again when it changes.
    pub crl: Option<PathBuf>,
    /// The common name of a root that the gateway makes. Left out, the authority's name.
    pub common_name: Option<String>,
    /// How long a root that the gateway makes is valid.
    pub lasts: Span,
    /// How long certificates are valid that the gateway signs, at most and where nobody says.
    pub certificates_last: Span,
    /// The address (`http:`) at which the policy `revocation-list` publishes what was revoked. It is written into
    /// certificates, so that others find it.
    pub revocations_at: Option<String>,
    /// How long a revocation list is valid. There is a new one after half of that, and after each revocation.
    pub revocations_last: Span,
}

impl Default for CertificateAuthority {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            cert: None,
            key: None,
            crl: None,
            common_name: None,
            lasts: Span::seconds(3650 * DAY),
            certificates_last: Span::seconds(365 * DAY),
            revocations_at: None,
            revocations_last: Span::seconds(DAY),
        }
    }
}

/// Where the certificates of an authority are that clients of a listener may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The authority's certificate (PEM).
    pub cert: PathBuf,
    /// Its revocation list (PEM), if there is one in a file.
    pub crl: Option<PathBuf>,
    /// Who made it.
    pub made_by: MadeBy,
}

/// Who makes an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeBy {
    /// The gateway, at its first start.
    Gateway,
    /// Somebody else.
    Others,
}
