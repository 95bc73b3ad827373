//! Who is told what goes wrong, and what counts as wrong.

use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::named::Named;
use crate::share::Share;
use crate::units::{Rate, Span};
use crate::upstream::ClientTls;

/// Who is told what goes wrong. With a receiver and nothing else, the usual rules hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Receivers of notices, under names of your own.
    pub to: Named<AlertReceiver>,
    /// What counts as wrong. A rule takes the place of the usual rule of its kind; several of one kind need a `name` each.
    #[schemars(length(max = 100))]
    pub rules: Vec<AlertRule>,
    /// Whether the usual rules hold of kinds that `rules` does not name: all but `budget`, which needs an objective.
    pub usual: Usual,
    /// How long something must be well again before its alert is over.
    pub calm: Span,
    /// How long after a notice another one says that an alert is still open; `0s` for never.
    pub remind: Span,
    /// Alerts that are open at a time. What is wrong beyond them is one alert more, which counts them.
    #[schemars(range(min = 1, max = 1000))]
    pub most_open: u32,
    /// How long alerts are kept that are over.
    pub keep: Span,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            to: Named::default(),
            rules: Vec::new(),
            usual: Usual::default(),
            calm: Span::seconds(5 * MINUTE),
            remind: Span::seconds(DAY),
            most_open: 50,
            keep: Span::seconds(30 * DAY),
        }
    }
}

/// Whether usual rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Usual {
    /// They do.
    #[default]
    On,
    /// They do not.
    Off,
}

/// Where notices go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AlertReceiver {
    /// A program that takes a signed event by POST for each notice, in the form of webhooks.
    Webhook(AlertWebhook),
    /// People, by mail.
    Mail(AlertMail),
    /// Sentry, or whatever else takes its envelopes.
    Sentry(AlertSentry),
}

/// A program that takes signed events.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertWebhook {
    /// Its URL, such as `https://ops.example/alerts`.
    pub url: String,
    /// What events are signed with, as Standard Webhooks write it: `whsec_` and a key in base64, best by `${file:...}`.
    #[schemars(extend("writeOnly" = true))]
    pub secret: String,
    /// TLS towards it.
    #[serde(default)]
    pub tls: ClientTls,
}

/// People, by mail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertMail {
    /// The server that mail is handed to (SMTP), with its port: `smtp.example:587`.
    pub server: String,
    /// The address that mail comes from, such as `Gateway <gateway@example.com>`.
    pub from: String,
    /// The addresses that it goes to.
    #[schemars(length(min = 1, max = 50))]
    pub to: Vec<String>,
    /// How the connection is encrypted.
    #[serde(default)]
    pub encryption: MailEncryption,
    /// Authorities (PEM) that sign the server's certificate. Left out, those that browsers trust.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The user, where the server asks for one; never sent without encryption.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password, best by `${file:...}`.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub password: Option<String>,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MailEncryption {
    /// It becomes so by STARTTLS, and nothing is sent if it cannot; usual at port 587.
    #[default]
    Starttls,
    /// It is so from its first byte; usual at port 465.
    Tls,
    /// It is not: for a server on the same machine.
    None,
}

/// A project of Sentry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertSentry {
    /// The DSN of the project, such as `https://KEY@sentry.example/4`.
    pub dsn: String,
    /// The environment that events belong to.
    #[serde(default = "production")]
    pub environment: String,
    /// TLS towards it.
    #[serde(default)]
    pub tls: ClientTls,
}

fn production() -> String {
    "production".to_owned()
}

/// What counts as wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AlertRule {
    /// Answers that failed, one alert for each route, kind of failure and upstream.
    Failures(FailuresRule),
    /// The share of an API's answers that failed.
    FailureRate(FailureRateRule),
    /// How fast the failures that an objective allows are being spent.
    Budget(BudgetRule),
    /// An upstream of which no target is in service.
    Upstream(ForRule),
    /// A sink of logs, of usage events or of events of waiting rooms that has taken nothing.
    SinkLag(ForRule),
    /// The journal of usage records when it fills up: requests are refused when it is full.
    UsageJournal(FillRule),
    /// A source of partners' records that gives no answers.
    RecordSource(ForRule),
    /// Certificates that expire: of listeners, of the gateway's authorities, and of partners.
    CertificateExpiry(BeforeRule),
    /// Keys of partners that expire, and have no successor.
    KeyExpiry(BeforeRule),
    /// Quotas that callers have used up, or nearly.
    Quota(QuotaRule),
    /// Jobs that failed, or were not run when they were due.
    Job(PlainRule),
}

/// Answers that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailuresRule {
    /// Its name. Left out, that of its kind.
    pub name: Option<String>,
    /// Only of these APIs. Left out, of all.
    pub apis: Vec<String>,
    /// How many of one group in which time are too many. Left out, `5/5m`.
    pub reach: Option<Rate>,
    /// Only these receivers. Left out, all.
    pub to: Vec<String>,
}

/// The share of answers that failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailureRateRule {
    /// Its name. Left out, that of its kind.
    pub name: Option<String>,
    /// Only of these APIs. Left out, of all.
    pub apis: Vec<String>,
    /// The share of an API's answers that is too much.
    pub reach: Share,
    /// The time that is looked at.
    pub within: Span,
    /// With fewer answers than this in that time, nothing is said.
    #[schemars(range(min = 1))]
    pub at_least: u64,
    /// Only these receivers. Left out, all.
    pub to: Vec<String>,
}

