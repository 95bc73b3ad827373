//! `/rooms`: waiting rooms, and the keys that sign their tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Json as Answer};
use problem::{Finding, Pointer, Problem};
use room_desk::{Draw, Hindrance, Imported, Key, Move, SetState, Shown};
use rooms::{KeptRoom, NoKeys, Trouble};
use serde_json::{Value, json};

use crate::body::Json;
use crate::failure::{CONFLICT, FAILED, Failure, STORE_UNAVAILABLE};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Nothing, Stored};
use crate::{Admin, Storage};

/// `GET /rooms`: lists them by name.
pub(crate) async fn list(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Asked(page): Asked<Page>,
) -> Result<Listed<Shown>, Failure> {
    let rooms = storage.rooms.names().into_iter().filter_map(|name| storage.rooms.named(&name));
    let shown = rooms.map(|room| shown(&room, &admin)).collect::<Result<Vec<_>, _>>()?;
    let after = page.after(|after| Some(after.to_owned()))?;
    page.out_of(shown, after.as_ref(), |room| room.name().to_owned(), |room| room)
}

/// `GET /rooms/{room}`: shows one.
pub(crate) async fn show(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    shown(&room, &admin).map(Answer)
}

/// `POST /rooms/{room}/keys`: has a key that another program made sign from now on.
pub(crate) async fn import_key(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(Imported { key }): Json<Imported>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let public_key = room.import_key(Value::Object(key), now(&admin)).await.map_err(not_taken)?;
    storage.partners.note("imported", ("room-key", &name), public_key.clone()).await?;
    Ok(Answer(Key { public_key }))
}

/// `POST /rooms/{room}/move`: moves the serving number.
pub(crate) async fn move_by(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(Move { by }): Json<Move>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let moved = room.move_by_hand(by, seconds(&admin)).await.map_err(unavailable)?;
    let shown = shown(&room, &admin)?;
    storage.partners.note("moved", ("room", &name), shown.moved(moved)).await?;
    Ok(Answer(shown))
}

/// `POST /rooms/{room}/state`: has it let visitors in or not, until somebody says otherwise.
pub(crate) async fn set_state(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(SetState { state }): Json<SetState>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let now = seconds(&admin);
    match state.state() {
        Some(state) => room.set_state(state, now).await.map_err(unavailable)?,
        None => room.follow_schedule(now).await.map_err(unavailable)?,
    };
    told(&room, &admin, &storage, "set").await
}

/// `POST /rooms/{room}/draw`: has lots drawn that wait for a public value.
pub(crate) async fn draw(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(Draw { public_value }): Json<Draw>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    if !room.draw(&public_value, seconds(&admin)).await.map_err(unavailable)? {
        let detail = "No lots wait to be drawn: the room has no lottery, has not opened, or they were drawn.";
        return Err(Problem::new(&CONFLICT).detail(detail).into());
    }
    told(&room, &admin, &storage, "drawn").await
}

/// `POST /rooms/{room}/reset`: begins everything in a room anew.
pub(crate) async fn reset(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    room.reset(seconds(&admin)).await.map_err(unavailable)?;
    told(&room, &admin, &storage, "reset").await
}

/// `POST /rooms/{room}/undo-reset`: takes a reset back, for an hour.
pub(crate) async fn undo_reset(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    if !room.restore(seconds(&admin)).await.map_err(unavailable)? {
        return Err(Problem::new(&CONFLICT).detail("There is no reset of the last hour.").into());
    }
    told(&room, &admin, &storage, "restored").await
}

/// Notes what was done with a room, and shows it.
pub(crate) async fn told(
    room: &KeptRoom,
    admin: &Admin,
    storage: &Storage,
    change: &str,
) -> Result<Answer<Shown>, Failure> {
    let shown = shown(room, admin)?;
    storage.partners.note(change, ("room", room.name()), json!(shown)).await?;
    Ok(Answer(shown))
}

fn shown(room: &KeptRoom, admin: &Admin) -> Result<Shown, Failure> {
    Shown::of(room, seconds(admin)).map_err(unavailable)
}

pub(crate) fn no_room(name: &str) -> Failure {
    Failure::not_found(format!("room `{name}` in the configuration"))
}

pub(crate) fn unavailable(trouble: Trouble) -> Failure {
    let (hindrance, detail) = Hindrance::of(&trouble);
    let kind = match hindrance {
        Hindrance::Others => &CONFLICT,
        Hindrance::Storage => &STORE_UNAVAILABLE,
        Hindrance::Other => &FAILED,
    };
    Problem::new(kind).detail(detail).because(trouble).into()
}

fn not_taken(error: NoKeys) -> Failure {
    match error {
        NoKeys::Signing(cause @ signing::Error::NoKeyPair(_)) => {
            Failure::invalid(&[Finding::new(&Pointer::default().at("key"), cause.to_string())])
        }
        other => Problem::new(&FAILED).detail("The key could not be kept.").because(other).into(),
    }
}

pub(crate) fn seconds(admin: &Admin) -> u32 {
    u32::try_from(now(admin)).unwrap_or(u32::MAX)
}

/// In seconds since 1970.
pub(crate) fn now(admin: &Admin) -> u64 {
    (admin.clock)().0 / 1_000_000
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::StatusCode;
    use rooms::{NotKept, Trouble};

    use super::unavailable;
    use crate::tester::Tester;

    #[test]
    fn what_keeps_a_room_from_being_changed_is_said_as_it_is() {
        for (cause, status) in
            [(NotKept::Elsewhere, 409), (NotKept::NotOurTurn, 409), (NotKept::NoRoom, 503), (NotKept::Away, 503)]
        {
            assert_eq!(unavailable(Trouble::NotKept(cause)).into_response().status().as_u16(), status, "{cause}");
        }
    }

    #[tokio::test]
    async fn a_room_that_no_document_has_is_not_found() {
        let tester = Tester::new();
        assert_eq!(tester.get("/rooms").await.json["items"].as_array().unwrap().len(), 0);
        tester.get("/rooms/sale").await.is_problem(StatusCode::NOT_FOUND, "not-found");
        let key = serde_json::json!({ "key": { "kty": "RSA" } });
        tester.post("/rooms/sale/keys", key).await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }
}
