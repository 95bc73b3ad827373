//! What a request carries, for those who judge it: bodies taken apart, values transformed, attacks recognised.
//!
//! Everything is a pure function over bytes, because what attackers send need not be UTF-8. The semantics are those of
//! `ModSecurity` 2.9, the reference engine of the OWASP Core Rule Set, its peculiarities included: rules are written, and
//! tested, against them. Deliberately not here: rules, collections of variables, and what follows from a match.

mod bytes;
#[cfg(test)]
mod linear;

pub mod addresses;
pub mod arguments;
pub mod candidates;
pub mod cookies;
pub mod json;
pub mod multipart;
pub mod numbers;
pub mod phrases;
mod scan;
mod sqli;
pub mod transform;
pub mod validate;
#[cfg(test)]
mod verdicts;
pub mod xml;
mod xss;

pub use self::bytes::ByteSet;
pub use self::sqli::{Fingerprint, sqli};
pub use self::xss::xss;
