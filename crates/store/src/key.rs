//! Keys: what apps identify themselves with.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AppId, Entity, EntityId, Environment, KeyId, Kind, UnixMicros};

/// A key to an app. The secret itself is nowhere: it was shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its public part.
    pub id: KeyId,
    /// The app that it identifies.
    pub app: AppId,
    /// What it is for.
    pub environment: Environment,
    /// What a presented secret is compared to.
    pub hash: KeyHash,
    /// Whether it was made elsewhere, so that it has a form of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The beginning of the key, so that people recognise it.
    pub prefix: String,
    /// The last four characters, so that people recognise it.
    pub last_four: String,
    /// When it was made.
    pub created: UnixMicros,
    /// When it stops working by itself.
    pub expires: Option<UnixMicros>,
    /// When somebody made it stop working.
    pub revoked: Option<UnixMicros>,
    /// The key whose place it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<KeyId>,
    /// The key that took its place; both work until this one expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
    /// When it was last seen, within a minute or so. It is kept beside the key: see [`crate::Registry::touch`].
    #[serde(skip)]
    pub last_used: Option<UnixMicros>,
}

/// What became of a key that was rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The key that took its place.
    pub by: KeyId,
    /// When that was.
    pub at: UnixMicros,
}

impl Key {
    /// The label of keys that were rotated and not revoked.
    pub const ROTATED: &'static str = "rotated";

    /// Whether another key took its place, beside which it works until it expires.
    pub fn is_rotated(&self) -> bool {
        self.replaced.is_some() && self.revoked.is_none()
    }

    /// Whether it opens anything at this time.
    pub fn is_alive(&self, now: UnixMicros) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}

/// A digest of a secret, and how it was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyHash {
    /// The tag of the algorithm. A store keeps tags it has never heard of.
    pub algorithm: String,
    /// What the algorithm gave.
    #[serde(with = "in_base64")]
    pub digest: Vec<u8>,
}

/// What an imported key is found by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMarkId(pub String);

/// That an imported key is found by this, so that no other one is, whoever imports it at the same time. It goes with the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMark {
    /// What it is found by.
    pub id: KeyMarkId,
    /// The key.
    pub key: KeyId,
}

impl From<KeyMarkId> for EntityId {
    fn from(id: KeyMarkId) -> Self {
        Self::new(Kind::KeyMark, id.0)
    }
}

impl Entity for KeyMark {
    type Id = KeyMarkId;

    const KIND: Kind = Kind::KeyMark;

    fn entity_id(&self) -> EntityId {
        self.id.clone().into()
    }

    fn parent(&self) -> Option<EntityId> {
        Some((&self.key).into())
    }
}

/// Bytes as text.
mod in_base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digest stays out of logs.
        f.debug_struct("Key").field("id", &self.id).field("app", &self.app).finish_non_exhaustive()
    }
}
