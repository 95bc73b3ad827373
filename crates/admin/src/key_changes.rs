//! `/keys/{key}/…` and `/companies/{company}/apps/{app}/keys/import`: what becomes of keys after they were made.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Json};
use http::StatusCode;
use model::units::Span;
use partners::{AppId, Environment, ImportedKey, KeyId, Known, NewKey, Overlap};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{Json as Sent, OptionalJson};
use crate::failure::Failure;
use crate::keys::{expiry, made, shown};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Stored, tag};
use crate::{Admin, keys, time};

/// How a key is replaced.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyRotation")]
pub(crate) struct Rotation {
    /// How long the old one works on, such as `7d`.
    overlap: Option<Span>,
}

/// When a key stops working by itself. Without any member it never does.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyExpiry")]
pub(crate) struct Expiry {
    /// In RFC 3339.
    expires: Option<String>,
    /// Such as `90d`.
    expires_in: Option<Span>,
}

/// Keys to be imported: all of them, or none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyImport")]
pub(crate) struct Import {
    keys: Vec<ToImport>,
}

/// A key that another program made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyToImport")]
pub(crate) struct ToImport {
    /// The whole key, of which a hash is kept; or else `algorithm` and `digest`.
    text: Option<String>,
    /// `sha-256`, or `hmac-sha-256:NAME` with a name of `imported_keys.peppers` in the configuration.
    algorithm: Option<String>,
    /// The hash, in hexadecimal digits or base64.
    digest: Option<String>,
    /// How it begins, so that people recognise it.
    prefix: Option<String>,
    /// How it ends, so that people recognise it.
    last_four: Option<String>,
    /// `live` or `test`.
    environment: Option<Environment>,
    /// What it may do.
    #[serde(default)]
    scopes: Vec<String>,
    /// When it stops working by itself, in RFC 3339.
    expires: Option<String>,
}

/// Keys that were imported.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ImportedKeys")]
pub(crate) struct Imported {
    items: Vec<keys::Shown>,
}

/// A key that was rotated and still works beside the one that took its place.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RotatedKey")]
pub(crate) struct StillOverlapping {
    company: String,
    app: String,
    id: KeyId,
    last_four: String,
    rotated: String,
    /// When it stops working.
    ends: Option<String>,
    last_used: Option<String>,
    /// Whether it was used since it was rotated: then somebody has yet to change over.
    still_used: bool,
    replaced_by: KeyId,
    new_last_used: Option<String>,
}

/// `GET /keys/rotated`: lists the keys of all apps that were rotated and still work, and whether anybody uses them.
pub(crate) async fn rotated(
    Stored(storage): Stored,
    Asked(page): Asked<Page>,
) -> Result<Listed<StillOverlapping>, Failure> {
    let after: Option<KeyId> = page.after(|text| text.parse().ok())?;
    let found = storage.partners.overlaps(after.as_ref(), page.fetched()?).await?;
    page.of(found, |overlap| overlap.old.id.to_string(), still_overlapping)
}

/// `POST /companies/{company}/apps/{app}/keys/import`: takes over keys that another program made.
pub(crate) async fn import(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(app): Named<AppId>,
    Sent(import): Sent<Import>,
) -> Result<impl IntoResponse, Failure> {
    let mut findings = Vec::new();
    let mut read = Vec::with_capacity(import.keys.len());
    for (index, key) in import.keys.into_iter().enumerate() {
        match to_import(key) {
            Ok(key) => read.push(key),
            Err((member, reason)) => {
                findings.push(Finding::new(&Pointer::default().at("keys").at(index).at(member), reason));
            }
        }
    }
    if !findings.is_empty() {
        return Err(Failure::invalid(&findings));
    }
    let now = (admin.clock)();
    let imported = storage.partners.import_keys(&app, read).await?;
    let items = imported.into_iter().map(|key| shown(key, now)).collect();
    Ok((StatusCode::CREATED, Json(Imported { items })))
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

/// `POST /keys/{key}/expire`: says when a key stops working by itself, or that it never does.
pub(crate) async fn expire(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(id): Named<KeyId>,
    Sent(Expiry { expires, expires_in }): Sent<Expiry>,
) -> Result<impl IntoResponse, Failure> {
    let now = (admin.clock)();
    let key = storage.partners.expire_key(&id, expiry(expires.as_deref(), expires_in, now)?).await?;
    Ok((tag(&key), Json(shown(key.entity, now))))
}

/// `POST /keys/{key}/rotate`: makes a key that takes this one's place, which works on for a while.
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

/// `POST /keys/{key}/end-overlap`: of two keys that work since a rotation, makes the old one stop at once.
pub(crate) async fn end_overlap(
    State(admin): State<Admin>,
    Stored(storage): Stored,
    Named(id): Named<KeyId>,
) -> Result<impl IntoResponse, Failure> {
    let old = storage.partners.end_overlap(&id).await?;
    Ok((tag(&old), Json(shown(old.entity, (admin.clock)()))))
}

fn to_import(key: ToImport) -> Result<ImportedKey, (&'static str, &'static str)> {
    let ToImport { text, algorithm, digest, prefix, last_four, environment, scopes, expires } = key;
    let known = match (text, algorithm, digest) {
        (Some(text), None, None) => Known::Text(text),
        (None, Some(algorithm), Some(digest)) => Known::Hash { algorithm, digest },
        (Some(_), ..) => return Err(("text", "is all that is needed: leave out `algorithm` and `digest`")),
        (None, None, _) => return Err(("algorithm", "is missing: write it with `digest`, or the whole key as `text`")),
        (None, Some(_), None) => return Err(("digest", "is missing: the hash that `algorithm` gave")),
    };
    let wrong = ("expires", "is no time; write it as `2030-12-31T00:00:00Z`");
    let expires = expires.map(|text| time::read(&text).ok_or(wrong)).transpose()?;
    Ok(ImportedKey { known, key: NewKey { environment, scopes, expires }, prefix, last_four })
}

fn still_overlapping(overlap: Overlap) -> StillOverlapping {
    let Overlap { old, new, new_used, since } = overlap;
    StillOverlapping {
        company: old.app.company.to_string(),
        app: old.app.app.to_string(),
        id: old.id,
        last_four: old.last_four,
        rotated: time::text(since),
        ends: old.expires.map(time::text),
        last_used: old.last_used.map(time::text),
        still_used: old.last_used.is_some_and(|used| since < used),
        replaced_by: new,
        new_last_used: new_used.map(time::text),
    }
}

/// How long an old key works on where nobody says it.
const USUAL_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// How long an old key works on at most.
const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);