impl Default for FailureRateRule {
    fn default() -> Self {
        let (within, reach) = (Span::seconds(5 * MINUTE), Share::from_percent(5));
        Self { name: None, apis: Vec::new(), reach, within, at_least: 50, to: Vec::new() }
    }
}

/// How fast a budget of failures is spent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetRule {
    /// Its name. Left out, that of its kind.
    #[serde(default)]
    pub name: Option<String>,
    /// Only of these APIs. Left out, of all, each by itself.
    #[serde(default)]
    pub apis: Vec<String>,
    /// The share of answers that must not fail, such as `99.9%`.
    pub objective: Objective,
    /// The time that the objective is meant for.
    #[serde(default = "thirty_days")]
    pub per: Span,
    /// The share of the budget of all that time which is too much to be spent in a while.
    #[serde(default = "two_percent")]
    pub reach: Share,
    /// How long that while is, at most a day.
    #[serde(default = "an_hour")]
    pub within: Span,
    /// With fewer answers than this in that while, nothing is said.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1))]
    pub at_least: u64,
    /// Only these receivers. Left out, all.
    #[serde(default)]
    pub to: Vec<String>,
}

/// Something that must not last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForRule {
    /// Its name. Left out, that of its kind.
    pub name: Option<String>,
    /// How long it may last. Left out, 1m for upstreams, 10m for sinks, 5m for record sources.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
    /// Only these receivers. Left out, all.
    pub to: Vec<String>,
}

/// Something that must not fill up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FillRule {
    /// Its name. Left out, that of its kind.
    pub name: Option<String>,
    /// The share of all that it may have, by its limit and by the disk, which is too much.
    pub reach: Share,
    /// Only these receivers. Left out, all.
    pub to: Vec<String>,
}

impl Default for FillRule {
    fn default() -> Self {
        Self { name: None, reach: Share::from_percent(50), to: Vec::new() }
    }
}

/// Something that ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BeforeRule {
    /// Its name. Left out, that of its kind.
    pub name: Option<String>,
    /// How long before it ends something is said. Left out, 21d for certificates, 14d for keys.
    pub before: Option<Span>,
    /// Only these receivers. Left out, all.
    pub to: Vec<String>,
}

/// Quotas that are used up, or nearly.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaRule {
    /// Its name. Left out, that of its kind.
    pub name: Option<String>,
    /// The shares of a quota at which something is said, each once in a window.
    #[schemars(length(min = 1, max = 10))]
    pub at: Vec<Share>,
    /// Windows that are shorter than this are not looked at.
    pub windows_from: Span,
    /// Only these receivers. Left out, all.
    pub to: Vec<String>,
}

impl Default for QuotaRule {
    fn default() -> Self {
        let at = vec![Share::from_percent(80), Share::from_percent(100)];
        Self { name: None, at, windows_from: Span::seconds(60 * MINUTE), to: Vec::new() }
    }
}

/// Something that either is wrong or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlainRule {
    /// Its name. Left out, that of its kind.
    pub name: Option<String>,
    /// Only these receivers. Left out, all.
    pub to: Vec<String>,
}

/// A share of answers that must not fail, below all of them: `99%`, `99.95%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective(u32);

impl Objective {
    /// Of a million answers, how many may fail.
    pub const fn failures_of_a_million(self) -> u32 {
        1_000_000 - self.0
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        match format!("{rest:04}").trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            rest => write!(f, "{whole}.{rest}%"),
        }
    }
}

impl<'de> Deserialize<'de> for Objective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        objective(&text).map(Self).ok_or_else(|| {
            de::Error::custom(format!("`{text}` is no objective; write a share below `100%`, such as `99.9%`"))
        })
    }
}

fn objective(text: &str) -> Option<u32> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(rest) || 4 < rest.len() {
        return None;
    }
    let parts = whole.parse::<u32>().ok()?.checked_mul(10_000)?.checked_add(format!("{rest:0<4}").parse().ok()?)?;
    (0 < parts && parts < 1_000_000).then_some(parts)
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Objective {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Objective".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A share below all, such as `99.9%`.",
            "pattern": r"^\s*[0-9]{1,2}(\.[0-9]{1,4})?\s*%$",
            "examples": ["99.9%"],
        })
    }
}

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

fn thirty_days() -> Span {
    Span::seconds(30 * DAY)
}

fn two_percent() -> Share {
    Share::from_percent(2)
}

fn an_hour() -> Span {
    Span::seconds(60 * MINUTE)
}

fn fifty() -> u64 {
    50
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_objective_is_a_share_below_all_with_up_to_four_decimals() {
        for (text, failures, shown) in [
            ("99.9%", 1000, "99.9%"),
            ("99%", 10_000, "99%"),
            ("99.9990 %", 10, "99.999%"),
            ("5.05%", 949_500, "5.05%"),
        ] {
            let objective: Objective = serde_json::from_value(json!(text)).unwrap();
            assert_eq!((objective.failures_of_a_million(), objective.to_string().as_str()), (failures, shown));
        }
        for wrong in ["100%", "0%", "99.9", "99,9%", "-1%", "99.99999%", "%", ".5%"] {
            assert!(serde_json::from_value::<Objective>(json!(wrong)).is_err(), "{wrong}");
        }
    }
}
