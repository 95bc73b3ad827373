//! A certificate authority's arithmetic: what may be signed, certificates, lists of revoked ones.
//!
//! Times are seconds since 1970. Deliberately not here: I/O, the clock, and where keys are kept.

mod certificate;
mod issuer;
mod request;

pub use self::certificate::{Certificate, Unfit, fingerprint, is_signed_by, issuer_key};
pub use self::issuer::{Authority, Error, Kept, Leaf, Reason, Revoked, list_as_pem};
pub use self::request::{Refused, Request};
