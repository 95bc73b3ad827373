//! What is done at certain times.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::Named;
use crate::units::Span;

/// Something that is done at certain times, by one node of those that share a store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// When: a cron expression of minute, hour, day of the month, month and day of the week, such as `30 2 * * MON-FRI`.
    /// `L` is the last day of a month, `5#3` the third Friday, `15W` the working day nearest to the 15th.
    pub at: String,
    /// The time zone of `at`, such as `Europe/Berlin`. A time that a change of clocks leaves out is run after the change, one
    /// that comes twice is run once.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// What is done.
    pub run: JobAction,
    /// What becomes of a time at which the run before is not over.
    #[serde(default)]
    pub overlap: Overlap,
    /// What becomes of times at which no node was there. They are reported either way.
    #[serde(default)]
    pub missed: Missed,
    /// How often a run is tried again that failed, after 10 seconds, 20, 40 and so on.
    #[serde(default)]
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// How many runs are remembered.
    #[serde(default = "a_hundred")]
    #[schemars(range(min = 1, max = 1000))]
    pub history: u32,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum JobAction {
    /// Asks an upstream.
    Call(JobCall),
    /// Makes the statements of the month before for every company that had a contract in it.
    Statements(JobStatements),
    /// Writes what was used on the day before, or in the month before, into a file.
    Export(JobExport),
    /// Closes every secret of the store with a new data key.
    RotateDataKey(Nothing),
}

/// Nothing to be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A request to an upstream. In path, headers and body, `{due}` stands for the time of the run, `{date}` and `{month}` for its
/// day and month in the job's time zone, `{last_date}` and `{last_month}` for those before, `{job}` and `{run}` for the names
/// of both; `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobCall {
    /// The upstream.
    pub upstream: String,
    /// The method.
    #[serde(default = "post")]
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers.
    #[serde(default)]
    pub headers: Named<String>,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// The statuses after which it is done. Left out, 200 to 299.
    #[serde(default)]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub expect: Vec<u16>,
    /// How long the upstream may take.
    #[serde(default = "thirty_seconds")]
    pub timeout: Span,
}

/// Statements of the month before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JobStatements {
    /// Whether they are closed, after which they never change, or left as drafts for somebody to look at.
    pub then: Statements,
}

/// What becomes of statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statements {
    /// They are left as drafts.
    #[default]
    Draft,
    /// They are closed.
    Close,
}

/// What was used, in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobExport {
    /// The file, CSV, in which `{last_date}` and the like stand for what they stand for in requests. One that is there is
    /// written anew.
    pub file: PathBuf,
    /// Of which time.
    #[serde(default)]
    pub of: Lately,
}

/// A time that is over, by UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lately {
    /// The day before.
    #[default]
    Day,
    /// The month before.
    Month,
}

/// What becomes of a time at which the run before is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is left out, which the history says.
    #[default]
    Skip,
    /// It is run once as soon as that run is over.
    Wait,
}

/// What becomes of times at which no node was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// The last of them is made up for, and so is a run that its node did not bring to an end.
    #[default]
    Run,
    /// They are left out.
    Skip,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn post() -> String {
    "POST".to_owned()
}

fn thirty_seconds() -> Span {
    Span::seconds(30)
}

fn a_hundred() -> u32 {
    100
}
