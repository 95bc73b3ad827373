//! Keys that the gateway makes and keeps itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::Named;
use crate::units::Span;

/// Keys that sign tokens for backends: made by the gateway, kept in the store, exchanged on schedule.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SigningKeys {
    /// How tokens are signed. Another algorithm takes over after `overlap`.
    pub algorithm: SigningAlgorithm,
    /// How long a key signs, before the next one takes over. At least twice `overlap`.
    pub rotate: Span,
    /// How long a key is published before it signs, and after. Longer than verifiers go without asking, and at least `5m`.
    pub overlap: Span,
}

impl Default for SigningKeys {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { algorithm: SigningAlgorithm::default(), rotate: Span::seconds(30 * DAY), overlap: Span::seconds(DAY) }
    }
}

/// How tokens are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// RSA of 2048 bits; signing takes some forty times as long.
    #[serde(rename = "RS256")]
    Rs256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// How secrets are encrypted that the gateway keeps in its store.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Encryption {
    /// Master keys, 32 bytes in base64, each given by reference, such as `${env:MASTER_KEY}`. The first one is used; others
    /// still open what they have closed, until `vestibule secrets rotate-master-key` is done. Left out, a key is made in the
    /// file `master.key` of the store.
    pub master_keys: Option<Vec<String>>,
}

/// Keys that other programs made and that were imported.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportedKeys {
    /// What those programs hashed their keys with by HMAC-SHA-256, by a name that imports use: `hmac-sha-256:NAME`. Texts, or
    /// `base64:` and bytes, each given by reference, such as `${file:legacy.pepper}`.
    pub peppers: Named<String>,
}
