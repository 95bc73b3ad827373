//! Tests, run and judged.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use regex::bytes::RegexBuilder;
use waf::{Environment, Evaluation, Moment, Phase, Response, Rules, Transaction, Verdict};

use crate::backend;
use crate::file::{Expected, Input, TestFile};
use crate::front::{Head, Read, parse};
use crate::{log, request};

/// A stage that did not come out as it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rule that the test is about.
    pub rule: u64,
    /// The number of the test.
    pub test: u64,
    /// The number of the stage, from 0.
    pub stage: usize,
    /// What is not as it must be.
    pub what: String,
    /// The rules that are in the log.
    pub logged: Vec<u64>,
}

/// What a request came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The status of the answer; none if there was no proper one.
    pub status: Option<u16>,
    /// The answer as it is sent.
    pub answer: Vec<u8>,
    /// The rules that are in the log, each as often as it is there.
    pub logged: Vec<u64>,
    /// The lines of the log.
    pub lines: Vec<String>,
}

/// Runs the tests of a file: how many passed, and those that did not.
pub fn run(rules: &Arc<Rules>, file: &TestFile, evaluation: Evaluation) -> (usize, Vec<Failure>) {
    run_with(rules, file, evaluation, &|_| {})
}

/// As [`run`], with something done to each transaction before its first phase.
pub fn run_with(
    rules: &Arc<Rules>,
    file: &TestFile,
    evaluation: Evaluation,
    prepare: &dyn Fn(&mut Transaction),
) -> (usize, Vec<Failure>) {
    let mut failures = Vec::new();
    let mut passed = 0;
    for test in &file.tests {
        let before = failures.len();
        for (stage, content) in test.stages.iter().enumerate() {
            let report = report(rules, &content.input, evaluation, prepare);
            failures.extend(judge(&content.expected, &report).map(|what| Failure {
                rule: file.rule,
                test: test.number,
                stage,
                what,
                logged: report.logged.clone(),
            }));
        }
        passed += usize::from(failures.len() == before);
    }
    (passed, failures)
}

/// Directives that tests expect around a rule set: what is read, and how, but no rule of the set itself.
pub fn setup() -> &'static str {
    SETUP
}

fn report(rules: &Arc<Rules>, input: &Input, evaluation: Evaluation, prepare: &dyn Fn(&mut Transaction)) -> Report {
    match parse(&request::raw(input)) {
        Read::Refused(status) => Report { status: Some(status), ..Report::default() },
        Read::Request(head) => transact_with(rules, &head, evaluation, prepare),
    }
}

/// Takes a request through all phases, and its answer.
pub fn transact(rules: &Arc<Rules>, head: &Head, evaluation: Evaluation) -> Report {
    transact_with(rules, head, evaluation, &|_| {})
}

/// The same, with what is said to a transaction before.
pub fn transact_with(
    rules: &Arc<Rules>,
    head: &Head,
    evaluation: Evaluation,
    prepare: &dyn Fn(&mut Transaction),
) -> Report {
    let environment =
        Environment { now: NOON, unique_id: "YmFhYWFhYWFhYWFhYWFh".into(), persistence: None, evaluation };
    let mut transaction = Transaction::new(Arc::clone(rules), environment);
    prepare(&mut transaction);
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    transaction.connection(local(50_000), local(80));
    transaction.request_line(&head.method, &head.target, if head.is_versioned { &head.protocol } else { b"" });
    for (name, value) in &head.headers {
        transaction.request_header(name, value);
    }
    let mut interrupted = interrupted(transaction.phase(Phase::RequestHead));
    if interrupted.is_none() {
        transaction.request_body(Bytes::copy_from_slice(&head.body));
        interrupted = self::interrupted(transaction.phase(Phase::RequestBody));
    }
    let mut answer = match interrupted {
        Some(status) => backend::Answer { status, headers: Vec::new(), body: Vec::new() },
        None => backend::answer(head),
    };
    transaction.response(&Response { protocol: b"HTTP/1.1", status: answer.status, reason: b"OK" });
    for (name, value) in &answer.headers {
        transaction.response_header(name.as_bytes(), value.as_bytes());
    }
    if interrupted.is_none() {
        interrupted = self::interrupted(transaction.phase(Phase::ResponseHead));
    }
    if interrupted.is_none() {
        transaction.response_body(&Bytes::from(answer.body.clone()));
        interrupted = self::interrupted(transaction.phase(Phase::ResponseBody));
    }
    transaction.phase(Phase::Logging);
    transaction.finish();
    answer.status = interrupted.unwrap_or(answer.status);
    Report {
        status: head.is_versioned.then_some(answer.status),
        answer: written(&answer),
        logged: log::ids(&transaction),
        lines: log::lines(&transaction),
    }
}

