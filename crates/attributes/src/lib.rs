//! What expressions and templates say about an exchange: its attributes, conditions and keys over them, texts with them;
//! and where else values are in requests and answers.
//!
//! Deliberately not here: policies. They stand above, and hand exchanges in.

pub mod answered;
pub mod attribute;
pub mod expression;
pub mod places;
pub mod record;
pub mod template;
