//! What operators write.

pub mod units;
