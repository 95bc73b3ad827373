//! What the proxy refuses by itself: requests that are malformed, too large or ambiguous.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, request};
use http_body::{Frame, SizeHint};
use http_body_util::LengthLimitError;
use model::requests::RepeatedSlashes;
use pipeline::{Body, BoxError};
use problem::{Problem, ProblemKind};

/// A message that is not valid HTTP, or can be read in more than one way.
pub(crate) static BAD_REQUEST: ProblemKind =
    ProblemKind { code: "bad-request", status: StatusCode::BAD_REQUEST, title: "The request is not valid" };

/// The path can be read in more than one way.
pub(crate) static AMBIGUOUS_PATH: ProblemKind =
    ProblemKind { code: "ambiguous-path", status: StatusCode::BAD_REQUEST, title: "The path is ambiguous" };

/// A header has a name that backends may take for another one.
pub(crate) static AMBIGUOUS_HEADER: ProblemKind = ProblemKind {
    code: "ambiguous-header",
    status: StatusCode::BAD_REQUEST,
    title: "The name of a header is ambiguous",
};

/// The body is larger than it may be.
pub(crate) static BODY_TOO_LARGE: ProblemKind =
    ProblemKind { code: "body-too-large", status: StatusCode::PAYLOAD_TOO_LARGE, title: "The body is too large" };

/// The client was too slow.
pub(crate) static TOO_SLOW: ProblemKind =
    ProblemKind { code: "too-slow", status: StatusCode::REQUEST_TIMEOUT, title: "The request came too slowly" };

/// The method is not supported by the gateway.
pub(crate) static METHOD_UNSUPPORTED: ProblemKind = ProblemKind {
    code: "method-unsupported",
    status: StatusCode::NOT_IMPLEMENTED,
    title: "The gateway does not support this method",
};

/// The target is longer than it may be.
pub(crate) static URI_TOO_LONG: ProblemKind =
    ProblemKind { code: "uri-too-long", status: StatusCode::URI_TOO_LONG, title: "The request target is too long" };

/// The head, or the trailers, are larger than they may be.
pub(crate) static HEAD_TOO_LARGE: ProblemKind = ProblemKind {
    code: "head-too-large",
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    title: "The headers are too large",
};

/// A method or a transfer coding that nobody here knows.
pub(crate) static NOT_IMPLEMENTED: ProblemKind = ProblemKind {
    code: "not-implemented",
    status: StatusCode::NOT_IMPLEMENTED,
    title: "The gateway does not know this method or coding",
};

/// Another version of HTTP.
pub(crate) static VERSION_UNSUPPORTED: ProblemKind = ProblemKind {
    code: "version-unsupported",
    status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    title: "This version of HTTP is not supported",
};

/// Why a client's body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is not framed as it says.
    #[error("{0}")]
    Malformed(http1::Refusal),
    /// It is larger than it may be.
    #[error("the body has more than {0} bytes")]
    TooLarge(u64),
    /// It comes too slowly.
    #[error("the body comes too slowly")]
    TooSlow,
    /// The client went away.
    #[error("the client closed the connection")]
    Gone,
}

/// What is wrong with a request's target, if anything is.
pub(crate) fn target(head: &request::Parts, slashes: RepeatedSlashes) -> Option<Problem> {
    if head.method == Method::CONNECT && head.extensions.get::<h2::ext::Protocol>().is_none() {
        return Some(
            Problem::new(&METHOD_UNSUPPORTED).detail("The gateway is no forward proxy; CONNECT is not served."),
        );
    }
    let path = head.uri.path();
    if slashes == RepeatedSlashes::Refuse && repeats_slashes(path) {
        let detail = "Several slashes in a row are read differently by different servers; send the path with one.";
        return Some(Problem::new(&AMBIGUOUS_PATH).detail(detail));
    }
    // Nothing can be ambiguous without one of these.
    if !path.contains("/.") && !path.contains(['%', '\\']) {
        return None;
    }
    // Servers that decode slashes before they look for segments see more of them.
    let decoded = contains_ignoring_case(path, "%2f").then(|| path.replace("%2f", "/").replace("%2F", "/"));
    if decoded.as_deref().unwrap_or(path).split('/').any(is_dots) {
        let detail = "Path segments `.` and `..`, encoded or not, are read differently by different servers; \
                      send the path without them.";
        return Some(Problem::new(&AMBIGUOUS_PATH).detail(detail));
    }
    if path.contains('\\') || contains_ignoring_case(path, "%5c") || path.contains("%00") {
        let detail = "Backslashes and zero bytes in a path are read differently by different servers.";
        return Some(Problem::new(&AMBIGUOUS_PATH).detail(detail));
    }
    None
}

