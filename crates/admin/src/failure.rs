//! How every operation says that it was not done.

use axum::response::{IntoResponse, Response};
use control::{NoAuthority, NotIssued, NotRenewed};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use partners::Error;
use problem::{Finding, Problem, ProblemKind};
use serde_json::{Value, json};

use crate::Refused;

/// There is nothing of this name.
pub(crate) static NOT_FOUND: ProblemKind =
    ProblemKind { code: "not-found", status: StatusCode::NOT_FOUND, title: "There is no such thing" };

/// The name is taken.
pub(crate) static NAME_TAKEN: ProblemKind =
    ProblemKind { code: "name-taken", status: StatusCode::CONFLICT, title: "The name is taken" };

/// It was asked for too often.
pub(crate) static TOO_OFTEN: ProblemKind =
    ProblemKind { code: "too-often", status: StatusCode::TOO_MANY_REQUESTS, title: "That was asked for too often" };

/// Others depend on it.
pub(crate) static IN_USE: ProblemKind =
    ProblemKind { code: "in-use", status: StatusCode::CONFLICT, title: "Something else depends on it" };

/// There are as many tokens as there may be.
pub(crate) static TOO_MANY_TOKENS: ProblemKind =
    ProblemKind { code: "too-many-tokens", status: StatusCode::CONFLICT, title: "There are too many tokens" };

/// There are as many webhooks as there may be.
pub(crate) static TOO_MANY_WEBHOOKS: ProblemKind =
    ProblemKind { code: "too-many-webhooks", status: StatusCode::CONFLICT, title: "There are too many webhooks" };

/// Somebody else changed it meanwhile.
pub(crate) static CHANGED: ProblemKind = ProblemKind {
    code: "changed-meanwhile",
    status: StatusCode::PRECONDITION_FAILED,
    title: "It has been changed meanwhile",
};

/// Only the configuration file may change it.
pub(crate) static MANAGED_BY_FILE: ProblemKind = ProblemKind {
    code: "managed-by-file",
    status: StatusCode::CONFLICT,
    title: "The configuration file manages this, and nobody else",
};

/// An app has only so many keys that work.
pub(crate) static TOO_MANY_KEYS: ProblemKind =
    ProblemKind { code: "too-many-keys", status: StatusCode::CONFLICT, title: "The app has too many keys" };

/// An app has only so many certificates that work.
pub(crate) static TOO_MANY_CERTIFICATES: ProblemKind = ProblemKind {
    code: "too-many-certificates",
    status: StatusCode::CONFLICT,
    title: "The app has too many certificates",
};

/// The certificate does not work any more.
pub(crate) static CERTIFICATE_IS_DEAD: ProblemKind =
    ProblemKind { code: "certificate-is-dead", status: StatusCode::CONFLICT, title: "The certificate is revoked" };

/// There is no authority that could sign.
pub(crate) static NO_AUTHORITY: ProblemKind =
    ProblemKind { code: "no-authority", status: StatusCode::CONFLICT, title: "There is no such authority" };

/// The key does not work any more.
pub(crate) static KEY_IS_DEAD: ProblemKind =
    ProblemKind { code: "key-is-dead", status: StatusCode::CONFLICT, title: "The key is revoked or expired" };

/// Another key took its place.
pub(crate) static KEY_IS_ROTATED: ProblemKind =
    ProblemKind { code: "key-is-rotated", status: StatusCode::CONFLICT, title: "Another key took its place" };

/// Two secrets of one key are the most that work.
pub(crate) static KEY_OVERLAPS: ProblemKind =
    ProblemKind { code: "key-overlaps", status: StatusCode::CONFLICT, title: "The key before this one still works" };

/// What was sent is wrong; the findings say where.
pub(crate) static INVALID: ProblemKind =
    ProblemKind { code: "invalid", status: StatusCode::UNPROCESSABLE_ENTITY, title: "Some of what was sent is wrong" };

/// The store cannot be asked.
pub(crate) static STORE_UNAVAILABLE: ProblemKind = ProblemKind {
    code: "store-unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The store cannot be asked now",
};

/// As things are, it cannot be done.
pub(crate) static CONFLICT: ProblemKind =
    ProblemKind { code: "conflict", status: StatusCode::CONFLICT, title: "As things are, this cannot be done" };

/// It failed.
pub(crate) static FAILED: ProblemKind =
    ProblemKind { code: "failed", status: StatusCode::INTERNAL_SERVER_ERROR, title: "It failed" };

/// A problem as the answer of an operation.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Problem);

