//! Waiting rooms.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::share::Share;
use crate::units::Span;

/// A waiting room: visitors join a line, and get a signed token when their turn comes.
///
/// What visitors ask is answered by `waiting-room-api`, and what is behind the room is guarded by `waiting-room-token`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WaitingRoom {
    /// The id of the event, which every question names. Left out, the room's name.
    pub event: Option<String>,
    /// The tokens that visitors get.
    pub token: RoomToken,
    /// For how long a turn can be taken. Left out, for ever.
    pub position_expiry: Option<Span>,
    /// What becomes of turns that nobody takes in time.
    pub expired_turns: ExpiredTurns,
    /// What raises the serving number by itself. Left out, nothing does.
    pub inlet: Option<Inlet>,
    /// When somebody who waits counts as absent, so that the next in line gets their turn. Left out, everybody counts as there.
    pub presence: Option<RoomPresence>,
    /// When the room opens and closes. Left out, it is open.
    pub schedule: Option<RoomSchedule>,
    /// Has those who come before the room opens draw lots for their places. Left out, they stand in the order in which they came.
    pub lottery: Option<RoomLottery>,
    /// Lanes beside everybody's, by name. Who has an invite to one joins by it.
    pub lanes: BTreeMap<String, RoomLane>,
    /// How large a share of everybody's lane one network may have. Left out, there is no bound.
    pub caps: Option<RoomCaps>,
    /// Has browsers compute something before they join. Left out, they need not.
    pub proof_of_work: Option<RoomWork>,
    /// What visitors see while they wait.
    pub page: RoomPage,
    /// What the room is for OpenID clients. Left out, it is nothing for them.
    pub openid: Option<RoomOpenId>,
    /// Whether what is counted is an event of `room_events` each minute, as with `EnableEventsGeneration`.
    pub metrics_events: bool,
    /// When a place counts as given.
    pub durability: RoomDurability,
    /// Whether accidents of "Virtual Waiting Room on AWS" are repeated where a client can tell.
    pub compatibility: RoomCompatibility,
}

/// The tokens of a waiting room.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoomToken {
    /// Who issues them (`iss`), usually the address of the room's public API. Left out, `vestibule:room:` and the room's name.
    pub issuer: Option<String>,
    /// For how long they hold.
    pub validity: Span,
}

impl Default for RoomToken {
    fn default() -> Self {
        Self { issuer: None, validity: Span::seconds(3600) }
    }
}

/// What visitors see while they wait: a page in their language, which needs no scripts and loads nothing from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoomPage {
    /// What is waited for, such as `Tickets for the summer festival`. Left out, it is not named.
    pub title: Option<String>,
    /// A picture, at most 32 KiB: `${file:logo.svg}`, or an address such as `data:image/png;base64,...`.
    pub logo: Option<String>,
    /// The form of the page, best by `${file:...}`: HTML with `{{lang}}`, `{{dir}}`, `{{head}}`, `{{room}}` and
    /// `{{languages}}`, and with `{{logo}}` and `{{title}}` if it wants to. It may have styles, and no scripts.
    pub template: Option<String>,
    /// The language of those who accept none of the page's, such as `de`. Left out, `en`.
    pub language: Option<String>,
    /// Texts that are otherwise, by language and name, such as `{de: {waiting: "Gleich geht es los"}}`. A language that the
    /// page does not have is added if all its texts are given.
    pub texts: BTreeMap<String, BTreeMap<String, String>>,
}

/// A waiting room as an OpenID provider with one client, whose name is the event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomOpenId {
    /// The address of the API with `waiting-room-api` that serves `openid`. Tokens that it gets name it as their issuer.
    pub issuer: String,
    /// What the client proves itself with, best by `${env:...}` or `${file:...}`.
    #[schemars(extend("writeOnly" = true))]
    pub client_secret: String,
    /// Where browsers may be sent back to, exactly as written.
    #[schemars(length(min = 1))]
    pub redirect_uris: Vec<String>,
    /// A page of your own where people join. It gets `client_id`, `redirect_uri`, `response_type`, `state` and `scope`, and
    /// leads back to `redirect_uri` with `state` and the request id as `code`. From a client that sends a `nonce` it gets that,
    /// too, and leads to `authorize` with all that it got and the `request_id`, which leads back. Left out, people wait on the
    /// room's own page.
    #[serde(default)]
    pub login: Option<String>,
}

