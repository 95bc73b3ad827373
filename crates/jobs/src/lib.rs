//! What is done at certain times: cron expressions, which run is next, what becomes of runs that were missed. No clock, no I/O.
//!
//! [`Job::turn`] looks at what is kept of a job and says what to do now; whoever asks does it, and keeps what [`Turn`] says.
//! Deliberately not here: doing it, and seeing to it that only one node does.

mod blanks;
mod job;
mod schedule;
mod shown;
mod turn;

pub use self::blanks::{Blanks, Facts};
pub use self::job::{Action, Call, Export, Job, compile};
pub use self::schedule::{NotASchedule, Schedule};
pub use self::shown::{ShownJob, ShownRun, shown_run};
pub use self::turn::{Begin, Passed, Turn};
