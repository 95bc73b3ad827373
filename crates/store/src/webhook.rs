//! Webhooks: where changes are told to, how far that has come, and what became of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BadName, UnixMicros, WebhookName};

/// An endpoint that is told what changes. What it is signed with is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its name.
    pub name: WebhookName,
    /// Where it is.
    pub url: String,
    /// What it is told: kinds of events, such as `key.rotated`, `key.*` and `*`.
    pub kinds: Vec<String>,
    /// Why it is told nothing, if it is not.
    pub disabled: Option<Disabled>,
    /// When it was made.
    pub created: UnixMicros,
}

/// Since when an endpoint is told nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Since when.
    pub at: UnixMicros,
    /// Why, for people.
    pub because: String,
}

/// Whose progress.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProgressId(pub WebhookName);

/// How far an endpoint was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which endpoint.
    pub webhook: ProgressId,
    /// The entry of the audit log up to which everything was told.
    pub after: u64,
    /// Changes of the next entry that were told.
    pub told: usize,
    /// How often the next event was tried.
    pub attempts: u32,
    /// Since when the endpoint takes nothing, if it takes nothing.
    pub failing: Option<UnixMicros>,
    /// When it is told next at the earliest.
    pub due: UnixMicros,
    /// The process that tells it, and until when nobody else does.
    pub holder: String,
    /// Until when nobody else does.
    pub held: UnixMicros,
}

/// Which delivery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryId {
    /// To which endpoint.
    pub webhook: WebhookName,
    /// Of which event: its number in the audit log, with zeros in front, and its place there.
    pub event: String,
}

/// What became of an event on its way to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which one.
    #[serde(flatten)]
    pub id: DeliveryId,
    /// The kind of the event.
    pub kind: String,
    /// When it was tried last.
    pub at: UnixMicros,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether it was taken.
    pub taken: bool,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
    /// Why it was not taken, for people.
    pub error: Option<String>,
}

impl fmt::Display for ProgressId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.webhook, self.event)
    }
}

impl FromStr for DeliveryId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (webhook, event) = text.split_once('/').ok_or_else(|| BadName::Form(text.to_owned()))?;
        Ok(Self { webhook: webhook.parse()?, event: event.to_owned() })
    }
}
