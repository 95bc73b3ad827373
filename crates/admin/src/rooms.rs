//! `/rooms`: waiting rooms, and the keys that sign their tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Json as Answer};
use problem::{Finding, Pointer, Problem};
use rooms::{KeptRoom, NoKeys, Trouble};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use waiting_room::{Adaptive, MaxSize, PassOn, Periodic};

use crate::body::Json;
use crate::failure::{CONFLICT, FAILED, Failure};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Nothing, Stored};
use crate::{Admin, Storage};

/// A waiting room as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WaitingRoom")]
pub(crate) struct Shown {
    name: String,
    /// The event that it is for.
    event: String,
    /// Whether it lets visitors in: `idle`, `pre-queue`, `open`, `paused`, `closed` or `passing-everybody`.
    state: &'static str,
    /// Places that were given.
    queue_counter: u32,
    /// Every place up to this one may take its turn.
    serving_counter: i64,
    /// Visitors who took their turn.
    token_counter: u32,
    /// Turns that somebody else got because nobody took them.
    expired_queue_counter: u64,
    /// Visitors who wait.
    waiting: i64,
    /// Visits that have not ended, and whose token holds.
    active: u64,
    /// Visits that came to a good end.
    completed: u32,
    /// Visits that came to another end.
    abandoned: u32,
    /// For how many seconds a turn can be taken; absent where it is for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    position_expiry: Option<u32>,
    /// Whether turns that nobody takes go to the next in line.
    passes_on: bool,
    /// For how many seconds a token holds.
    validity: u32,
    /// What raises the serving number by itself.
    inlet: ShownInlet,
    /// Whether an operator set the inlet, whatever the document says.
    is_tuned: bool,
}

/// What raises the serving number of a waiting room by itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RoomInlet")]
enum ShownInlet {
    /// Nothing does.
    Manual,
    /// The clock.
    Periodic {
        /// So many come in,
        by: u32,
        /// every so many seconds,
        every: u32,
        /// after this moment, in seconds since 1970; 0: at once,
        from: u32,
        /// and before this one.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<u32>,
    },
    /// Those who leave.
    MaxSize {
        /// So many are in at a time.
        size: u32,
    },
    /// What is behind the room, by what it answers.
    Adaptive {
        /// At least so many come in a minute,
        least: u32,
        /// and at most so many.
        most: u32,
    },
}

/// A key that another program made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportedRoomKey")]
pub(crate) struct Imported {
    /// The private RSA key as a JWK, with its `kid`.
    key: Map<String, Value>,
}

/// How the serving number moves.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomMove")]
pub(crate) struct Move {
    /// By how much. It may be less than nothing.
    by: i64,
}

/// A value that nobody could know before a room opened.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomDraw")]
pub(crate) struct Draw {
    /// The value, exactly as everybody can read it.
    #[schemars(length(max = 1024))]
    public_value: String,
}

/// Whether a waiting room shall let visitors in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomState")]
pub(crate) struct SetState {
    /// What it shall be.
    state: Wanted,
}

/// What a waiting room shall be.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "WantedRoomState")]
pub(crate) enum Wanted {
    /// Nobody can join.
    Idle,
    /// Visitors join, and nobody is let in before it opens.
    PreQueue,
    /// Visitors join, and are let in.
    Open,
    /// Visitors join, and nobody is let in for the moment.
    Paused,
    /// Nobody can join, and nobody is let in any more.
    Closed,
    /// Whoever comes passes.
    PassingEverybody,
    /// What its schedule says; without one it is open.
    Scheduled,
}

/// The key that signs a room's tokens.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomKey")]
pub(crate) struct Key {
    /// Its public half as a JWK.
    public_key: Value,
}

/// `GET /rooms`: lists them by name.
pub(crate) async fn list(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Asked(page): Asked<Page>,
) -> Result<Listed<Shown>, Failure> {
    let rooms = storage.rooms.names().into_iter().filter_map(|name| storage.rooms.named(&name));
    let shown = rooms.map(|room| shown(&room, &admin)).collect::<Result<Vec<_>, _>>()?;
    let after = page.after(|after| Some(after.to_owned()))?;
    page.out_of(shown, after.as_ref(), |room| room.name.clone(), |room| room)
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
    room.move_by(by, seconds(&admin)).await.map_err(unavailable)?;
    told(&room, &admin, &storage, "moved").await
}

/// `POST /rooms/{room}/state`: has it let visitors in or not, until somebody says otherwise.
pub(crate) async fn set_state(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(SetState { state }): Json<SetState>,
) -> Result<impl IntoResponse, Failure> {
    use waiting_room::State as Is;
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let state = match state {
        Wanted::Idle => Some(Is::Idle),
        Wanted::PreQueue => Some(Is::PreQueue),
        Wanted::Open => Some(Is::Open),
        Wanted::Paused => Some(Is::Paused),
        Wanted::Closed => Some(Is::Closed),
        Wanted::PassingEverybody => Some(Is::PassingEverybody),
        Wanted::Scheduled => None,
    };
    let now = seconds(&admin);
    match state {
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
    let counters = room.counters().map_err(unavailable)?;
    let (now, settings) = (seconds(admin), room.settings());
    let (inlet, is_tuned) = room.inlet().map_err(unavailable)?;
    Ok(Shown {
        name: room.name().to_string(),
        event: settings.event.to_string(),
        state: counters.state.name(),
        queue_counter: counters.queue,
        serving_counter: counters.serving,
        token_counter: counters.tokens,
        expired_queue_counter: counters.expired,
        waiting: counters.waiting(),
        active: room.look(|room| room.active(now)).map_err(unavailable)?,
        completed: counters.completed,
        abandoned: counters.abandoned,
        position_expiry: settings.rules.expiry.map(|expiry| expiry.period),
        passes_on: settings.rules.expiry.is_some_and(|expiry| expiry.pass_on == PassOn::ToTheNext),
        validity: settings.validity,
        is_tuned,
        inlet: match inlet {
            rooms::Inlet::Manual => ShownInlet::Manual,
            rooms::Inlet::Periodic(Periodic { by, every, from, until }) => {
                ShownInlet::Periodic { by, every, from, until }
            }
            rooms::Inlet::MaxSize(MaxSize { size }) => ShownInlet::MaxSize { size },
            rooms::Inlet::Adaptive(Adaptive { least, most, .. }) => ShownInlet::Adaptive { least, most },
        },
    })
}

pub(crate) fn no_room(name: &str) -> Failure {
    Failure::not_found(format!("room `{name}` in the configuration"))
}

pub(crate) fn unavailable(trouble: Trouble) -> Failure {
    Problem::new(&CONFLICT).detail("Waiting rooms are not in this process at the moment.").because(trouble).into()
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
    use http::StatusCode;

    use crate::tester::Tester;

    #[tokio::test]
    async fn a_room_that_no_document_has_is_not_found() {
        let tester = Tester::new();
        assert_eq!(tester.get("/rooms").await.json["items"].as_array().unwrap().len(), 0);
        tester.get("/rooms/sale").await.is_problem(StatusCode::NOT_FOUND, "not-found");
        let key = serde_json::json!({ "key": { "kty": "RSA" } });
        tester.post("/rooms/sale/keys", key).await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }
}
