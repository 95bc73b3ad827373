//! Policies that limit: how many requests in a window, at which rate, and how many at once.
//!
//! The arithmetic stands in `limits`. Deliberately not here: other policies, which stand in `policies` with the catalog of all.

pub mod concurrency;
mod counted_by;
mod line;
pub mod quota;
mod rate_limit_fields;
pub mod spike_arrest;
