//! What becomes of usage records.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::Named;
use crate::units::{Size, Span};

/// What becomes of usage records beside being added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// How long records stay in the journal after they are added up, so that totals can be made anew from them. Left out,
    /// they go at once.
    #[serde(default)]
    pub keep: Option<Span>,
    /// How many bytes of the journal may be kept so; beyond them the oldest records go earlier.
    #[serde(default = "four_gigabytes")]
    pub keep_bytes: Size,
    /// Where the records of companies go, each as an event, under names of your own. A record stays in the journal until
    /// each of them has it.
    #[serde(default)]
    pub events: Named<EventSink>,
}

/// A place that events go to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EventSink {
    /// A service that batches are posted to.
    Http(EventHttp),
    /// A file, an event a line; lines are added to its end.
    File(EventFile),
}

/// A service that batches are posted to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventHttp {
    /// Its URL, such as `http://127.0.0.1:8888/api/v1/events`.
    pub url: String,
    /// `cloud-events` or `lago`.
    #[serde(default)]
    pub form: EventForm,
    /// What is sent as `Authorization`, such as `Bearer ${file:token}`.
    #[serde(default)]
    pub authorization: Option<String>,
}

/// The form of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventForm {
    /// A batch of `CloudEvents` 1.0, as `OpenMeter` reads it.
    #[default]
    CloudEvents,
    /// A batch of events of Lago.
    Lago,
}

/// A file of events.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventFile {
    /// The file.
    pub path: PathBuf,
}

fn four_gigabytes() -> Size {
    Size::new(4 << 30)
}
