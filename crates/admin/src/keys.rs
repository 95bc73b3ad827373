//! `/companies/{company}/apps/{app}/keys` and `/keys/{key}`: what apps identify themselves with.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use model::units::Span;
use partners::{AppId, AppName, CompanyName, Environment, Issued, Key, KeyId, NewKey, UnixMicros};
use problem::{Finding, Pointer};
use serde::{Deserialize, Serialize};

use crate::body::{Json as Sent, OptionalJson};
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::{Admin, Storage, time};

/// A key to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    /// `live` or `test`.
    environment: Option<Environment>,
    /// What it may do.
    #[serde(default)]
    scopes: Vec<String>,
    /// When it stops working by itself, in RFC 3339.
    expires: Option<String>,
    /// After which time it stops working by itself, such as `90d`.
    expires_in: Option<Span>,
}

/// How a key is replaced.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// How long the old one works on, such as `7d`.
    overlap: Option<Span>,
}

/// A key as it is shown.
#[derive(Serialize)]
pub(crate) struct Shown {
    id: KeyId,
    company: CompanyName,
    app: AppName,
    environment: Environment,
    state: Life,
    scopes: Vec<String>,
    prefix: String,
    last_four: String,
    created: String,
    expires: Option<String>,
    revoked: Option<String>,
    last_used: Option<String>,
}

/// A key that was just made, with its secret.
#[derive(Serialize)]
pub(crate) struct Made {
    #[serde(flatten)]
    key: Shown,
    /// Absent after a dry run: it would open nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Whether a key opens anything.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Life {
    Alive,
    Expired,
    Revoked,
}

/// `GET /companies/{company}/apps/{app}/keys`: lists them by id, dead ones too.
pub(crate) async fn list(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Asked(page): Asked<Page>,
) -> Result<Listed<Shown>, Failure> {
    let after: Option<KeyId> = page.after(|text| text.parse().ok())?;
    storage.partners.app(&app).await?;
    let now = (admin.clock)();
    let all = storage.partners.keys(&app).await?;
    page.out_of(all, after.as_ref(), |key| key.id, |key| shown(key, now))
}

/// `POST /companies/{company}/apps/{app}/keys`: makes one. Its secret is in the answer and nowhere else, ever.
pub(crate) async fn create(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Sent(new): Sent<New>,
) -> Result<impl IntoResponse, Failure> {
    let now = (admin.clock)();
    let New { environment, scopes, expires, expires_in } = new;
    let expires = expiry(expires.as_deref(), expires_in, now)?;
    let issued = storage.partners.create_key(&app, NewKey { environment, scopes, expires }).await?;
    Ok(made(&storage, issued, now))
}

/// `GET /keys/{key}`: shows one, without its secret.
pub(crate) async fn show(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(id): Named<KeyId>,
) -> Result<impl IntoResponse, Failure> {
    let key = storage.partners.key(&id).await?;
    Ok((tag(&key), Json(shown(key.entity, (admin.clock)()))))
}

/// `POST /keys/{key}/revoke`: makes a key open nothing from now on.
pub(crate) async fn revoke(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(id): Named<KeyId>,
) -> Result<impl IntoResponse, Failure> {
    let key = storage.partners.revoke_key(&id).await?;
    Ok((tag(&key), Json(shown(key.entity, (admin.clock)()))))
}

/// `POST /keys/{key}/rotate`: makes a key like this one, which works on for a while.
pub(crate) async fn rotate(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(id): Named<KeyId>,
    OptionalJson(rotation): OptionalJson<Rotation>,
) -> Result<impl IntoResponse, Failure> {
    let overlap = rotation.overlap.map_or(USUAL_OVERLAP, Span::duration);
    if LONGEST_OVERLAP < overlap {
        let at = Pointer::default().at("overlap");
        return Err(Failure::invalid(&[Finding::new(&at, "is too long: 0s to 30d")]));
    }
    let issued = storage.partners.rotate_key(&id, overlap).await?;
    Ok(made(&storage, issued, (admin.clock)()))
}

