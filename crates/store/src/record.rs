//! Records of partners that another service has, kept for a while.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnixMicros;

/// Which record: a hash of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeptRecordId(String);

/// What another service said of a partner, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecord {
    /// Which one.
    pub id: KeptRecordId,
    /// What it says, and since when.
    pub sealed: String,
    /// When it is of no use any more.
    pub ends: UnixMicros,
}

impl KeptRecordId {
    /// The id that is this hash.
    pub fn of(hash: &[u8]) -> Self {
        Self(crate::hex(hash))
    }
}

impl fmt::Display for KeptRecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