impl Failure {
    /// Everything that is wrong with what was sent.
    pub(crate) fn invalid(findings: &[Finding]) -> Self {
        let detail = match findings {
            [finding] => finding.to_string(),
            many => format!("{} things are wrong; `findings` has them all.", many.len()),
        };
        let listed: Vec<_> = findings.iter().map(as_json).collect();
        Problem::new(&INVALID).detail(detail).member("findings", listed).into()
    }

    /// A store that cannot be asked, for a request that was to change nothing.
    pub(crate) fn of_a_look() -> Self {
        let detail = "The gateway's log says what is wrong with the store. Try again when it is there.";
        Problem::new(&STORE_UNAVAILABLE).detail(detail).header(RETRY_AFTER, HeaderValue::from_static("1")).into()
    }

    /// There is nothing of this name.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Problem::new(&NOT_FOUND).detail(format!("There is no {what}.")).into()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<NotRenewed> for Failure {
    fn from(error: NotRenewed) -> Self {
        match error {
            NotRenewed::NoAuthority(error) => error.into(),
            NotRenewed::Brought(_) => Problem::new(&CONFLICT).detail(error.to_string()).into(),
            NotRenewed::NotThere(_) => Problem::new(&FAILED).because(error.to_string()).into(),
        }
    }
}

impl From<NotIssued> for Failure {
    fn from(error: NotIssued) -> Self {
        match error {
            NotIssued::NoAuthority(error) => error.into(),
            NotIssued::Partners(error) => error.into(),
        }
    }
}

impl From<NoAuthority> for Failure {
    fn from(error: NoAuthority) -> Self {
        Problem::new(&NO_AUTHORITY).detail(sentence(&error.to_string())).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let told = |kind, error: &Error| Self(Problem::new(kind).detail(sentence(&error.to_string())));
        match error {
            Error::NotFound(_) => told(&NOT_FOUND, &error),
            Error::Exists(_) => told(&NAME_TAKEN, &error),
            Error::InUse(_) => told(&IN_USE, &error),
            Error::Changed(_) => told(&CHANGED, &error),
            Error::ManagedByFile(_) => told(&MANAGED_BY_FILE, &error),
            Error::TooManyKeys { .. } => told(&TOO_MANY_KEYS, &error),
            Error::TooOften { .. } => told(&TOO_OFTEN, &error),
            Error::TooManyTokens(_) => told(&TOO_MANY_TOKENS, &error),
            Error::TooManyWebhooks(_) => told(&TOO_MANY_WEBHOOKS, &error),
            Error::KeyIsDead(_) => told(&KEY_IS_DEAD, &error),
            Error::TooManyCertificates { .. } => told(&TOO_MANY_CERTIFICATES, &error),
            Error::CertificateIsDead(_) => told(&CERTIFICATE_IS_DEAD, &error),
            Error::NotSigned(_) | Error::Unfit(_) => told(&FAILED, &error),
            Error::KeyIsRotated { .. } => told(&KEY_IS_ROTATED, &error),
            Error::Overlaps { .. } => told(&KEY_OVERLAPS, &error),
            Error::NoOverlap(_) => told(&CONFLICT, &error),
            Error::Invalid(findings) => Self::invalid(&findings),
            Error::Unavailable(cause) => cause.into(),
            Error::NoRandomness => Problem::new(&FAILED).detail("The system gives no randomness.").into(),
        }
    }
}

impl From<store::Unavailable> for Failure {
    fn from(cause: store::Unavailable) -> Self {
        // That of a request which was to change nothing is another one: `of_a_look`.
        let detail = "Whether a change was made is not known: look before you try again. The gateway's log says what is \
                      wrong with the store.";
        let problem = Problem::new(&STORE_UNAVAILABLE).detail(detail).because(cause);
        problem.header(RETRY_AFTER, HeaderValue::from_static("1")).into()
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Findings(findings) => Self::invalid(&findings),
            Refused::Conflict(why) => Problem::new(&CONFLICT).detail(sentence(&why)).into(),
            Refused::Failed(what, cause) => Problem::new(&FAILED).detail(sentence(&what)).because(cause).into(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// A finding for machines.
fn as_json(finding: &Finding) -> Value {
    let place = finding.place.as_ref();
    json!({
        "file": place.map(|place| &place.file),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "pointer": finding.at.as_str(),
        "message": finding.message,
    })
}

/// An error's message as a sentence.
pub(crate) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    let ending = if message.ends_with('.') { "" } else { "." };
    first.into_iter().chain(letters).collect::<String>() + ending
}

/// The text of a header, if it is text.
pub(crate) fn header_text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_a_sentence() {
        assert_eq!(sentence("there is no company `x`"), "There is no company `x`.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), ".");
    }

    #[test]
    fn a_store_that_is_down_is_not_the_callers_mistake() {
        let response = Failure::from(store::Unavailable::because("the disk is full")).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }
}
