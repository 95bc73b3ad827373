//! The policy `waf`: the web application firewall's rules on the way of a request and of its answer.
//!
//! ```text
//! head ─▶ phase 1 ─▶ body ─▶ phase 2 ─▶ upstream ─▶ phases 3 and 4 ─▶ phase 5 ─▶ what was found
//! ```
//!
//! Sets of rules are compiled once and shared by all routes that name the same files; what routes exclude is said
//! beside them. Deliberately not here: the language of rules and their evaluation (`waf`), and where logs go.

mod audit;
mod collections;
mod exclusions;
mod inspection;
mod masking;
mod policy;
mod report;
mod rule_set;
mod settings;
mod shelf;
mod spares;
mod story;
mod workshop;

pub use self::collections::Collections;
pub use self::policy::{ANSWER_BLOCKED, BODY_UNINSPECTABLE, REQUEST_BLOCKED, Waf};
pub use self::report::Report;
pub use self::rule_set::{OWN, RuleSet};
pub use self::settings::{Config, anchor};
pub use self::shelf::Shelf;
pub use self::story::{Prepared, Story};