/// Who is there when their turn comes: whoever asks by their `request_id`, or by the cookie of `waiting-room`, or watches with
/// their `request_id`. The turn of somebody absent goes to the next in line at once, when the room's inlet lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoomPresence {
    /// After how long without a sign of them somebody is absent.
    pub absent_after: Span,
    /// For how long after their turn came somebody absent may come back and take it.
    pub grace: Span,
}

impl Default for RoomPresence {
    fn default() -> Self {
        Self { absent_after: Span::seconds(90), grace: Span::seconds(300) }
    }
}

/// When a waiting room opens and closes, such as `{opens: "2026-12-01T10:00:00Z"}`.
///
/// What an operator sets holds against it, until an operator sets something else or the room closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoomSchedule {
    /// Since when visitors gather: they join, and nobody is let in. Before that nobody can join. Left out, nobody gathers.
    pub pre_queue: Option<Moment>,
    /// Since when visitors are let in. Left out, an operator opens.
    pub opens: Option<Moment>,
    /// Since when it is over: nobody can join or is let in. Who is in stays in. Left out, an operator closes.
    pub closes: Option<Moment>,
}

/// What becomes of turns that nobody takes in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExpiredTurns {
    /// Whoever is next in line gets them.
    #[default]
    PassedOn,
    /// They are lost until somebody raises the serving number.
    Lost,
}

/// A lottery among those who come before a room opens: each of them is as likely to be first as any other.
///
/// What the order follows from is fixed before anybody comes, and told afterwards, so that everybody can check the draw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoomLottery {
    /// A public value that nobody can know before the room opens, in words, such as `drand, first round after 10:00 UTC`. The
    /// draw then waits until an operator gives it. Left out, lots are drawn when the room opens.
    pub waits_for: Option<String>,
}

/// A lane of a waiting room. A number in line is for one lane, and there is one serving number for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomLane {
    /// Its share of turns, such as `10%`. What all lanes leave is everybody's. Turns that nobody of a lane wants are passed over.
    pub share: Share,
    /// How many visitors may come by it. Left out, there is no bound.
    #[serde(default)]
    pub quota: Option<u32>,
}

/// How large a share of everybody's lane one network may have. Who comes from one that has its share joins by the slow lane.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoomCaps {
    /// The share of a /24 of IPv4 and of a /64 of IPv6, which is a house, a company or a part of a mobile network.
    pub network: Share,
    /// The share of a /16 of IPv4 and of a /48 of IPv6.
    pub wide_network: Share,
    /// So many may come from a network in any case.
    pub allowance: u32,
    /// The share of all networks that one operator announces, wherever they are. Left out, these are not counted together.
    pub asn: Option<RoomAsn>,
    /// The slow lane's share of turns.
    pub slow_lane: Share,
}

/// Who announces which networks: the number of an autonomous system for each address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomAsn {
    /// A file of AS numbers in the format of `MaxMind`, such as `GeoLite2-ASN.mmdb`. It is read again when it changes.
    pub file: PathBuf,
    /// The share of what one of them announces: a company, or a large provider.
    #[serde(default = "twenty_per_cent")]
    pub share: Share,
}

fn twenty_per_cent() -> Share {
    Share::from_percent(20)
}

impl Default for RoomCaps {
    fn default() -> Self {
        let [network, wide_network, slow_lane] = [1, 5, 5].map(Share::from_percent);
        Self { network, wide_network, allowance: 20, asn: None, slow_lane }
    }
}

/// What a browser computes before it joins. It takes a moment for one place, and long for ten thousand.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoomWork {
    /// How many bits of a digest have to be zero: each one more takes twice as long. 18 takes a second on a laptop, and a few on
    /// a telephone.
    #[schemars(range(min = 1, max = 32))]
    pub difficulty: u8,
    /// For how long a challenge can be answered.
    pub valid: Span,
    /// What becomes of those who compute nothing, because they cannot or do not want to.
    pub without: RoomWithoutWork,
}

impl Default for RoomWork {
    fn default() -> Self {
        Self { difficulty: 18, valid: Span::seconds(300), without: RoomWithoutWork::SlowLane }
    }
}

