//! A job as its document has it, ready to be run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use model::Document;
use model::jobs::{Job as Written, JobAction, JobCall, JobExport, Lately, Missed, Overlap, Statements};
use model::read::advice;
use problem::{Finding, Pointer};
use store::JobName;

use crate::blanks::Blanks;
use crate::schedule::{NotASchedule, Schedule};

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// When it is due.
    pub schedule: Schedule,
    /// The same as it was written, with its time zone.
    pub written: String,
    /// What is done.
    pub action: Action,
    /// What becomes of a time at which the run before is not over.
    pub overlap: Overlap,
    /// What becomes of times at which no node was there.
    pub missed: Missed,
    /// How often a run is tried again that failed.
    pub retries: u32,
    /// How many runs are remembered.
    pub history: usize,
}

/// What is done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Asks an upstream.
    Call(Box<Call>),
    /// Makes statements of the month before.
    Statements(Statements),
    /// Writes into a file what was used.
    Export(Export),
    /// Closes secrets with a new data key.
    RotateDataKey,
}

/// A request to an upstream.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which one.
    pub upstream: String,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: Blanks,
    /// Headers.
    pub headers: Vec<(HeaderName, Blanks)>,
    /// The body.
    pub body: Blanks,
    /// The statuses after which it is done; if there are none, 200 to 299.
    pub expect: Vec<u16>,
    /// How long the upstream may take.
    pub timeout: Duration,
}

/// What was used, in a file.
#[derive(Clone, Debug)]
pub struct Export {
    /// The file.
    pub file: Blanks,
    /// Of which time.
    pub of: Lately,
}

/// The jobs of a document, or what is wrong with them, unless it follows from a part that is doubtful.
pub fn compile(
    document: &Document,
    is_doubtful: &dyn Fn(&Pointer) -> bool,
) -> Result<BTreeMap<JobName, Arc<Job>>, Vec<Finding>> {
    let (mut jobs, mut findings) = (BTreeMap::new(), Vec::new());
    let at = Pointer::default().at("jobs");
    if !document.jobs.is_empty() && document.store.is_none() && !is_doubtful(&Pointer::default().at("store")) {
        findings.push(Finding::new(&at, "need a store for what became of them; write `store: {embedded: ./data}`"));
    }
    if MOST < document.jobs.len() {
        findings.push(Finding::new(&at, format!("are {}; write {MOST} at most", document.jobs.len())));
    }
    for (name, written) in &document.jobs {
        let at = at.at(name);
        let mut compiling = Compiling { document, is_doubtful, findings: &mut findings };
        if let Some(job) = compiling.job(name, written, &at) {
            jobs.insert(job.name.clone(), Arc::new(job));
        }
    }
    if findings.is_empty() { Ok(jobs) } else { Err(findings) }
}

struct Compiling<'a> {
    document: &'a Document,
    is_doubtful: &'a dyn Fn(&Pointer) -> bool,
    findings: &'a mut Vec<Finding>,
}

impl Compiling<'_> {
    fn job(&mut self, name: &str, written: &Written, at: &Pointer) -> Option<Job> {
        let name = self.good(name.parse::<JobName>().map_err(|error| format!("cannot be its name: {error}")), at);
        let schedule = Schedule::read(&written.at, &written.time_zone);
        let member = if matches!(schedule, Err(NotASchedule::Zone(_))) { "time_zone" } else { "at" };
        let schedule = self.good(schedule.map_err(|error| error.to_string()), &at.at(member));
        let at = at.at("run");
        let action = match &written.run {
            JobAction::Call(call) => self.call(call, &at.at("call")).map(|call| Action::Call(Box::new(call))),
            JobAction::Statements(statements) => Some(Action::Statements(statements.then)),
            JobAction::Export(export) => self.export(export, &at.at("export")).map(Action::Export),
            JobAction::RotateDataKey(_) => Some(Action::RotateDataKey),
        };
        Some(Job {
            name: name?,
            schedule: schedule?,
            written: format!("{} {}", written.at, written.time_zone),
            action: action?,
            overlap: written.overlap,
            missed: written.missed,
            retries: written.retries,
            history: usize::try_from(written.history).unwrap_or(usize::MAX).max(1),
        })
    }

    fn call(&mut self, written: &JobCall, at: &Pointer) -> Option<Call> {
        let names: Vec<&str> = self.document.upstreams.keys().map(String::as_str).collect();
        let upstreams = Pointer::default().at("upstreams").at(&written.upstream);
        if !self.document.upstreams.contains_key(&written.upstream) && !(self.is_doubtful)(&upstreams) {
            let message = format!("there is no upstream `{}`{}", written.upstream, advice(&written.upstream, &names));
            self.findings.push(Finding::new(&at.at("upstream"), message));
        }
        let method = written.method.parse::<Method>();
        let method =
            self.good(method.map_err(|_invalid| format!("`{}` is no method", written.method)), &at.at("method"));
        let path = self.blanks(&written.path, &at.at("path"));
        let is_path = written.path.starts_with('/') && written.path.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_path {
            self.findings.push(Finding::new(&at.at("path"), "is no path: write one such as `/reports?day={date}`"));
        }
        let mut headers = Vec::new();
        for (name, value) in &written.headers {
            let at = at.at("headers").at(name);
            let value_is_fit = HeaderValue::from_str(value)
                .map(drop)
                .map_err(|_invalid| "cannot stand in a header: it has a line break or another control".to_owned());
            let known = name.parse::<HeaderName>().map_err(|_invalid| format!("`{name}` is no name of a header"));
            let blanks = self.blanks(value, &at);
            if let (Some(()), Some(name), Some(value)) = (self.good(value_is_fit, &at), self.good(known, &at), blanks) {
                headers.push((name, value));
            }
        }
        let body = self.blanks(&written.body, &at.at("body"));
        Some(Call {
            upstream: written.upstream.clone(),
            method: method?,
            path: path?,
            headers,
            body: body?,
            expect: written.expect.clone(),
            timeout: written.timeout.duration(),
        })
    }

    fn export(&mut self, written: &JobExport, at: &Pointer) -> Option<Export> {
        let file = self.blanks(&written.file.display().to_string(), &at.at("file"))?;
        Some(Export { file, of: written.of })
    }

    fn blanks(&mut self, text: &str, at: &Pointer) -> Option<Blanks> {
        self.good(Blanks::read(text), at)
    }

    fn good<T>(&mut self, read: Result<T, String>, at: &Pointer) -> Option<T> {
        read.map_err(|message| self.findings.push(Finding::new(at, message))).ok()
    }
}

