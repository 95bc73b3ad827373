//! Policies that limit: how many requests in a window, at which rate, how many at once, and what each of them counts for.
//!
//! The arithmetic stands in `limits`. Deliberately not here: other policies, which stand in `policies` with the catalog of all.

pub mod concurrency;
pub mod cost;
mod counted_by;
mod line;
pub mod quota;
mod rate_limit_fields;
pub mod spike_arrest;
