//! What operations take from the head of a request.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH};
use http::request::Parts;
use http::{Method, StatusCode};
use partners::{Act, At, Mode, Partners, Revision};
use problem::{Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::Asker;
use crate::failure::Failure;
use crate::{Admin, Storage};

/// The query is not one that the operation reads.
pub(crate) static BAD_QUERY: ProblemKind =
    ProblemKind { code: "bad-query", status: StatusCode::BAD_REQUEST, title: "The query cannot be read" };

/// The request has a condition that cannot be looked at.
pub(crate) static NO_TAG: ProblemKind = ProblemKind {
    code: "no-entity-tag",
    status: StatusCode::PRECONDITION_FAILED,
    title: "What is changed here has no entity-tag",
};

/// The gateway has no store.
pub(crate) static NO_STORE: ProblemKind = ProblemKind {
    code: "no-store",
    status: StatusCode::CONFLICT,
    title: "This gateway keeps no partners and no usage",
};

/// The names in a path. A text that cannot be a name names nothing.
pub(crate) struct Named<T>(pub(crate) T);

/// The members of a query. Unknown ones are refused, if the type says so.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(rejection) => {
                let said = rejection.body_text();
                let said = said.strip_prefix("Invalid URL: ").unwrap_or(&said);
                // Some of what is wrong with names says of which one.
                let subject = if said.starts_with('`') { "" } else { "The name " };
                Err(Problem::new(&crate::failure::NOT_FOUND).detail(format!("{subject}{said}.")).into())
            }
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(members)) => Ok(Self(members)),
            Err(rejection) => {
                let said = rejection.body_text();
                let said = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(&said);
                if !matches!(parts.method, Method::GET | Method::HEAD) && said.contains("unknown field `dry_run`") {
                    let detail = "This is done or not, and cannot be tried: leave `dry_run` out.";
                    return Err(Problem::new(&BAD_QUERY).detail(detail).into());
                }
                Err(Problem::new(&BAD_QUERY).detail(format!("The query is wrong: {said}.")).into())
            }
        }
    }
}

/// No query: what is not understood, such as `dry_run`, must not be passed over where something is done for good.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What is kept, for an operation that needs it; changed in the name of whoever asks, and as the request says.
pub(crate) struct Stored(pub(crate) Storage);

impl FromRequestParts<Admin> for Stored {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Failure> {
        let detail = "The configuration names no `store`: write `store: {embedded: ./data}` and start again.";
        let storage = admin.storage.clone().ok_or_else(|| Failure::from(Problem::new(&NO_STORE).detail(detail)))?;
        let partners = Arc::new(storage.partners.acting(act(parts)?));
        Ok(Self(Storage { partners, ..storage }))
    }
}

/// The audit log, for what is done to the gateway itself; nothing is noted where nothing is kept.
pub(crate) struct Log(Option<Arc<Partners>>);

impl FromRequestParts<Admin> for Log {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Failure> {
        let Some(storage) = &admin.storage else { return Ok(Self(None)) };
        Ok(Self(Some(Arc::new(storage.partners.acting(act(parts)?)))))
    }
}

impl Log {
    /// Notes what was done. Where that fails, the answer says that nobody knows what was done.
    pub(crate) async fn note(&self, change: &str, of: (&str, &str), now: Value) -> Result<(), Failure> {
        match &self.0 {
            Some(partners) => Ok(partners.note(change, of, now).await?),
            None => Ok(()),
        }
    }
}

/// Refuses a condition where none is heeded: whoever wrote it means that nothing is done otherwise.
pub(crate) async fn without_condition(request: Request, next: Next) -> Result<Response, Failure> {
    if request.headers().contains_key(IF_MATCH) {
        return Err(Problem::new(&NO_TAG).detail("Leave `If-Match` out, if you mean it.").into());
    }
    Ok(next.run(request).await)
}

/// Who asks, and how.
fn act(parts: &Parts) -> Result<Act, Failure> {
    let actor = parts.extensions.get::<Asker>().map_or_else(|| "nobody".into(), |asker| asker.name.clone());
    let mode = match parts.method {
        Method::GET | Method::HEAD => Mode::Real,
        _ => mode(parts.uri.query().unwrap_or_default())?,
    };
    let expected = parts.headers.get(IF_MATCH).map(HeaderValue::as_bytes).filter(|tag| *tag != b"*").map(revision);
    Ok(Act { actor, mode, expected })
}

/// Whether a change is done, or only tried. Whoever wrote that otherwise meant something by it, and it must not be done for real.
fn mode(query: &str) -> Result<Mode, Failure> {
    match query {
        "" | "dry_run=false" => Ok(Mode::Real),
        "dry_run=true" => Ok(Mode::Rehearsal),
        _ => Err(Problem::new(&BAD_QUERY)
            .detail("A change may have `dry_run=true`, and `wait=all`, and nothing else.")
            .into()),
    }
}

/// An entity's revision as an entity-tag (RFC 9110, section 8.8.3).
pub(crate) fn tag<T>(at: &At<T>) -> [(HeaderName, String); 1] {
    [(ETAG, format!("\"r{}\"", at.revision.0))]
}