impl Export {
    /// The file of a run.
    pub fn path(&self, facts: &crate::Facts<'_>) -> PathBuf {
        self.file.filled(facts).into()
    }
}

impl Call {
    /// What an answer's status comes to: what is said of a call that is done, or that failed.
    pub fn outcome(&self, status: u16) -> Result<String, String> {
        let said = format!("the upstream answered {status}");
        match self.expect.as_slice() {
            [] if (200..300).contains(&status) => Ok(said),
            [] => Err(said),
            expected if expected.contains(&status) => Ok(said),
            expected => {
                let expected = expected.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ");
                Err(format!("{said}, and {expected} is expected"))
            }
        }
    }
}

/// Jobs of a document, at most.
const MOST: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn compiled(jobs: &Value) -> Result<BTreeMap<JobName, Arc<Job>>, Vec<String>> {
        let document = json!({
            "version": 1, "listeners": {}, "store": { "embedded": "data" },
            "upstreams": { "crm": { "targets": ["http://127.0.0.1:1"] } }, "jobs": jobs,
        });
        let document = serde_json::from_value(document).unwrap();
        compile(&document, &|_| false).map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_job_is_what_was_written_with_what_is_usual() {
        let jobs = compiled(&json!({
            "nightly": { "at": "0 3 * * *", "run": { "call": { "upstream": "crm", "path": "/reports/{last_date}" } } },
            "statements": { "at": "0 6 1 * *", "run": { "statements": { "then": "close" } }, "missed": "skip" },
        }))
        .unwrap();

        let nightly = &jobs["nightly"];
        assert_eq!((nightly.missed, nightly.overlap, nightly.history), (Missed::Run, Overlap::Skip, 100));
        let Action::Call(call) = &nightly.action else { panic!() };
        assert_eq!(call.method, Method::POST);
        assert_eq!(call.outcome(204).as_deref(), Ok("the upstream answered 204"));
        assert_eq!(call.outcome(302).unwrap_err(), "the upstream answered 302");
        let picky = Call { expect: vec![202, 204], ..*call.clone() };
        assert!(picky.outcome(202).is_ok());
        assert_eq!(picky.outcome(200).unwrap_err(), "the upstream answered 200, and 202 or 204 is expected");
        assert!(matches!(jobs["statements"].action, Action::Statements(Statements::Close)));
    }

    #[test]
    fn every_mistake_is_found_where_it_is() {
        let call = |call: Value| json!({ "a": { "at": "0 3 * * *", "run": { "call": call } } });
        for (jobs, expected) in [
            (
                json!({ "A b": { "at": "0 3 * * *", "run": { "rotate-data-key": {} } } }),
                "/jobs/A b: cannot be its name",
            ),
            (json!({ "a": { "at": "hourly", "run": { "rotate-data-key": {} } } }), "/jobs/a/at: has 1 fields"),
            (
                json!({ "a": { "at": "0 3 * * *", "time_zone": "CET7", "run": { "rotate-data-key": {} } } }),
                "/jobs/a/time_zone: `CET7` is no time zone",
            ),
            (call(json!({ "upstream": "crn", "path": "/" })), "/jobs/a/run/call/upstream: there is no upstream `crn`"),
            (call(json!({ "upstream": "crm", "path": "x" })), "/jobs/a/run/call/path: is no path"),
            (call(json!({ "upstream": "crm", "path": "/{day}" })), "/jobs/a/run/call/path: has no blank `{day}`"),
            (
                call(json!({ "upstream": "crm", "path": "/", "method": "G T" })),
                "/jobs/a/run/call/method: `G T` is no method",
            ),
            (
                call(json!({ "upstream": "crm", "path": "/", "headers": { "a b": "c" } })),
                "/jobs/a/run/call/headers/a b: `a b` is no name of a header",
            ),
        ] {
            let findings = compiled(&jobs).unwrap_err();
            assert!(findings.len() == 1 && findings[0].starts_with(expected), "{findings:?}");
        }
    }
}
