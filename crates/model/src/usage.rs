//! What becomes of usage records.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::named::Named;
use crate::units::{Size, Span};
use crate::upstream::ClientTls;

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
    /// What becomes of a sink of `events` that is away for so long that 6 GiB of the journal, which has 8, wait for it.
    #[serde(default)]
    pub on_full: OnFullJournal,
}

/// What becomes of a sink of events that is away for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFullJournal {
    /// Everything waits for it, and once the journal is full requests are refused (503, `no-room-to-count`): none is served that
    /// is not billed.
    #[default]
    Refuse,
    /// It never gets the oldest events, of which the log tells and which are counted. The gateway's own totals have them.
    DropOldest,
}

/// A place that events go to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EventSink {
    /// A service that batches are posted to.
    Http(EventHttp),
    /// A stream of NATS `JetStream`, a message an event.
    Nats(EventNats),
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
    #[schemars(extend("writeOnly" = true))]
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

/// A stream of NATS `JetStream`. Each message is a `CloudEvents` 1.0 event in JSON with the header `Nats-Msg-Id`, the event's id, by
/// which the stream drops what it got twice. It counts as sent once the stream has acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventNats {
    /// Servers of one cluster, each with its port, such as `nats.example:4222`. Where one does not answer, the next is asked.
    #[schemars(length(min = 1))]
    pub servers: Vec<String>,
    /// The subject that is published to; a stream must take it.
    pub subject: String,
    /// The name of the stream that is to take it. Where another one would, nothing is taken.
    #[serde(default)]
    pub stream: Option<String>,
    /// Who logs in. Left out, servers must let anybody in.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub login: Option<NatsLogin>,
    /// TLS. Left out, plain TCP; `{}` trusts the authorities that browsers trust.
    #[serde(default)]
    pub tls: Option<ClientTls>,
}

/// Who logs in to NATS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum NatsLogin {
    /// A user with a password.
    User(NatsUser),
    /// A token, best by `${file:...}`.
    Token(String),
    /// The seed of a user's key (`SU...`), best by `${file:...}`.
    Nkey(String),
}

/// A user of NATS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsUser {
    /// The name.
    pub name: String,
    /// The password, best by `${file:...}`.
    #[schemars(extend("writeOnly" = true))]
    pub password: String,
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
