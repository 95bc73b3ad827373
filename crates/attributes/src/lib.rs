//! What expressions and templates say about an exchange: its attributes, conditions and keys over them, texts with them.
//!
//! Deliberately not here: policies. They stand above, and hand exchanges in.

pub mod attribute;
pub mod expression;
pub mod template;
