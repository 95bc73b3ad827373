//! Records of a journal, or of a log that several nodes write, on their way to services that want each as an event, at least once.
//!
//! What was sent is remembered only after it was confirmed: after a crash, what is not known to have arrived is sent again
//! with the same ids. A sink that is away costs disk and no record, unless its journal must not wait for it for ever.
//!
//! Deliberately not here: what records mean, which [`Records`] says.

mod export;
mod jetstream;
mod lag;
mod progress;
mod receiver;
mod shared;
mod signature;
mod sink;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::usage::EventForm;
use serde_json::Value;
use store::UnixMicros;

pub use self::export::{Begins, Export, Terms, consumer_of, run};
pub use self::lag::{OF_ROOMS, OF_USAGE, show};
pub use self::receiver::Receiver;
pub use self::shared::run_shared;
pub use self::signature::{is_secret, rfc3339, signed_headers};
pub use self::sink::Sink;

/// What the records of a journal are for those who are told of them.
pub trait Records: Send + Sync {
    /// Adds the events that a record is, in this form; none, if nobody is told of it.
    fn read(&self, record: &[u8], form: EventForm, events: &mut Vec<Value>) -> Result<(), Strange>;

    /// When what a record says was, in microseconds since 1970. None: nobody is told of it.
    fn at(&self, record: &[u8]) -> Result<Option<u64>, Strange>;
}

/// A newer version wrote a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strange;

/// What reads records, shared by all who export them.
pub type Reading = Arc<dyn Records>;

/// Now, by the wall.
#[expect(clippy::disallowed_methods, reason = "a sink is asked for at a time of the wall's clock")]
fn now() -> UnixMicros {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    UnixMicros(u64::try_from(micros).unwrap_or(u64::MAX))
}
