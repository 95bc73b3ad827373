//! Regression tests of rule sets, in the format of `go-ftw`, run against the engine in this process, or a gateway's sockets.
//!
//! A test file says what to send and what must be in the log. Here requests are completed as `go-ftw` completes them,
//! read as Apache reads them, judged by rules, and answered by a backend that reflects what it is asked to: the three of
//! which the tests of the OWASP Core Rule Set depend on. Deliberately not here: gateways, and the rules themselves.

mod backend;
mod file;
mod front;
mod log;
pub mod outside;
mod overrides;
mod request;
mod run;
mod yaml;

pub use self::file::{Expected, Input, Stage, Test, TestFile, read};
pub use self::front::{Head, Read, parse};
pub use self::overrides::Overrides;
pub use self::request::raw;
pub use self::run::{Failure, Report, judge, reflect, run, run_with, setup, transact, transact_with};

/// Why a test file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not YAML as test files have it.
    #[error("line {line}: {what}")]
    Yaml {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// It lacks something, or something in it is of another form: all that is wrong.
    #[error("{}", .0.join("; "))]
    Form(Vec<String>),
}
