//! `vestibule admin job`: what is done at certain times, and what came of it.

use clap::Subcommand;

use super::call::{Answer, Call};

/// What is done at certain times.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists jobs.
    List,
    /// Shows a job.
    Show {
        /// Its name.
        name: String,
    },
    /// Lists what came of a job's runs, oldest first.
    Runs {
        /// The job's name.
        name: String,
    },
    /// Has a job run now, by whichever node looks first.
    Run {
        /// Its name.
        name: String,
    },
}

impl Command {
    pub(crate) fn call(&self) -> Call {
        match self {
            Self::List => {
                let columns = &["name", "schedule", "action", "next", "running_since", "last_ended", "last"];
                Call::get(&["jobs"], Answer::List(columns))
            }
            Self::Show { name } => Call::get(&["jobs", name], Answer::One),
            Self::Runs { name } => {
                let columns = &["due", "state", "times", "began", "ended", "tries", "by", "node", "said"];
                Call::get(&["jobs", name, "runs"], Answer::List(columns))
            }
            Self::Run { name } => Call::post(&["jobs", name, "run"], None, Answer::One),
        }
    }
}