fn interrupted(verdict: Verdict) -> Option<u16> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Interrupt(intervention) => Some(intervention.status),
    }
}

fn written(answer: &backend::Answer) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} \r\n", answer.status);
    for (name, value) in &answer.headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    [text.as_bytes(), answer.body.as_slice()].concat()
}

/// What the backend answers that tests expect, as it is sent: `/reflect` is asked for an answer in the body.
pub fn reflect(method: &[u8], target: &[u8], body: &[u8]) -> Vec<u8> {
    let head = Head {
        method: method.to_vec(),
        target: target.to_vec(),
        protocol: b"HTTP/1.1".to_vec(),
        is_versioned: true,
        headers: Vec::new(),
        body: body.to_vec(),
    };
    written(&backend::answer(&head))
}

/// What of a stage is not as it must be.
pub fn judge(expected: &Expected, report: &Report) -> Option<String> {
    if let Some(error) = expected.expect_error
        && error != report.status.is_none()
    {
        return Some("there is a proper answer".into());
    }
    if let Some(status) = expected.status.filter(|status| Some(*status) != report.status) {
        return Some(format!("the status is {:?} and must be {status}", report.status));
    }
    if let Some(id) = expected.expect_ids.iter().find(|id| !report.logged.contains(id)) {
        return Some(format!("{id} is not in the log"));
    }
    if let Some(id) = expected.no_expect_ids.iter().find(|id| report.logged.contains(id)) {
        return Some(format!("{id} is in the log"));
    }
    if expected.isolated {
        let mut distinct = report.logged.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() != 1 {
            return Some("there is not exactly one rule in the log".into());
        }
    }
    let log = report.lines.join("\n");
    let matches = |pattern: &str, text: &[u8]| {
        RegexBuilder::new(pattern).unicode(false).build().is_ok_and(|pattern| pattern.is_match(text))
    };
    if expected.match_regex.as_deref().is_some_and(|pattern| !matches(pattern, log.as_bytes())) {
        return Some("the log does not match match_regex".into());
    }
    if expected.no_match_regex.as_deref().is_some_and(|pattern| matches(pattern, log.as_bytes())) {
        return Some("the log matches no_match_regex".into());
    }
    if expected.response_contains.as_deref().is_some_and(|pattern| !matches(pattern, &report.answer)) {
        return Some("the answer does not match response_contains".into());
    }
    None
}

/// Some time of a day that is long gone.
const NOON: Moment = Moment { seconds: 1_700_000_000, micros: 0, offset: 0 };

const SETUP: &str = r#"
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRequestBodyLimitAction Reject
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecResponseBodyLimit 524288
SecResponseBodyLimitAction ProcessPartial
SecArgumentSeparator &
SecCookieFormat 0
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "^application/[a-z0-9.-]+[+]json" \
    "id:200006,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecAction "id:900005,phase:1,nolog,pass,ctl:ruleEngine=DetectionOnly,ctl:ruleRemoveById=910000,\
    setvar:tx.blocking_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
    setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
    setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"
"#;