/// The revision in an entity-tag. What is none of ours is the tag of no entity.
fn revision(tag: &[u8]) -> Revision {
    let digits = std::str::from_utf8(tag).ok().and_then(|tag| tag.strip_prefix("\"r")?.strip_suffix('"'));
    Revision(digits.and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::tester::Tester;

    #[tokio::test]
    async fn a_change_is_refused_that_was_meant_for_something_else() {
        let tester = Tester::new();
        let made = tester.post("/products", json!({ "name": "silver", "operations": ["orders: GET /**"] })).await;
        let first = made.headers["etag"].to_str().unwrap().to_owned();
        let change = json!({ "operations": ["orders: * /**"] });

        let changed = tester.put_with("/products/silver", "if-match", &first, change.clone()).await;
        assert_eq!(changed.status, StatusCode::OK);
        let second = changed.headers["etag"].to_str().unwrap().to_owned();
        assert_ne!(first, second);
        assert_eq!(tester.get("/products/silver").await.headers["etag"], second);
        for stale in [&first, "\"r99999\"", "W/\"r1\"", "nonsense"] {
            let refused = tester.put_with("/products/silver", "if-match", stale, change.clone()).await;
            refused.is_problem(StatusCode::PRECONDITION_FAILED, "changed-meanwhile");
            let refused = tester.delete_with("/products/silver", "if-match", stale).await;
            refused.is_problem(StatusCode::PRECONDITION_FAILED, "changed-meanwhile");
        }
        assert_eq!(tester.put_with("/products/silver", "if-match", "*", change).await.status, StatusCode::OK);
        let now = tester.get("/products/silver").await.headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(tester.delete_with("/products/silver", "if-match", &now).await.status, StatusCode::NO_CONTENT);
    }

    #[tokio::test]
    async fn a_condition_is_heeded_or_refused() {
        let tester = Tester::with_app().await;
        for path in ["/statements/1", "/sessions/00000000000000000000000000000000"] {
            let refused = tester.delete_with(path, "if-match", "\"r1\"").await;
            refused.is_problem(StatusCode::PRECONDITION_FAILED, "no-entity-tag");
        }
        assert_eq!(tester.get_with("/statements", "if-match", "\"r1\"".to_owned()).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_dry_run_answers_as_it_would_be_and_does_nothing() {
        let tester = Tester::with_app().await;

        let made = tester.post("/companies?dry_run=true", json!({ "name": "zeta" })).await;
        assert_eq!((made.status, &made.json["name"]), (StatusCode::CREATED, &json!("zeta")));
        tester.get("/companies/zeta").await.is_problem(StatusCode::NOT_FOUND, "not-found");
        let taken = tester.post("/companies?dry_run=true", json!({ "name": "acme" })).await;
        taken.is_problem(StatusCode::CONFLICT, "name-taken");
        assert_eq!(tester.delete("/companies/acme?dry_run=true").await.status, StatusCode::NO_CONTENT);
        assert_eq!(tester.get("/companies/acme").await.status, StatusCode::OK);

        let key = tester.post("/companies/acme/apps/shop/keys?dry_run=true", json!({})).await;
        assert_eq!((key.status, key.json.get("secret")), (StatusCode::CREATED, None), "{}", key.text);
        assert!(tester.get("/companies/acme/apps/shop/keys").await.names().is_empty());
        for misspelt in
            ["dry_run", "dry_run=", "dry_run=yes", "dry-run=true", "dryrun=true", "dry_run=true&dry_run=false", "x"]
        {
            let refused = tester.delete(&format!("/companies/acme?{misspelt}")).await;
            refused.is_problem(StatusCode::BAD_REQUEST, "bad-query");
            let refused = tester.post(&format!("/companies?{misspelt}"), json!({ "name": "b" })).await;
            refused.is_problem(StatusCode::BAD_REQUEST, "bad-query");
        }
        assert_eq!(tester.get("/companies/acme").await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn each_entity_has_a_tag_of_its_own_that_changes_with_it() {
        let tester = Tester::with_app().await;
        let key = tester.post("/companies/acme/apps/shop/keys", json!({})).await.text_of("id");
        tester.post("/companies/acme/apps/shop/subscriptions", json!({ "product": "gold" })).await.is_made();
        tester.post("/products", json!({ "name": "silver", "operations": ["orders: GET /**"] })).await.is_made();
        let key = format!("/keys/{key}");
        let paths = [
            "/companies/acme",
            "/companies/acme/apps/shop",
            "/companies/acme/apps/shop/subscriptions/gold",
            "/products/silver",
            &key,
        ];
        let mut tags = Vec::new();
        for path in paths {
            tags.push(tester.get(path).await.headers["etag"].clone());
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), paths.len());

        let before = tester.get(&key).await.headers["etag"].clone();
        let revoked = tester.post_nothing(&format!("{key}/revoke")).await;
        assert_ne!(revoked.headers["etag"], before);
        assert_eq!(tester.get(&key).await.headers["etag"], revoked.headers["etag"]);
    }
}
