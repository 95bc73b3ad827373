//! `/rooms/{room}/invites`: promises of a place in a lane of a waiting room.

use axum::extract::State;
use axum::response::{IntoResponse, Json as Answer};
use model::rooms::Moment;
use model::units::Span;
use problem::{Finding, Pointer};
use rooms::Promise;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Admin;
use crate::body::Json;
use crate::failure::Failure;
use crate::parts::{Asked, Named, Nothing, Stored};
use crate::rooms::{no_room, seconds, unavailable};

/// Invites that are wanted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRoomInvites")]
pub(crate) struct New {
    /// The lane by which those come who have one.
    lane: String,
    /// How often each can be used.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    uses: u32,
    /// How many.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    count: u32,
    /// For how long they can be used, such as `7d`.
    #[serde(default = "week")]
    valid: Span,
}

/// Invites. They are told once, and nobody can find them again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomInvites")]
pub(crate) struct Made {
    /// Each to be given to somebody.
    invites: Vec<String>,
    /// Until when they can be used.
    expires: String,
}

fn one() -> u32 {
    1
}

fn week() -> Span {
    Span::seconds(7 * 24 * 3600)
}

/// `POST /rooms/{room}/invites`: makes invites to a lane.
pub(crate) async fn make(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(new): Json<New>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let wrong =
        |member: &str, message: &str| Failure::invalid(&[Finding::new(&Pointer::default().at(member), message)]);
    if new.uses == 0 {
        return Err(wrong("uses", "is 0: nobody could use it"));
    }
    if !(1..=MOST).contains(&new.count) {
        return Err(wrong("count", "is not between 1 and 10000"));
    }
    let valid = u32::try_from(new.valid.duration().as_secs()).unwrap_or(u32::MAX);
    let expires = seconds(&admin).saturating_add(valid);
    let promise = Promise { lane: new.lane.as_str().into(), uses: new.uses, expires };
    let made = (0..new.count).map(|_| room.invite(&promise)).collect::<Result<Option<Vec<_>>, _>>();
    let invites =
        made.map_err(unavailable)?.ok_or_else(|| wrong("lane", "is no lane of the room in the configuration"))?;
    let expires = Moment::at(expires).to_string();
    let noted = json!({ "lane": new.lane, "uses": new.uses, "count": new.count, "expires": expires });
    storage.partners.note("invited", ("room", &name), noted).await?;
    Ok(Answer(Made { invites, expires }))
}

/// Invites at a time.
const MOST: u32 = 10_000;
