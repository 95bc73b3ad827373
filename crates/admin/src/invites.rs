//! `/rooms/{room}/invites`: promises of a place in a lane of a waiting room.

use axum::extract::State;
use axum::response::{IntoResponse, Json as Answer};
use problem::{Finding, Pointer};
use room_desk::{Made, New, Revoke, Revoked};
use serde_json::json;

use crate::Admin;
use crate::body::Json;
use crate::failure::Failure;
use crate::parts::{Asked, Named, Nothing, Stored};
use crate::rooms::{no_room, seconds, unavailable};

/// `POST /rooms/{room}/invites`: makes invites to a lane.
pub(crate) async fn make(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(new): Json<New>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let promise = new.promise(seconds(&admin)).map_err(|finding| Failure::invalid(&[finding]))?;
    let made = (0..new.count).map(|_| room.invite(&promise)).collect::<Result<Option<Vec<_>>, _>>();
    let no_lane = || Finding::new(&Pointer::default().at("lane"), "is no lane of the room in the configuration");
    let invites = made.map_err(unavailable)?.ok_or_else(|| Failure::invalid(&[no_lane()]))?;
    let made = Made::of(invites, promise.expires);
    let noted = json!({ "lane": new.lane, "uses": new.uses, "count": new.count, "expires": made.expires() });
    storage.partners.note("invited", ("room", &name), noted).await?;
    Ok(Answer(made))
}

/// `POST /rooms/{room}/invites/revoke`: takes invites back.
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(asked): Json<Revoke>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let listed = asked.listed().map_err(|finding| Failure::invalid(&[finding]))?;
    let revoked = room.revoke(listed, seconds(&admin)).await.map_err(unavailable)?;
    let revoked = revoked.map_err(|strange| Failure::invalid(&[Revoke::strange(strange)]))?;
    storage.partners.note("revoked", ("room-invites", &name), json!({ "revoked": revoked })).await?;
    Ok(Answer(Revoked { revoked }))
}
