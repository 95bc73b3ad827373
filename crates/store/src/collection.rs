//! Collections of a firewall's rules: what they remember of an address, a session, a user.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnixMicros;

/// Which collection: a hash of its kind, its application and its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CollectionId(String);

/// What rules remember.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// Which one.
    pub id: CollectionId,
    /// Its values by name.
    pub values: BTreeMap<String, Remembered>,
    /// When it is forgotten unless somebody changes it.
    pub ends: UnixMicros,
}

/// A value that rules remember.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The value.
    pub value: String,
    /// When it is gone by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixMicros>,
    /// When it was last changed.
    pub changed: UnixMicros,
}

impl CollectionId {
    /// The id that is this hash.
    pub fn of(hash: &[u8]) -> Self {
        Self(crate::hex(hash))
    }
}

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
