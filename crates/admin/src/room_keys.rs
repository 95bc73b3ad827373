//! `/rooms/{room}/rotate-key`, and `/room-access-keys`: what programs sign with that were made for AWS.

use axum::extract::State;
use axum::response::{IntoResponse, Json as Answer};
use http::{StatusCode, header};
use model::units::Span;
use partners::{Role, TokenName};
use problem::{Finding, Pointer, Problem};
use rooms::{AccessKey, NoKeys, NotMade, Reach};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::UnixMicros;

use crate::body::Json;
use crate::failure::{CONFLICT, FAILED, Failure, NAME_TAKEN};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Nothing, Stored};
use crate::rooms::{no_room, now};
use crate::{Admin, time};

/// When another key takes over.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoomKeyRotation")]
pub(crate) struct Rotation {
    /// After which time it signs, such as `1d`, for verifiers that keep public keys; until then it is only published. Left out,
    /// it signs at once.
    signs_in: Option<Span>,
}

/// A key that was made to sign a room's tokens.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RotatedRoomKey")]
pub(crate) struct Rotated {
    /// Its name, the `kid` of tokens.
    id: String,
    /// When it begins to sign.
    signs_from: String,
    /// All public keys that verifiers may need, as JWKs: tokens that older ones signed stay valid.
    public_keys: Vec<Value>,
}

/// An access key to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRoomAccessKey")]
pub(crate) struct New {
    /// Its name, in kebab case.
    name: TokenName,
    /// `operator` looks at rooms and changes them, `auditor` looks.
    role: Role,
}

/// An access key as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomAccessKey")]
pub(crate) struct Shown {
    name: String,
    /// What clients call the access key id.
    id: String,
    role: Role,
    created: String,
}

/// An access key that was just made, with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MadeRoomAccessKey")]
pub(crate) struct Made {
    #[serde(flatten)]
    key: Shown,
    /// What clients call the secret access key.
    secret: String,
}

/// `POST /rooms/{room}/rotate-key`: makes another key, and has it sign.
pub(crate) async fn rotate(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
    Json(Rotation { signs_in }): Json<Rotation>,
) -> Result<impl IntoResponse, Failure> {
    let room = storage.rooms.named(&name).ok_or_else(|| no_room(&name))?;
    let after = signs_in.map_or(0, |span| span.duration().as_secs());
    let rotated = room.rotate_key(now(&admin), after).await;
    let rooms::Rotated { id, from, public_keys } = rotated.map_err(|error: NoKeys| {
        Failure::from(Problem::new(&FAILED).detail("The key could not be made and kept.").because(error))
    })?;
    let signs_from = time::text(UnixMicros(from.saturating_mul(1_000_000)));
    storage.partners.note("rotated", ("room-key", &name), json!({ "id": id, "signs_from": signs_from })).await?;
    Ok(Answer(Rotated { id, signs_from, public_keys }))
}

/// `GET /room-access-keys`: lists them by name, without their secrets.
pub(crate) async fn list(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<Shown>, Failure> {
    let keys = storage.rooms.access_keys.clone();
    let all = beside_traffic(move || keys.all()).await?;
    let after = page.after(|after| Some(after.to_owned()))?;
    let mut shown: Vec<_> = all.iter().map(shown).collect();
    shown.sort_by(|one, other| one.name.cmp(&other.name));
    page.out_of(shown, after.as_ref(), |key| key.name.clone(), |key| key)
}

/// `POST /room-access-keys`: makes one. Its secret is in the answer, and shown never again.
pub(crate) async fn create(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Asked(Nothing {}): Asked<Nothing>,
    Json(New { name, role }): Json<New>,
) -> Result<impl IntoResponse, Failure> {
    let (keys, now, reach) = (storage.rooms.access_keys.clone(), now(&admin), reach(role)?);
    let made = beside_traffic(move || keys.create(name.as_str(), reach, now)).await?;
    let key = shown(&made);
    storage.partners.note("made", ("room-access-key", &key.name), json!(key)).await?;
    let location = format!("/room-access-keys/{}", key.name);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(Made { key, secret: made.expose().to_owned() })))
}

/// `DELETE /room-access-keys/{name}`: has one open nothing from now on; on other nodes within a second.
pub(crate) async fn delete(
    Stored(storage): Stored,
    Named(name): Named<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<StatusCode, Failure> {
    let (keys, revoked) = (storage.rooms.access_keys.clone(), name.clone());
    if !beside_traffic(move || keys.revoke(&revoked)).await? {
        return Err(Failure::not_found(format!("access key `{name}` of rooms")));
    }
    storage.partners.note("deleted", ("room-access-key", &name), Value::Null).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn beside_traffic<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotMade> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or(Err(NotMade::BrokenOff));
    done.map_err(|error| match error {
        NotMade::NameTaken => Problem::new(&NAME_TAKEN).detail("Another access key of rooms is called that.").into(),
        NotMade::TooMany => Problem::new(&CONFLICT).detail("There are too many access keys of rooms.").into(),
        other => Problem::new(&FAILED).detail("Access keys could not be read or kept.").because(other).into(),
    })
}

fn shown(key: &AccessKey) -> Shown {
    let role = match key.reach {
        Reach::Operator => Role::Operator,
        Reach::Auditor => Role::Auditor,
    };
    let created = time::text(UnixMicros(key.created.saturating_mul(1_000_000)));
    Shown { name: key.name.clone(), id: key.id.clone(), role, created }
}

fn reach(role: Role) -> Result<Reach, Failure> {
    match role {
        Role::Operator => Ok(Reach::Operator),
        Role::Auditor => Ok(Reach::Auditor),
        Role::Owner | Role::Billing | Role::Company => {
            let message = "is neither `operator` nor `auditor`";
            Err(Failure::invalid(&[Finding::new(&Pointer::default().at("role"), message)]))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::Tester;

    #[tokio::test]
    async fn an_access_key_tells_its_secret_once_and_goes() {
        let tester = Tester::new();
        let made = tester.post("/room-access-keys", json!({ "name": "ci", "role": "operator" })).await;
        assert_eq!(made.status, StatusCode::CREATED);
        let secret = made.text_of("secret");
        assert_eq!((secret.len(), made.text_of("role").as_str()), (40, "operator"));
        tester
            .post("/room-access-keys", json!({ "name": "ci", "role": "operator" }))
            .await
            .is_problem(StatusCode::CONFLICT, "name-taken");
        let listed = tester.get("/room-access-keys").await;
        assert_eq!(listed.names(), ["ci"]);
        assert!(!listed.text.contains(&secret) && !tester.get("/audit").await.text.contains(&secret));
        assert_eq!(tester.delete("/room-access-keys/ci").await.status, StatusCode::NO_CONTENT);
        tester.delete("/room-access-keys/ci").await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn only_an_owner_makes_access_keys() {
        let tester = Tester::new();
        let made = tester.post("/tokens", json!({ "name": "ops", "role": "operator" })).await;
        let refused = tester.get_as(&made.text_of("secret"), "/room-access-keys").await;
        refused.is_problem(StatusCode::FORBIDDEN, "admin-not-allowed");
    }
}
