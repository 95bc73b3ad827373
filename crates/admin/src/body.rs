//! What is sent: JSON, of a bounded size, that says exactly what it should.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use problem::{Finding, Pointer, Problem, ProblemKind};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::failure::{Failure, header_text};

/// The body is of a type that this operation does not read.
pub(crate) static UNSUPPORTED_TYPE: ProblemKind = ProblemKind {
    code: "unsupported-type",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    title: "The body's type is not read here",
};

/// The body is longer than this operation reads.
pub(crate) static TOO_LONG: ProblemKind =
    ProblemKind { code: "too-long", status: StatusCode::PAYLOAD_TOO_LARGE, title: "The body is too long" };

/// The body is not what its type says.
pub(crate) static MALFORMED: ProblemKind =
    ProblemKind { code: "malformed", status: StatusCode::BAD_REQUEST, title: "The body cannot be read" };

/// The body as a value.
pub(crate) struct Json<T>(pub(crate) T);

/// The body as a value, or the default if there is none.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        expect_type(&request, &["application/json"])?;
        parse(&read(request.into_body(), LONGEST).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let typed = expect_type(&request, &["application/json"]);
        let body = read(request.into_body(), LONGEST).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        typed?;
        parse(&body).map(Self)
    }
}

/// Refuses a body of another type.
pub(crate) fn expect_type(request: &Request, types: &'static [&'static str]) -> Result<(), Failure> {
    let given = header_text(request.headers(), CONTENT_TYPE);
    let media = given.and_then(|given| given.split(';').next()).unwrap_or_default().trim();
    if types.iter().any(|known| known.eq_ignore_ascii_case(media)) {
        return Ok(());
    }
    let problem =
        Problem::new(&UNSUPPORTED_TYPE).detail(format!("Send it with `Content-Type: {}`.", types.join("` or `")));
    let first = types.first().copied().unwrap_or_default();
    Err(problem.header(http::header::ACCEPT, HeaderValue::from_static(first)).into())
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Problem::new(&TOO_LONG).detail(format!("At most {limit} bytes are read here.")).into())
        }
        Err(error) => Err(Problem::new(&MALFORMED).detail("The body broke off.").because(error).into()),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let at = pointer(error.path());
        wrong(&at, error.inner())
    })?;
    reader.end().map_err(|error| wrong(&Pointer::default(), &error))?;
    Ok(value)
}

fn wrong(at: &Pointer, error: &serde_json::Error) -> Failure {
    let message = error.to_string();
    match error.classify() {
        Category::Data => {
            let said = message.rsplit_once(" at line ").map_or(message.as_str(), |(said, _)| said);
            // What is missing stands nowhere, so that its place is where it should.
            let missing = said.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
            let at = missing.map_or_else(|| at.clone(), |member| at.at(member));
            Failure::invalid(&[Finding::new(&at, said)])
        }
        Category::Io | Category::Syntax | Category::Eof => {
            Problem::new(&MALFORMED).detail(format!("This is no JSON: {message}.")).into()
        }
    }
}

/// Where a value stands, as far as that is known.
fn pointer(path: &serde_path_to_error::Path) -> Pointer {
    path.iter().fold(Pointer::default(), |at, segment| match segment {
        Segment::Seq { index } => at.at(index),
        Segment::Map { key } => at.at(key),
        Segment::Enum { .. } | Segment::Unknown => at,
    })
}

/// Bytes of a body, unless the operation says otherwise: a product with a thousand operations fits.
pub(crate) const LONGEST: usize = 256 * 1024;