/// Whether two slashes follow one another.
pub(crate) fn repeats_slashes(path: &str) -> bool {
    path.as_bytes().windows(2).any(|pair| pair == b"//")
}

/// The problem that a header with an underscore in its name is.
pub(crate) fn ambiguous_header(name: &HeaderName) -> Problem {
    let detail = format!("Some servers do not tell `{name}` from the same name with `-`; send it with `-`.");
    Problem::new(&AMBIGUOUS_HEADER).detail(detail)
}

/// Whether a segment is `.` or `..`, with its dots encoded or not, and with path parameters or not.
fn is_dots(segment: &str) -> bool {
    if !segment.starts_with(['.', '%']) {
        return false;
    }
    let segment = segment.split(';').next().unwrap_or_default();
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    matches!(plain.as_str(), "." | "..")
}

fn contains_ignoring_case(text: &str, wanted: &str) -> bool {
    text.as_bytes().windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The problem that a message which cannot be read is.
pub(crate) fn message(refusal: &http1::Refusal) -> Problem {
    let kind = match refusal.status() {
        StatusCode::URI_TOO_LONG => &URI_TOO_LONG,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => &HEAD_TOO_LARGE,
        StatusCode::NOT_IMPLEMENTED => &NOT_IMPLEMENTED,
        StatusCode::HTTP_VERSION_NOT_SUPPORTED => &VERSION_UNSUPPORTED,
        _ => &BAD_REQUEST,
    };
    Problem::new(kind).detail(refusal.to_string()).member("reason", refusal.code())
}

/// The problem if a body is known to be larger than it may be.
pub(crate) fn body_over(body: &Body, limit: u64) -> Option<Problem> {
    use http_body::Body as _;
    (body.size_hint().lower() > limit).then(|| too_large(limit))
}

/// The problem that an error while reading a client's body is.
pub(crate) fn body(error: &(dyn std::error::Error + Send + Sync + 'static), limit: usize) -> Problem {
    if error.is::<LengthLimitError>() {
        return too_large(limit as u64);
    }
    match find::<BodyError>(error) {
        Some(BodyError::TooLarge(limit)) => too_large(*limit),
        Some(BodyError::TooSlow) => Problem::new(&TOO_SLOW).detail("The body came below the minimum rate."),
        Some(BodyError::Malformed(refusal)) => message(refusal),
        Some(BodyError::Gone) | None => Problem::new(&BAD_REQUEST).detail("The body ended before its end."),
    }
}

/// A body that ends in an error once it is larger than a policy lets it be.
pub(crate) struct Capped {
    body: Body,
    read: u64,
    limit: u64,
}

impl Capped {
    pub(crate) fn new(body: Body, limit: u64) -> Self {
        Self { body, read: 0, limit }
    }
}

impl http_body::Body for Capped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()? else {
            return Poll::Ready(None);
        };
        self.read += frame.data_ref().map_or(0, Bytes::len) as u64;
        if self.read > self.limit {
            return Poll::Ready(Some(Err(BodyError::TooLarge(self.limit).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn too_large(limit: u64) -> Problem {
    Problem::new(&BODY_TOO_LARGE).detail(format!("At most {limit} bytes are taken here.")).member("limit", limit)
}

fn find<'e, E: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, slashes: RepeatedSlashes) -> bool {
        let (head, ()) = http::Request::get(path).body(()).unwrap().into_parts();
        target(&head, slashes).is_some()
    }

    #[test]
    fn paths_that_servers_read_differently_are_refused() {
        for path in ["/a/../b", "/a/%2e%2E/b", "/a/.%2e", "/./a", "/a/..;x=1/b", "/a%5Cb", "/a%00"] {
            assert!(refused(path, RepeatedSlashes::Merge), "{path}");
        }
        for path in ["/", "/a/...", "/a/.well-known", "/a/b..c", "/a//b", "/a/%2f"] {
            assert!(!refused(path, RepeatedSlashes::Merge), "{path}");
        }
        assert!(refused("/a//b", RepeatedSlashes::Refuse) && refused("//a/b", RepeatedSlashes::Refuse));
        assert!(!refused("/a/b/?c=//", RepeatedSlashes::Refuse) && !refused("/a//b", RepeatedSlashes::Keep));
    }
}
