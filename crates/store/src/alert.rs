//! Alerts: what is or was wrong, who was told, and what nobody wants to hear of.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{BadName, UnixMicros, UnknownWord};

/// Which alert: a hash of its rule and of what tells it from others of the rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlertId(String);

/// Something that is or was wrong. What is wrong again is the same alert, opened once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Which one.
    pub id: AlertId,
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
    pub since: UnixMicros,
    /// When it was seen last.
    pub seen: UnixMicros,
    /// How often what is wrong happened since then.
    pub count: u64,
    /// The id of an exchange that shows it.
    pub example: Option<String>,
    /// The nodes that see it, and until when that holds unless they say so again.
    pub nodes: BTreeMap<String, UnixMicros>,
    /// Since when it is over, if it is.
    pub over: Option<UnixMicros>,
    /// Whether it is over, and everybody was told who was to be.
    pub settled: bool,
    /// How often it was opened.
    pub times: u64,
    /// When it was opened first.
    pub first: UnixMicros,
    /// The silence for which nobody is told, if there is one.
    pub silence: Option<SilenceId>,
    /// What receivers were told since it was opened.
    pub told: BTreeMap<String, ToldAlert>,
}

/// What a receiver was told of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldAlert {
    /// What it took last; nothing, if it took nothing yet.
    pub stage: Option<AlertStage>,
    /// How bad the alert was then.
    pub level: AlertLevel,
    /// When it took that, or was tried last.
    pub at: UnixMicros,
    /// How often it was tried since it took something last.
    pub attempts: u32,
    /// Why it did not take the last notice, for people.
    pub error: Option<String>,
}

/// What is told of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertStage {
    /// It is open.
    Opened,
    /// It is open still.
    Reminded,
    /// It is over.
    Resolved,
}

/// How bad an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertLevel {
    /// Somebody should look at it in the next days.
    Warning,
    /// Somebody should look at it now.
    Error,
}

/// Which silence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SilenceId(String);

/// Alerts that nobody is told of for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Which one.
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
    pub until: UnixMicros,
    /// When it was made.
    pub created: UnixMicros,
}

/// Something that one process at a time does for all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// What it is.
    pub id: DutyId,
    /// The process that does it.
    pub holder: String,
    /// Until when nobody else does.
    pub held: UnixMicros,
}

/// Which duty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DutyId(String);

impl AlertId {
    /// The id that is this hash.
    pub fn of(hash: &[u8]) -> Self {
        Self(crate::hex(hash))
    }
}

impl SilenceId {
    /// One that is made now.
    pub fn at(now: UnixMicros) -> Self {
        Self(format!("{:016x}", now.0))
    }
}

impl DutyId {
    /// The duty of this name, which is a word.
    pub fn named(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for DutyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! in_digits {
    ($($id:ident)*) => { $(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $id {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
                if text.len() != DIGITS || !text.bytes().all(is_digit) {
                    return Err(BadName::Digits);
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $id {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.0
            }
        }

        impl JsonSchema for $id {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($id).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })
            }
        }
    )* };
}

in_digits! { AlertId SilenceId }

/// Hexadecimal digits of an id.
const DIGITS: usize = 16;

impl Alert {
    /// The label of alerts that are not over.
    pub const OPEN: &'static str = "open";
    /// The label of alerts that are over, which not everybody was told.
    pub const ENDING: &'static str = "ending";
    /// The label of alerts that are over.
    pub const OVER: &'static str = "over";

    pub(crate) fn state(&self) -> &'static str {
        match (self.over, self.settled) {
            (None, _) => Self::OPEN,
            (Some(_), false) => Self::ENDING,
            (Some(_), true) => Self::OVER,
        }
    }
}

crate::entity::words! {
    AlertStage: Opened "opened" Reminded "reminded" Resolved "resolved";
    AlertLevel: Warning "warning" Error "error";
}
