//! What `cargo xtask bench` and `cargo xtask trial` do: Vestibule beside its peers, and in hard times.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

pub mod bench;
pub mod trial;
