//! Other programs of this machine: run them, install what is missing, and put them under measurement.
//!
//! Deliberately not here: what is measured, and what was promised.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

pub mod packages;
pub mod process;
pub mod run;
