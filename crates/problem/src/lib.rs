//! Failures as people see them: RFC 9457 problems for clients, findings with a place for operators.
//!
//! Deliberately not here: which problems there are. Each kind stands in the file that answers with it.

mod finding;

use std::error::Error as StdError;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value};

pub use self::finding::{Finding, Place, Pointer};

/// One kind of failure, known to clients and operators by its code.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// Part of the public interface: never renamed once released.
    pub code: &'static str,
    /// The status that a response of this kind has.
    pub status: StatusCode,
    /// The same for every occurrence, fit for a heading.
    pub title: &'static str,
}

/// One occurrence of a [`ProblemKind`].
#[derive(Debug)]
pub struct Problem {
    kind: &'static ProblemKind,
    detail: Option<String>,
    members: Map<String, Value>,
    headers: HeaderMap,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Problem {
    /// A problem with nothing to add to its title.
    pub fn new(kind: &'static ProblemKind) -> Self {
        Self { kind, detail: None, members: Map::new(), headers: HeaderMap::new(), cause: None }
    }

    /// Adds a sentence that the client may read: what was wrong, where, and what to do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds an extension member (RFC 9457, section 3.2).
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header to the response, such as `retry-after`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds the reason that goes to the log and to nobody else.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The kind of this problem.
    pub fn kind(&self) -> &'static ProblemKind {
        self.kind
    }

    /// The document as `application/problem+json`.
    fn document(&self) -> Bytes {
        let mut document = Map::new();
        document.insert("type".into(), format!("/problems/{}", self.kind.code).into());
        document.insert("title".into(), self.kind.title.into());
        document.insert("status".into(), self.kind.status.as_u16().into());
        if let Some(detail) = &self.detail {
            document.insert("detail".into(), detail.as_str().into());
        }
        document.extend(self.members.iter().map(|(name, value)| (name.clone(), value.clone())));
        Value::Object(document).to_string().into()
    }

    /// The response that tells the client. A cause, if there is one, goes to the log here.
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        if let Some(cause) = &self.cause {
            tracing::warn!(code = self.kind.code, %cause, "request failed");
        }
        let mut response = Response::new(B::from(self.document()));
        *response.status_mut() = self.kind.status;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(self.kind);
        response
    }
}

/// What an error says, with what caused it; what an error has said of its cause already is not said again.
pub fn with_causes(error: &dyn StdError) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string);
    causes.fold(error.to_string(), |told, cause| if told.contains(&cause) { told } else { format!("{told}: {cause}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    static TEAPOT: ProblemKind =
        ProblemKind { code: "teapot", status: StatusCode::IM_A_TEAPOT, title: "I am a teapot" };

    #[test]
    fn a_client_reads_type_title_status_detail_and_members_but_no_cause() {
        let problem = Problem::new(&TEAPOT).detail("Ask for tea.").member("pot", "brown").because("secret reason");

        let response: Response<Bytes> = problem.into_response();

        assert_eq!(response.status(), 418);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let document: Value = serde_json::from_slice(response.body()).unwrap();
        let expected = serde_json::json!({
            "type": "/problems/teapot", "title": "I am a teapot", "status": 418, "detail": "Ask for tea.", "pot": "brown"
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug)]
        struct Layer(&'static str, Option<Box<Layer>>);

        impl std::fmt::Display for Layer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }

        impl StdError for Layer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                self.1.as_deref().map(|cause| cause as _)
            }
        }

        let refused = || Some(Box::new(Layer("refused", None)));
        let cases = [
            (Layer("no store", None), "no store"),
            (Layer("no store", Some(Box::new(Layer("no connection", refused())))), "no store: no connection: refused"),
            (Layer("no store: refused", refused()), "no store: refused"),
        ];
        for (error, told) in cases {
            assert_eq!(with_causes(&error), told);
        }
    }
}
