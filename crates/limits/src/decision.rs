//! What a limit says to one request.

use std::time::Duration;

/// What a limit says to one request, and how things stand after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may pass.
    pub passage: Passage,
    /// How much the limit allows: at once for a rate, per window for a count.
    pub limit: u64,
    /// How much may pass now.
    pub remaining: u64,
    /// How long until all of `limit` is there again.
    pub resets_in: Duration,
}

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may, and has been counted.
    Granted,
    /// It may not, and nothing has been counted.
    Refused {
        /// When the same request would pass if nothing else came; never, if it costs more than the limit.
        retry_after: Option<Duration>,
    },
}

impl Decision {
    /// Whether the request may pass.
    pub fn is_granted(&self) -> bool {
        self.passage == Passage::Granted
    }
}
