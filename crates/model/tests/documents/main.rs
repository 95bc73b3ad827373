//! What operators see of documents: findings, canonical form, differences.

mod differences;
mod formatting;
mod given;
mod mistakes;
mod reading;
