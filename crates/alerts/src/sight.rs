//! One thing that a node sees to be wrong, or well again.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use store::{AlertId, AlertLevel, UnixMicros};

use crate::rules::Rule;

/// One thing that a node sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The alert that it is.
    pub id: AlertId,
    /// The name of the rule.
    pub rule: String,
    /// The kind of the rule.
    pub kind: &'static str,
    /// How bad it is.
    pub level: AlertLevel,
    /// What is wrong, in one line.
    pub summary: String,
    /// What to do.
    pub advice: String,
    /// What tells it from others of the rule.
    pub labels: BTreeMap<String, String>,
    /// How often it happened since the node said so last.
    pub count: u64,
    /// The id of an exchange that shows it.
    pub example: Option<String>,
    /// Whether it is wrong.
    pub verdict: Verdict,
}

/// Whether something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is, and for so long unless it is said again.
    Wrong(Duration),
    /// It is well again, as far as this goes; its alert is over unless it is wrong again within a while.
    Well(Scope),
}

/// Who is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What this node sees.
    Here,
    /// What any node saw.
    Everywhere,
}

impl Sight {
    /// Something wrong that a rule finds, told from others by these labels.
    pub(crate) fn new(rule: &Rule, labels: &[(&str, &str)], summary: String) -> Self {
        let (name, kind) = (rule.name.as_str(), rule.watch.kind());
        Self {
            id: identified(name, labels),
            rule: name.to_owned(),
            kind,
            level: AlertLevel::Error,
            summary,
            advice: advice(kind).to_owned(),
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            count: 1,
            example: None,
            verdict: Verdict::Wrong(Duration::ZERO),
        }
    }

    pub(crate) fn warning(self) -> Self {
        Self { level: AlertLevel::Warning, ..self }
    }

    pub(crate) fn holding(self, holds: Duration) -> Self {
        Self { verdict: Verdict::Wrong(holds), ..self }
    }
}

/// The alert of a rule that these labels tell from others.
pub(crate) fn identified(rule: &str, labels: &[(&str, &str)]) -> AlertId {
    // No text has a zero in it that would make two lists one.
    let mut text = rule.to_owned();
    for (name, value) in labels {
        for part in [name, value] {
            text.push('\0');
            text.push_str(part);
        }
    }
    let hash = digest(&SHA256, text.as_bytes());
    AlertId::of(hash.as_ref().get(..8).unwrap_or_default())
}

/// The name of the rule of what is wrong beyond the alerts that may be open: it is always there.
pub const BEYOND: &str = "most_open";

/// What is wrong beyond the alerts that may be open.
pub fn overflow(most: usize, beyond: &Sight) -> Sight {
    let labels = BTreeMap::from([("last".to_owned(), beyond.summary.clone())]);
    Sight {
        id: identified(BEYOND, &[]),
        rule: BEYOND.to_owned(),
        kind: BEYOND,
        level: AlertLevel::Error,
        summary: format!("{most} alerts are open, and more is wrong that is only counted here"),
        advice: advice(BEYOND).to_owned(),
        labels,
        ..beyond.clone()
    }
}

/// A quota that somebody has used so far.
pub fn quota(rule: &Rule, (name, whom): (&str, &str), (share, limit): (u8, u64), left: Duration) -> Sight {
    let percent = format!("{share}%");
    let labels = [("quota", name), ("caller", whom), ("share", percent.as_str())];
    let used = if share >= 100 { "has used up".to_owned() } else { format!("has used {percent} of") };
    let sight = Sight::new(rule, &labels, format!("{whom} {used} its quota `{name}` of {limit}"));
    Sight { count: 0, ..sight.holding(left) }.warning()
}

/// A job that did not do what it should, or was not run.
pub fn job_trouble(rule: &Rule, job: &str, said: &str) -> Sight {
    Sight::new(rule, &[("job", job)], format!("job `{job}` {said}")).holding(LONG)
}

/// A job that did what it should.
pub fn job_is_well(rule: &Rule, job: &str) -> Sight {
    Sight { verdict: Verdict::Well(Scope::Everywhere), ..job_trouble(rule, job, "did what it should") }
}

/// What to do about alerts of a kind.
fn advice(kind: &str) -> &'static str {
    match kind {
        "failures" => {
            "Look for the example's id in the access log: it says what was answered and why. `status-...` is the upstream's \
             own answer, any other word is a problem of the gateway with its meaning under `/problems/`."
        }
        "failure-rate" | "budget" => {
            "See which alerts of the rule `failures` are open: they name route, kind and upstream."
        }
        "upstream" => {
            "Look at its targets: `vestibule admin status` shows which are in service; the log says why others are not."
        }
        "sink-lag" => {
            "Records wait on the disk and are not lost yet. See whether the sink answers; the log says what it said last."
        }
        "usage-journal" => {
            "Records stay in the journal until they are added up and each sink of `usage.events` has them. See which sink is \
             behind, or take it out of the configuration: then nothing waits for it any more."
        }
        "record-source" => {
            "Partners that are known are served from what is remembered, for as long as the policy allows. See whether the \
             source answers."
        }
        "certificate-expiry" => {
            "Put a new certificate in place: files are taken up within seconds, partners need theirs renewed."
        }
        "key-expiry" => "Rotate the key with `vestibule admin key rotate`, or say that it may end, with a silence.",
        "quota" => "Talk to the partner, or raise the quota of the product.",
        "job" => "`vestibule admin job runs NAME` says what came of it, `vestibule admin job run NAME` runs it now.",
        "most_open" => "Look at the open alerts first: `vestibule admin alert list`.",
        _ => "",
    }
}

/// Until somebody says that it is well.
const LONG: Duration = Duration::from_hours(40 * 24);

/// How long before `at` it is now, as text for people: `3d`, `5h`.
pub(crate) fn left(at: UnixMicros, now: UnixMicros) -> String {
    const HOUR: u64 = 3_600_000_000;
    match at.0.saturating_sub(now.0) / HOUR {
        hours @ 48.. => format!("{}d", hours / 24),
        hours @ 1.. => format!("{hours}h"),
        0 => "less than 1h".to_owned(),
    }
}
