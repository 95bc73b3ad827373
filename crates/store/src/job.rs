//! Jobs: how far each has come, who runs it, and what became of its runs.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BadName, JobName, UnixMicros, UnknownWord};

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Which job.
    pub name: JobName,
    /// When it is due, as it was written: what is due by another schedule was not missed.
    pub schedule: String,
    /// The time up to which everything that was due is dealt with.
    pub after: UnixMicros,
    /// Who wants it to be run now, if somebody does.
    pub wish: Option<String>,
    /// The run that is under way, if one is.
    pub running: Option<Running>,
    /// When the last run ended.
    pub ended: Option<UnixMicros>,
    /// What became of the last run that ended.
    pub last: Option<RunState>,
}

/// A run that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Which run.
    pub run: RunId,
    /// The process that runs it.
    pub holder: String,
    /// Until when nobody else does.
    pub held: UnixMicros,
    /// The time that it is for.
    pub due: UnixMicros,
}

/// Which run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// Of which job.
    pub job: JobName,
    /// When it was begun or found to be missed, in microseconds since 1970 with zeros in front.
    pub run: String,
}

/// A run of a job, or times at which there was none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which one.
    #[serde(flatten)]
    pub id: RunId,
    /// What became of it.
    pub state: RunState,
    /// The time that it is for; of several that were missed, the last one.
    pub due: UnixMicros,
    /// When it began, or was found to be missed.
    pub began: UnixMicros,
    /// When it ended.
    pub ended: Option<UnixMicros>,
    /// How many times it stands for that were due.
    pub times: u32,
    /// Who wanted it, if it was not due.
    pub by: Option<String>,
    /// The node that ran it.
    pub node: String,
    /// How often it was tried.
    pub tries: u32,
    /// What came of it, for people.
    pub said: Option<String>,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It is under way.
    Running,
    /// It did what it should.
    Done,
    /// It did not.
    Failed,
    /// Its node ended before it did.
    Lost,
    /// There was none: the run before was not over.
    Skipped,
    /// There was none: no node was there.
    Missed,
}

impl RunState {
    /// Whether somebody should look at it.
    pub fn is_bad(self) -> bool {
        match self {
            Self::Failed | Self::Lost | Self::Missed => true,
            Self::Running | Self::Done | Self::Skipped => false,
        }
    }
}

impl RunId {
    /// A run that begins now.
    pub fn at(job: JobName, now: UnixMicros) -> Self {
        Self { job, run: format!("{:020}", now.0) }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.run)
    }
}

impl FromStr for RunId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (job, run) = text.split_once('/').ok_or_else(|| BadName::Form(text.to_owned()))?;
        if run.is_empty() || !run.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadName::Form(text.to_owned()));
        }
        Ok(Self { job: job.parse()?, run: run.to_owned() })
    }
}

crate::entity::words! {
    RunState: Running "running" Done "done" Failed "failed" Lost "lost" Skipped "skipped" Missed "missed";
}
