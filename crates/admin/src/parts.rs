//! What operations take from the head of a request.

use axum::extract::{FromRequestParts, Path, Query};
use http::StatusCode;
use http::request::Parts;
use problem::{Problem, ProblemKind};
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::{Admin, Storage};

/// The query is not one that the operation reads.
pub(crate) static BAD_QUERY: ProblemKind =
    ProblemKind { code: "bad-query", status: StatusCode::BAD_REQUEST, title: "The query cannot be read" };

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
            Err(rejection) => Err(Problem::new(&crate::failure::NOT_FOUND).detail(rejection.body_text()).into()),
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
                Err(Problem::new(&BAD_QUERY).detail(format!("The query is wrong: {said}.")).into())
            }
        }
    }
}

/// What is kept, for an operation that needs it.
pub(crate) struct Stored(pub(crate) Storage);

impl FromRequestParts<Admin> for Stored {
    type Rejection = Failure;

    async fn from_request_parts(_: &mut Parts, admin: &Admin) -> Result<Self, Failure> {
        let detail = "The configuration names no `store`: write `store: {embedded: ./data}` and start again.";
        admin.storage.clone().map(Self).ok_or_else(|| Problem::new(&NO_STORE).detail(detail).into())
    }
}
