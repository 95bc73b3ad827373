//! `/companies/{company}/apps/{app}/keys` and `/keys/{key}`: what apps identify themselves with.

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use http::{StatusCode, header};
use model::units::Span;
use partners::{AppId, AppName, CompanyName, Environment, Issued, Key, KeyId, NewKey, UnixMicros};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::Json as Sent;
use crate::failure::Failure;
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::{Admin, Storage, time};

/// A key to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewKey")]
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

/// A key as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
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
    /// Whether another program made it.
    imported: bool,
    /// The key whose place it took.
    replaces: Option<KeyId>,
    /// The key that took its place.
    replaced_by: Option<KeyId>,
    rotated: Option<String>,
}

/// A key that was just made, with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MadeKey")]
pub(crate) struct Made {
    #[serde(flatten)]
    key: Shown,
    /// Absent after a dry run: it would open nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// Whether a key opens anything.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "KeyState")]
enum Life {
    Alive,
    Expired,
    Revoked,
}

/// What finds secrets of this gateway where they should not be.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecretPatterns")]
pub(crate) struct Patterns {
    patterns: Vec<Pattern>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecretPattern")]
struct Pattern {
    name: &'static str,
    /// A regular expression.
    pattern: &'static str,
}

/// `GET /secret-patterns`: what keys and tokens look like, for programs that look for leaked secrets. Needs no token.
pub(crate) async fn patterns() -> Json<Patterns> {
    let patterns = partners::patterns().into_iter().map(|(name, pattern)| Pattern { name, pattern });
    Json(Patterns { patterns: patterns.collect() })
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

pub(crate) fn made(storage: &Storage, issued: Issued, now: UnixMicros) -> impl IntoResponse + use<> {
    let Issued { key, secret } = issued;
    let location = format!("/keys/{}", key.id);
    let tag = tag(&key);
    let made =
        Made { key: shown(key.entity, now), secret: storage.partners.is_real().then(|| secret.expose().to_owned()) };
    (StatusCode::CREATED, tag, [(header::LOCATION, location)], Json(made))
}

pub(crate) fn shown(key: Key, now: UnixMicros) -> Shown {
    let state = match key.revoked {
        _ if key.is_alive(now) => Life::Alive,
        Some(_) => Life::Revoked,
        None => Life::Expired,
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
        imported: key.imported,
        replaces: key.replaces,
        replaced_by: key.replaced.map(|replaced| replaced.by),
        rotated: key.replaced.map(|replaced| time::text(replaced.at)),
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
