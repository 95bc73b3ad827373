//! A web application firewall's engine: reads rules in `SecLang`, and judges requests and answers by them.
//!
//! The semantics are those of `ModSecurity` 2.9, by which the OWASP Core Rule Set is tested. A set of rules is compiled
//! once ([`Rules`]); a [`Transaction`] is fed with what is known of a request and asked phase by phase. It is
//! synchronous and pure: time, identity and kept collections are given to it, and it reads nothing but rule files, when
//! they are loaded. Deliberately not here: HTTP, bodies on their way, logs, and what a gateway does with a verdict.

mod action;
mod chains;
mod context;
mod engine;
mod exclusion;
mod load;
mod operator;
mod prefilter;
mod rules;
mod seclang;
mod select;
mod settings;
mod slots;
mod target;
mod template;
mod values;
mod variable;

pub use self::action::{Audit, Masked, Processor};
pub use self::engine::{
    Difference, Environment, Evaluation, Intervention, Kept, Matched, Moment, Persistence, Place, Response,
    Transaction, Verdict,
};
pub use self::exclusion::Exclusions;
pub use self::rules::{Described, RuleAt, Rules, Source};
pub use self::seclang::{Named, Spot, matching};
pub use self::settings::{Beyond, Compatibility, CookieFormat, Engine, Settings};
pub use self::variable::Variable;

/// When in the course of a transaction rules run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Phase 1: the head of the request is known.
    RequestHead,
    /// Phase 2: its body is known.
    RequestBody,
    /// Phase 3: the head of the answer is known.
    ResponseHead,
    /// Phase 4: its body is known.
    ResponseBody,
    /// Phase 5: all is done, and nothing can be interrupted any more.
    Logging,
}

impl Phase {
    pub(crate) const COUNT: usize = 5;

    /// Its number in rules.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }
}
