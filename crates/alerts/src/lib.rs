//! What counts as wrong, what is one thing that is wrong, and who is to be told of it when. No clock, no I/O.
//!
//! A node's [`Judge`] looks at its [`Readings`] and says what it sees; [`absorb`](book::absorb) makes one [`store::Alert`] of
//! what all nodes see of a thing; [`due`](book::due) says what a receiver is to be told of it, and a [`Notice`] how.
//! Deliberately not here: where alerts are kept, and how notices get to receivers.

pub mod book;
mod expiry;
mod judge;
mod notice;
mod readings;
mod rules;
mod shown;
mod sight;
mod window;

pub use self::judge::Judge;
pub use self::notice::{Dsn, Notice};
pub use self::readings::{Answers, Ending, Failure, Readings};
pub use self::rules::{Rule, Rules, Watch, compile};
pub use self::shown::{ShownAlert, ShownSilence, ShownTold, shown_silence};
pub use self::sight::{BEYOND, Scope, Sight, Verdict, job_is_well, job_trouble, overflow, quota};