/// What becomes of those who compute nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomWithoutWork {
    /// They join by the slow lane, whose share of turns is said in `caps`, or else 5%.
    #[default]
    SlowLane,
    /// They cannot join. Who has no scripts, or an old device, is left out then.
    Refused,
}

/// What raises the serving number by itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Inlet {
    /// So many come in every so often.
    Periodic(PeriodicInlet),
    /// So many are in at a time: the site tells the room's private API who left (`update_inlet`).
    MaxSize(MaxSizeInlet),
    /// As many as what is behind the room bears, by what it answers to those whom `waiting-room` or `waiting-room-token` lets
    /// through.
    Adaptive(AdaptiveInlet),
}

/// So many come in every so often.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodicInlet {
    /// How many.
    pub by: u32,
    /// How often.
    #[serde(default = "minute")]
    pub every: Span,
    /// Only after this moment, such as `2026-12-01T10:00:00Z`.
    #[serde(default)]
    pub from: Option<Moment>,
    /// Only before this one.
    #[serde(default)]
    pub until: Option<Moment>,
    /// Nobody while an alert of this rule of `alerts` is open.
    #[serde(default)]
    pub unless_alert: Option<String>,
}

fn minute() -> Span {
    Span::seconds(60)
}

/// So many are in at a time. Whoever may come in counts as in until the turn is over, so have turns expire by `position_expiry`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaxSizeInlet {
    /// How many.
    pub size: u32,
}

/// As many as what is behind the room bears: more while it answers faster than `latency`, fewer while it answers slower or fails,
/// nobody while its circuit is open. Visitors who do not come when it is their turn are made up for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveInlet {
    /// What 95 of 100 answers shall take at most, to their first byte.
    pub latency: Span,
    /// The part of answers that may fail, by a status of 5xx or because there is none.
    #[serde(default = "five_percent")]
    pub failures: Share,
    /// Nobody comes in while so many requests are under way.
    #[serde(default)]
    pub in_flight: Option<u32>,
    /// How many come in at least in a minute.
    #[serde(default = "one_a_second")]
    pub least_per_minute: u32,
    /// How many come in at most in a minute.
    pub most_per_minute: u32,
    /// How long it takes until a visitor who comes in shows in what is answered: the longer a visit, the more slowly it is steered.
    #[serde(default = "second")]
    pub settles: Span,
}

fn five_percent() -> Share {
    Share::from_percent(5)
}

fn one_a_second() -> u32 {
    60
}

fn second() -> Span {
    Span::seconds(1)
}

/// When a place counts as given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomDurability {
    /// When it is on the disk: no loss of power takes it back.
    #[default]
    Disk,
    /// When the end of the process cannot take it back, `kill -9` included. It is on the disk within a second.
    Process,
}

/// Whether accidents of "Virtual Waiting Room on AWS" are repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomCompatibility {
    /// What it promises holds, also where it breaks the promise itself.
    #[default]
    Mended,
    /// Everything is as it does it, but for its outright faults.
    Strict,
}

/// A moment, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u32);

impl Moment {
    /// The moment that is so many seconds after the beginning of 1970.
    pub const fn at(seconds: u32) -> Self {
        Self(seconds)
    }

    /// In seconds since 1970.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

/// The text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a moment such as `2026-12-01T10:00:00Z` or `2026-12-01T10:00:00+01:00`")]
pub struct NoMoment(String);

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let wrong = || NoMoment(text.to_owned());
        let moment: jiff::Timestamp = text.parse().map_err(|_no_timestamp| wrong())?;
        moment.as_second().try_into().map(Self).map_err(|_beyond| wrong())
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No moment of this type is beyond what can be written.
        jiff::Timestamp::from_second(self.0.into()).map_err(|_beyond| fmt::Error)?.fmt(f)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "moment", "description": "A moment, such as `2026-12-01T10:00:00Z`.",
            "examples": ["2026-12-01T10:00:00Z"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_with_its_zone() {
        for (text, seconds) in [("1970-01-01T00:01:00Z", 60), ("1970-01-01T01:01:00+01:00", 60)] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.seconds(), seconds);
            assert_eq!(serde_json::to_value(moment).unwrap(), "1970-01-01T00:01:00Z");
        }
        for wrong in ["", "60", "1970-01-01", "1970-01-01T00:01:00", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
