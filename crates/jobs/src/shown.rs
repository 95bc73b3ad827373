//! Jobs and their runs as operators see them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use store::{JobName, JobState, Run, RunState, UnixMicros};

use crate::Job;
use crate::job::Action;

/// A job as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub struct ShownJob {
    /// Its name in the configuration.
    pub name: JobName,
    /// When it is due: a cron expression and its time zone.
    pub schedule: String,
    /// What is done.
    pub action: &'static str,
    /// When it is due next.
    pub next: Option<String>,
    /// Since when a run is under way, if one is.
    pub running_since: Option<String>,
    /// When the last run ended.
    pub last_ended: Option<String>,
    /// What became of it.
    pub last: Option<RunState>,
    /// Who wants it to be run now, if somebody does and it has not begun.
    pub wanted_by: Option<String>,
}

/// A run as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobRun")]
pub struct ShownRun {
    /// Its name among the runs of its job.
    pub run: String,
    /// `running`, `done`, `failed`, `lost` (its node ended before it), `skipped` (the run before was not over) or `missed` (no
    /// node was there).
    pub state: RunState,
    /// The time that it is for; of several that were missed, the last one.
    pub due: String,
    /// When it began, or was found to be missed.
    pub began: String,
    /// When it ended.
    pub ended: Option<String>,
    /// How many times it stands for.
    pub times: u32,
    /// Who wanted it, if it was not due.
    pub by: Option<String>,
    /// The node that ran it.
    pub node: String,
    /// How often it was tried.
    pub tries: u32,
    /// What came of it.
    pub said: Option<String>,
}

impl Job {
    /// The job as it is shown, with what is kept of it.
    pub fn shown(&self, state: Option<&JobState>, now: UnixMicros) -> ShownJob {
        let running = state.and_then(|state| state.running.as_ref());
        ShownJob {
            name: self.name.clone(),
            schedule: self.written.clone(),
            action: match self.action {
                Action::Call(_) => "call",
                Action::Statements(_) => "statements",
                Action::Export(_) => "export",
                Action::RotateDataKey => "rotate-data-key",
            },
            next: self.schedule.next(now).map(text),
            running_since: running.and_then(|running| running.run.run.parse().ok()).map(UnixMicros).map(text),
            last_ended: state.and_then(|state| state.ended).map(text),
            last: state.and_then(|state| state.last),
            wanted_by: state.and_then(|state| state.wish.clone()),
        }
    }
}

/// A run as it is shown.
pub fn shown_run(run: Run) -> ShownRun {
    let Run { id, state, due, began, ended, times, by, node, tries, said } = run;
    let (due, began, ended) = (text(due), text(began), ended.map(text));
    ShownRun { run: id.run, state, due, began, ended, times, by, node, tries, said }
}

fn text(at: UnixMicros) -> String {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