pub(crate) fn expiry(at: Option<&str>, after: Option<Span>, now: UnixMicros) -> Result<Option<UnixMicros>, Failure> {
    let wrong = |member, reason| Failure::invalid(&[Finding::new(&Pointer::default().at(member), reason)]);
    match (at, after) {
        (None, None) => Ok(None),
        (Some(at), None) => match time::read(at) {
            Some(at) => Ok(Some(at)),
            None => Err(wrong("expires", "is no time; write it as `2030-12-31T00:00:00Z`")),
        },
        (None, Some(after)) => {
            let micros = u64::try_from(after.duration().as_micros()).unwrap_or(u64::MAX);
            match now.0.checked_add(micros).filter(|at| i64::try_from(*at).is_ok()) {
                Some(at) => Ok(Some(UnixMicros(at))),
                None => Err(wrong("expires_in", "is too long; leave it out for a key that does not expire")),
            }
        }
        (Some(_), Some(_)) => Err(wrong("expires_in", "says again what `expires` says; leave one of them out")),
    }
}

fn made(storage: &Storage, issued: Issued, now: UnixMicros) -> impl IntoResponse + use<> {
    let Issued { key, secret } = issued;
    let location = format!("/keys/{}", key.id);
    let tag = tag(&key);
    let made =
        Made { key: shown(key.entity, now), secret: storage.partners.is_real().then(|| secret.expose().to_owned()) };
    (StatusCode::CREATED, tag, [(header::LOCATION, location)], Json(made))
}

fn shown(key: Key, now: UnixMicros) -> Shown {
    let state = match (key.revoked, key.expires) {
        (Some(_), _) => Life::Revoked,
        (None, Some(expires)) if expires <= now => Life::Expired,
        (None, _) => Life::Alive,
    };
    Shown {
        id: key.id,
        company: key.app.company,
        app: key.app.app,
        environment: key.environment,
        state,
        scopes: key.scopes,
        prefix: key.prefix,
        last_four: key.last_four,
        created: time::text(key.created),
        expires: key.expires.map(time::text),
        revoked: key.revoked.map(time::text),
        last_used: key.last_used.map(time::text),
    }
}

