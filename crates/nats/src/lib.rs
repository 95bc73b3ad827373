//! What a client of NATS that publishes to `JetStream` says and hears.
//!
//! A few lines of text: the crate `async-nats` is 27,000 lines, logs in by keys through a second stack of cryptography, and keeps
//! what it could not send in a queue of its own, where a journal keeps it already. Deliberately not here: I/O, and everything that
//! consumes.

mod nkey;
mod said;
mod say;

pub use self::nkey::{Seed, WrongSeed};
pub use self::said::{Info, Malformed, Message, Said};
pub use self::say::{Identity, connect, ping, pong, publish, subscribe};
