//! Content codings: which of them a client likes best, and encoders that give what has come of each piece.
//!
//! Deliberately not here: which answers are worth it.

mod coding;
mod encoder;

pub use self::coding::{Coding, negotiated};
pub use self::encoder::{Encoder, Levels};