/// How long an old key works on where nobody says it.
const USUAL_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// How long an old key works on at most.
const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::{NOW, Tester};

    const KEYS: &str = "/companies/acme/apps/shop/keys";

    #[tokio::test]
    async fn a_secret_is_shown_once_and_opens_at_once() {
        let tester = Tester::with_app().await;

        let made = tester.post(KEYS, json!({ "scopes": ["read"] })).await;

        made.is_made();
        let secret = made.json["secret"].as_str().unwrap();
        let id = made.json["id"].as_str().unwrap();
        assert_eq!(made.headers["location"], format!("/keys/{id}").as_str());
        assert_eq!(made.headers["cache-control"], "no-store");
        assert!(tester.partners.index().find(secret).is_ok());
        let shown = tester.get(&format!("/keys/{id}")).await;
        let listed = tester.get(KEYS).await;
        assert!(secret.ends_with(&shown.text_of("last_four")));
        assert!(secret.starts_with(&shown.text_of("prefix")));
        assert_eq!((&shown.json["state"], &shown.json["created"]), (&json!("alive"), &json!(NOW)));
        assert_eq!(listed.json["items"], json!([shown.json]));
        for answer in [&shown, &listed] {
            assert!(!answer.text.contains(secret) && !answer.text.contains("hash") && !answer.text.contains("secret"));
        }
    }

    #[tokio::test]
    async fn a_revoked_key_opens_nothing() {
        let tester = Tester::with_app().await;
        let id = tester.post(KEYS, json!({})).await.text_of("id");

        let revoked = tester.post_nothing(&format!("/keys/{id}/revoke")).await;

        assert_eq!((revoked.status, &revoked.json["state"]), (StatusCode::OK, &json!("revoked")));
        assert_eq!(tester.get(&format!("/keys/{id}")).await.json["revoked"], NOW);
        let rotated = tester.post_nothing(&format!("/keys/{id}/rotate")).await;
        rotated.is_problem(StatusCode::CONFLICT, "key-is-dead");
    }

    #[tokio::test]
    async fn a_rotated_key_works_on_for_the_overlap() {
        let tester = Tester::with_app().await;
        let id = tester.post(KEYS, json!({ "environment": "test", "scopes": ["read"] })).await.text_of("id");

        let new = tester.post(&format!("/keys/{id}/rotate"), json!({ "overlap": "1h" })).await;

        new.is_made();
        assert_ne!(new.json["id"], json!(id));
        assert_eq!((&new.json["environment"], &new.json["scopes"]), (&json!("test"), &json!(["read"])));
        assert_eq!(tester.get(&format!("/keys/{id}")).await.json["expires"], "2026-01-01T01:00:00Z");
        assert_eq!(tester.get(KEYS).await.json["items"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_rotation_without_a_body_overlaps_for_a_week() {
        let tester = Tester::with_app().await;
        let id = tester.post(KEYS, json!({})).await.text_of("id");

        tester.post_nothing(&format!("/keys/{id}/rotate")).await.is_made();

        assert_eq!(tester.get(&format!("/keys/{id}")).await.json["expires"], "2026-01-08T00:00:00Z");
    }

    #[tokio::test]
    async fn a_key_expires_at_a_time_or_after_one() {
        let tester = Tester::with_app().await;
        let at = tester.post(KEYS, json!({ "expires": "2026-02-01T00:00:00+01:00" })).await;
        let after = tester.post(KEYS, json!({ "expires_in": "90d" })).await;
        assert_eq!(at.json["expires"], "2026-01-31T23:00:00Z");
        assert_eq!(after.json["expires"], "2026-04-01T00:00:00Z");
    }

    #[tokio::test]
    async fn every_mistake_is_named_with_its_field() {
        let tester = Tester::with_app().await;
        let cases = [
            (json!({ "expires": "soon" }), "/expires"),
            (json!({ "expires": "2020-01-01" }), "/expires"),
            (json!({ "expires": "2030-01-01", "expires_in": "1d" }), "/expires_in"),
            (json!({ "expires_in": 5 }), "/expires_in"),
            (json!({ "expires_in": "213503982d" }), "/expires_in"),
            (json!({ "environment": "prod" }), "/environment"),
            (json!({ "scopes": ["read", 7] }), "/scopes/1"),
            (json!({ "scopes": ["a b"] }), "/scopes/0"),
            (json!({ "scope": "read" }), "/scope"),
        ];
        for (sent, pointer) in cases {
            let answer = tester.post(KEYS, sent).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
        }
        let id = tester.post(KEYS, json!({})).await.text_of("id");
        let answer = tester.post(&format!("/keys/{id}/rotate"), json!({ "overlap": "31d" })).await;
        assert_eq!(answer.pointers(), ["/overlap"]);
    }

    #[tokio::test]
    async fn keys_of_nothing_are_not_found() {
        let tester = Tester::with_app().await;
        for path in ["/companies/acme/apps/none/keys", "/keys/abcdefghijkl", "/keys/short", "/keys/abcdefghijk!"] {
            tester.get(path).await.is_problem(StatusCode::NOT_FOUND, "not-found");
        }
        tester.post("/companies/acme/apps/none/keys", json!({})).await.is_problem(StatusCode::NOT_FOUND, "not-found");
        tester.post_nothing("/keys/abcdefghijkl/revoke").await.is_problem(StatusCode::NOT_FOUND, "not-found");
        tester.post_nothing("/keys/abcdefghijkl/rotate").await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }

    #[tokio::test]
    async fn a_list_goes_on_where_the_page_before_ended() {
        let tester = Tester::with_app().await;
        for _ in 0..3 {
            tester.post(KEYS, json!({})).await.is_made();
        }

        let first = tester.get(&format!("{KEYS}?limit=2")).await;
        let next = first.text_of("next");
        let second = tester.get(&format!("{KEYS}?limit=2&after={next}")).await;

        assert_eq!(first.json["items"].as_array().unwrap().len(), 2);
        assert_eq!(second.json["items"].as_array().unwrap().len(), 1);
        assert!(second.json.get("next").is_none());
    }
}
