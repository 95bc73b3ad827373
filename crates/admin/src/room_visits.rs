//! `/rooms/{room}/...`: what the operators of a waiting room look at while it is under way.

use axum::extract::State;
use axum::response::{IntoResponse, Json as Answer};
use problem::Problem;
use room_desk::{End, Ended, History, SetInlet, ShownVisit};
use rooms::VisitState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use waiting_room::RequestId;

use crate::body::Json;
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, BAD_QUERY, Named, Nothing, Stored};
use crate::rooms::{no_room, seconds, told, unavailable};
use crate::{Admin, Storage, time};

/// Which visits are asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomVisitsQuestion")]
pub(crate) struct Question {
    /// Only those that are `active`, `completed`, `abandoned` or `expired`.
    state: Option<String>,
    /// The list goes on after this one: `next` of the page before.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

/// What an operator did with a room.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomEvent")]
pub(crate) struct Event {
    /// The number of the entry in the audit log.
    number: u64,
    at: Option<String>,
    actor: Value,
    /// What was done, such as `moved` or `reset`.
    change: Value,
    /// What it came to.
    shows: Value,
}

/// `GET /rooms/{room}/history`: how it went.
pub(crate) async fn history(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    Ok(Answer(History::of(&room, seconds(&admin))))
}

/// `GET /rooms/{room}/visits`: lists visits, the latest first.
pub(crate) async fn visits(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Question { state, after, limit }): Asked<Question>,
) -> Result<Listed<ShownVisit>, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let page = Page::new(after, limit);
    let state = state.map(|state| VisitState::ALL.into_iter().find(|known| known.name() == state).ok_or_else(no_state));
    let (state, before) = (state.transpose()?, page.after(|after| after.parse().ok())?);
    let (found, next) = room.visits(state, before, page.shown()?, seconds(&admin)).map_err(unavailable)?;
    Ok(Listed::new(found.into_iter().map(ShownVisit::from).collect(), next.map(|next| next.to_string())))
}

/// `POST /rooms/{room}/visits/{visit}/end`: ends a visit; its token opens nothing any more where sessions are checked.
pub(crate) async fn end(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named((name, id)): Named<(String, String)>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(end): Json<End>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let no_visit = || Failure::not_found(format!("visit `{id}` of the room `{name}` that has not ended"));
    let visit: RequestId = id.parse().map_err(|_none| no_visit())?;
    let (ending, state) = end.ending();
    if !room.end(visit, ending, seconds(&admin)).await.map_err(unavailable)? {
        return Err(no_visit());
    }
    let ended = Ended::of(visit, state);
    storage.partners.note("ended", ("room", &name), json!(ended)).await?;
    Ok(Answer(ended))
}

/// `POST /rooms/{room}/inlet`: sets the inlet, until somebody sets another one.
pub(crate) async fn set_inlet(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(set): Json<SetInlet>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let tuned = set.tuned().map_err(|finding| Failure::invalid(&[finding]))?;
    room.tune(tuned, seconds(&admin)).await.map_err(unavailable)?;
    told(&room, &admin, &storage, "tuned").await
}

/// `GET /rooms/{room}/events`: what operators did with it, the latest first, as far as the audit log tells without a search.
pub(crate) async fn events(
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(page): Asked<Page>,
) -> Result<Listed<Event>, Failure> {
    storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let last = last_entry(&storage).await?;
    let before = page.after(|after| after.parse().ok())?.map_or(last, |before: u64| before.saturating_sub(1).min(last));
    let from = before.saturating_sub(READ);
    let length = usize::try_from(before - from).unwrap_or(0);
    let mut found = Vec::new();
    for entry in storage.partners.noted(from, length).await?.into_iter().rev() {
        let says: Value = serde_json::from_str(&entry.body).unwrap_or_default();
        let said = |member: &str| says.get(member).unwrap_or(&Value::Null);
        let changes = said("changes").as_array().into_iter();
        let of_room = |change: &&Value| change["kind"] == "room" && change["id"] == *name;
        let Some(change) = changes.flatten().find(of_room) else { continue };
        let at = said("at").as_u64().map(|at| time::text(partners::UnixMicros(at)));
        let (change, shows) = (change["change"].clone(), change["now"].clone());
        found.push(Event { number: entry.number, at, actor: said("actor").clone(), change, shows });
        if found.len() == page.shown()? {
            break;
        }
    }
    let reached = if found.len() == page.shown()? { found.last().map_or(0, |event| event.number) } else { from + 1 };
    Ok(Listed::new(found, (reached > 1).then(|| reached.to_string())))
}

/// The number of the last entry of the audit log. Entries are numbered without gaps.
async fn last_entry(storage: &Storage) -> Result<u64, Failure> {
    let is_there = async |number: u64| Ok::<_, Failure>(!storage.partners.noted(number - 1, 1).await?.is_empty());
    let mut beyond = 1;
    while is_there(beyond).await? {
        beyond *= 2;
    }
    let mut there = beyond / 2;
    while there + 1 < beyond {
        let middle = there.midpoint(beyond);
        if is_there(middle).await? { there = middle } else { beyond = middle }
    }
    Ok(there)
}

fn no_state() -> Failure {
    let known = "`active`, `completed`, `abandoned` or `expired`";
    Problem::new(&BAD_QUERY).detail(format!("The query is wrong: `state` is {known}.")).into()
}

/// So many entries of the audit log are read at a time.
const READ: u64 = 1000;
