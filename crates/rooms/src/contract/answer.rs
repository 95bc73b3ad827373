//! Answers as clients know them.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL,
    CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use waiting_room::Compatibility;

use super::Operation;
use crate::{NotKept, Settings, Trouble, refused};

/// For how long an answer may be kept by caches, such as a content delivery network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Not at all.
    Never,
    /// For as long as a counter may be behind.
    Briefly,
    /// Until a reset, which caches have to be told of.
    Long,
}

/// What an operator did to a room, beside the answer: whoever answers writes it down.
#[derive(Clone, Copy, Debug)]
pub struct Changed(pub &'static str);

impl Changed {
    pub(super) fn told(self, mut answer: Response<Bytes>) -> Response<Bytes> {
        answer.extensions_mut().insert(self);
        answer
    }
}

/// Why there is another answer than what was asked for.
pub(super) enum Failed {
    /// What a function says: its status, and a text as `error`.
    Said(StatusCode, &'static str),
    /// As [`Self::Said`], and after how many seconds it may be different.
    Later(StatusCode, &'static str, u32),
    /// What stands before functions says: its status, and a text as `message`.
    Refused(StatusCode, String),
    /// A plain text.
    Plain(StatusCode, &'static str),
    /// It cannot be done now.
    Trouble(Trouble),
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Failed {
    pub(super) fn bad_body() -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, "Invalid request body".to_owned())
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        match self {
            Self::Said(status, text) => with(status, &json!({ "error": text }), Kept::Never),
            Self::Later(status, text, pause) => {
                let mut response = with(status, &json!({ "error": text }), Kept::Never);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(pause));
                response
            }
            Self::Plain(status, said) => text(status, said),
            Self::Refused(status, text) => with(status, &json!({ "message": text }), Kept::Never),
            Self::Trouble(trouble) => {
                if let Some(problem) = refused::told(&trouble) {
                    return every_site_may_read(problem.into_response());
                }
                if !matches!(trouble, Trouble::NotKept(NotKept::Elsewhere | NotKept::Away | NotKept::Lost)) {
                    tracing::warn!(cause = %trouble, "a waiting room could not do what it was asked");
                }
                let body = json!({ "message": "Service Unavailable" });
                let mut response = with(StatusCode::SERVICE_UNAVAILABLE, &body, Kept::Never);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
        }
    }
}

fn every_site_may_read(mut response: Response<Bytes>) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer with a body, which every site may read.
pub(super) fn with(status: StatusCode, body: &impl Serialize, kept: Kept) -> Response<Bytes> {
    // What is answered are texts and numbers, of which nothing can fail.
    let mut response = Response::new(Bytes::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static(match kept {
            Kept::Never => "no-store",
            Kept::Briefly => "public, max-age=0, s-maxage=5",
            Kept::Long => "public, max-age=5, s-maxage=86400",
        }),
    );
    response
}

/// A plain text, which nobody keeps.
pub(super) fn text(status: StatusCode, said: &'static str) -> Response<Bytes> {
    let mut response = with(status, &Value::Null, Kept::Never);
    *response.body_mut() = Bytes::from_static(said.as_bytes());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// What was asked for.
pub(super) fn ok(body: &impl Serialize, kept: Kept) -> Response<Bytes> {
    with(StatusCode::OK, body, kept)
}

/// What browsers ask before they ask for anything.
pub(super) fn preflight(operation: Operation, settings: &Settings) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    let methods = if operation.is_post() { "OPTIONS,POST" } else { "GET,OPTIONS" };
    let allowed = match settings.rules.compatibility {
        Compatibility::Strict => HEADERS,
        Compatibility::Mended => HEADERS_AND_KEY,
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    response
}

/// There is nothing of this path and method.
pub(super) fn missing_token() -> Response<Bytes> {
    Failed::Refused(StatusCode::FORBIDDEN, "Missing Authentication Token".to_owned()).into_response()
}

/// The path is not asked by this method.
pub(super) fn method_not_allowed() -> Response<Bytes> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// There is no credential that allows it.
pub(super) fn forbidden() -> Response<Bytes> {
    Failed::Refused(StatusCode::FORBIDDEN, "Forbidden".to_owned()).into_response()
}

/// The signature of a request does not allow it.
pub(super) fn not_signed(reason: &str) -> Response<Bytes> {
    Failed::Refused(StatusCode::FORBIDDEN, reason.to_owned()).into_response()
}

const HEADERS: &str = "Content-Type,X-Amz-Date,Authorization,X-Api-Key,X-Amz-Security-Token";
const HEADERS_AND_KEY: &str = "Content-Type,X-Amz-Date,Authorization,X-Api-Key,X-Amz-Security-Token,Idempotency-Key";
