//! The time.

use std::time::{SystemTime, UNIX_EPOCH};

use store::UnixMicros;

/// Now, by the wall.
#[expect(clippy::disallowed_methods, reason = "this is where a node's parts take the time from")]
pub fn now() -> UnixMicros {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    UnixMicros(u64::try_from(micros).unwrap_or(u64::MAX))
}
