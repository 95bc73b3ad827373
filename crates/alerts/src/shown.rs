//! Alerts and silences as operators and receivers see them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Alert, AlertId, AlertLevel, AlertStage, Silence, SilenceId, UnixMicros};

/// An alert as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Alert")]
pub struct ShownAlert {
    /// Its id: the same each time that the same thing is wrong.
    pub id: AlertId,
    /// `open` or `over`.
    pub state: &'static str,
    /// The name of its rule.
    pub rule: String,
    /// The kind of its rule.
    pub kind: String,
    /// How bad it is.
    pub level: AlertLevel,
    /// What is wrong, in one line.
    pub summary: String,
    /// What to do.
    pub advice: String,
    /// What tells it from other alerts of its rule.
    pub labels: BTreeMap<String, String>,
    /// Since when it is open, or was the last time.
    pub since: String,
    /// When it was seen last.
    pub seen: String,
    /// Since when it is over.
    pub over: Option<String>,
    /// How often what is wrong happened since it was opened.
    pub count: u64,
    /// The id of an exchange that shows it: `id` in access logs, `x-request-id` of problems.
    pub example: Option<String>,
    /// The nodes that see it.
    pub nodes: Vec<String>,
    /// How often it was opened.
    pub times: u64,
    /// When it was opened first.
    pub first: String,
    /// The silence for which nobody is told.
    pub silence: Option<SilenceId>,
    /// What receivers were told since it was opened.
    pub told: BTreeMap<String, ShownTold>,
}

/// What a receiver was told of an alert.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AlertTold")]
pub struct ShownTold {
    /// What it took last.
    pub stage: Option<AlertStage>,
    /// When it took that, or was tried last.
    pub at: String,
    /// How often it was tried since.
    pub attempts: u32,
    /// Why it did not take the last notice.
    pub error: Option<String>,
}

/// A silence as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Silence")]
pub struct ShownSilence {
    /// Its id.
    pub id: SilenceId,
    /// Only this alert.
    pub alert: Option<AlertId>,
    /// Only alerts of this rule.
    pub rule: Option<String>,
    /// Only alerts with these labels.
    pub labels: BTreeMap<String, String>,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: String,
    /// When it was made.
    pub created: String,
}

impl From<Alert> for ShownAlert {
    fn from(alert: Alert) -> Self {
        Self {
            id: alert.id,
            state: if alert.over.is_some() { "over" } else { "open" },
            rule: alert.rule,
            kind: alert.kind,
            level: alert.level,
            summary: alert.summary,
            advice: alert.advice,
            labels: alert.labels,
            since: text(alert.since),
            seen: text(alert.seen),
            over: alert.over.map(text),
            count: alert.count,
            example: alert.example,
            nodes: alert.nodes.into_keys().collect(),
            times: alert.times,
            first: text(alert.first),
            silence: alert.silence,
            told: alert
                .told
                .into_iter()
                .map(|(receiver, told)| {
                    let (stage, at, attempts, error) = (told.stage, text(told.at), told.attempts, told.error);
                    (receiver, ShownTold { stage, at, attempts, error })
                })
                .collect(),
        }
    }
}

/// A silence as it is shown.
pub fn shown_silence(silence: Silence) -> ShownSilence {
    let Silence { id, alert, rule, labels, reason, until, created } = silence;
    ShownSilence { id, alert, rule, labels, reason, until: text(until), created: text(created) }
}

/// A time as people and programs read it.
pub(crate) fn text(at: UnixMicros) -> String {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
