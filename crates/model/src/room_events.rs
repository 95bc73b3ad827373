//! Who is told what happens in waiting rooms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::upstream::ClientTls;
use crate::usage::{EventFile, EventNats};

/// Somebody who is told what happens in waiting rooms: an event each, at least once, in order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomEvents {
    /// Where events go.
    pub to: RoomEventTarget,
    /// Only what happens in these rooms. Left out, in all.
    #[serde(default)]
    pub rooms: Vec<String>,
    /// Only events of these types. Left out, of all.
    #[serde(default)]
    pub types: Vec<RoomEventType>,
}

/// Where events of waiting rooms go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RoomEventTarget {
    /// A program that is posted each event, signed as Standard Webhooks are.
    Webhook(RoomEventWebhook),
    /// A stream of NATS `JetStream`, a message an event.
    Nats(EventNats),
    /// A stream of Redis or Valkey, an entry an event.
    Redis(RoomEventRedis),
    /// A file, an event a line; lines are added to its end.
    File(EventFile),
    /// What the gateway says of itself.
    Log,
}

/// A program that is posted each event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomEventWebhook {
    /// Its URL, such as `https://shop.example/rooms`.
    pub url: String,
    /// What it knows the gateway by: `whsec_` and 16 bytes or more in base64, best by `${file:...}`.
    #[schemars(extend("writeOnly" = true))]
    pub secret: String,
    /// TLS towards it.
    #[serde(default)]
    pub tls: ClientTls,
}

/// A stream of Redis or Valkey. Each entry has the fields `type` and `event`, a `CloudEvents` 1.0 event in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomEventRedis {
    /// `redis://user:password@host:port/database`, or `rediss://...` with TLS.
    pub address: String,
    /// The name of the stream.
    pub stream: String,
    /// How many entries stay in it, more or less.
    #[serde(default = "million")]
    pub longest: u64,
}

fn million() -> u64 {
    1_000_000
}

/// What kind of thing happened in a waiting room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomEventType {
    /// Somebody took their turn.
    TokenGenerated,
    /// A visit came to its end.
    SessionUpdated,
    /// Turns that nobody took went to the next in line.
    AutomaticServingCounterIncr,
    /// What is counted, once a minute, in rooms with `metrics_events`.
    WaitingRoomMetrics,
    /// Somebody joined.
    VisitorJoined,
    /// The serving number was moved: so many more are admitted, or so many fewer.
    ServingCounterMoved,
    /// Turns were over that nobody took.
    PositionsExpired,
    /// Those were passed over who were not there.
    VisitorsSkipped,
    /// The room opened, for those who came before, too.
    RoomOpened,
    /// The room came to be in another state.
    StateChanged,
    /// Everything began anew.
    RoomReset,
    /// That was taken back.
    ResetUndone,
    /// Those who came before the opening drew lots for their places.
    LotsDrawn,
}
