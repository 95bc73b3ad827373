//! Keys that the gateway makes and keeps itself.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::Named;
use crate::units::Span;
use crate::upstream::ClientTls;

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
    #[schemars(extend("writeOnly" = true))]
    pub master_keys: Option<Vec<String>>,
    /// A master key that stays in Vault or `OpenBao` and is used there; `master_keys`, or the file, then only open what they have
    /// closed before.
    pub transit: Option<Transit>,
}

/// A key of the secrets engine `transit` of Vault or `OpenBao`. The gateway asks when it starts and when keys are exchanged;
/// between, it goes on with what it has while the server is away.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transit {
    /// The server, such as `https://vault.example:8200`.
    pub url: String,
    /// The name of the key, which must be there.
    pub key: String,
    /// Where the engine is mounted. Default `transit`.
    #[serde(default = "mount")]
    pub mount: String,
    /// The token to ask with, by reference, such as `${env:VAULT_TOKEN}`.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub token: Option<String>,
    /// A file with the token, read for each question, so that somebody else may renew it.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The namespace of the engine, where the server has some.
    #[serde(default)]
    pub namespace: Option<String>,
    /// TLS towards the server.
    #[serde(default)]
    pub tls: ClientTls,
    /// How long an answer may take. Default 5s.
    #[serde(default = "patience")]
    pub timeout: Span,
}

fn mount() -> String {
    "transit".to_owned()
}

fn patience() -> Span {
    Span::seconds(5)
}

/// Keys that other programs made and that were imported.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportedKeys {
    /// What those programs hashed their keys with by HMAC-SHA-256, by a name that imports use: `hmac-sha-256:NAME`. Texts, or
    /// `base64:` and bytes, each given by reference, such as `${file:legacy.pepper}`.
    #[schemars(extend("writeOnly" = true))]
    pub peppers: Named<String>,
}
