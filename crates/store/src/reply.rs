//! Answers of the Admin API that are kept for requests that are sent again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::UnixMicros;

/// Which kept answer: a hash of who asked and of the key that they gave the request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplyId(String);

impl ReplyId {
    /// The id that is this hash.
    pub fn of(hash: &[u8]) -> Self {
        Self(crate::hex(hash))
    }
}

impl fmt::Display for ReplyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request of the Admin API that may be made again, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Which one.
    pub id: ReplyId,
    /// A hash of the request.
    pub fingerprint: String,
    /// What was answered, unless that is still to come.
    pub answer: Option<Answer>,
    /// When it was asked.
    pub at: UnixMicros,
}

/// An answer, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The headers that say something about what was made.
    pub headers: Vec<(String, String)>,
    /// Its body, in JSON.
    pub body: String,
}
