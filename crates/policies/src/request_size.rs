//! `request-size`: refuses requests that are larger than a route expects.

use std::sync::Arc;

use http::StatusCode;
use http::header::CONTENT_LENGTH;
use model::units::Size;
use pipeline::{ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// The request's body is longer than this route takes.
pub static BODY_TOO_LARGE: ProblemKind = ProblemKind {
    code: "body-too-large",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    title: "The body is larger than this route takes",
};

/// The request's headers are longer than this route takes.
pub static HEADERS_TOO_LARGE: ProblemKind = ProblemKind {
    code: "headers-too-large",
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    title: "The headers are larger than this route takes",
};

/// The request's query is longer than this route takes.
pub static QUERY_TOO_LONG: ProblemKind = ProblemKind {
    code: "query-too-long",
    status: StatusCode::URI_TOO_LONG,
    title: "The query is longer than this route takes",
};

/// Refuses requests that are larger than a route expects.
///
/// The listener's own limits hold besides, so that this can only lower them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The most that a body can have. One that says to be longer is refused before any of it is read; one that does
    /// not say is cut off when it is.
    body: Option<Size>,
    /// The most that the names and values of all headers can have together.
    headers: Option<Size>,
    /// The most that the query can have.
    query: Option<Size>,
}

/// The compiled policy.
pub struct RequestSize {
    body: Option<u64>,
    headers: Option<usize>,
    query: Option<usize>,
}

impl Policy for RequestSize {
    const NAME: &'static str = "request-size";
    const STAGE: Stage = Stage::Access;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&BODY_TOO_LARGE, &HEADERS_TOO_LARGE, &QUERY_TOO_LONG];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, _: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { body, headers, query } = config;
        if body.is_none() && headers.is_none() && query.is_none() {
            return Err(Finding::new(at, "limits nothing: write a size for `body`, `headers` or `query`"));
        }
        let (headers, query) = (headers.map(Size::as_usize), query.map(Size::as_usize));
        Ok(Self { body: body.map(Size::bytes), headers, query })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for RequestSize {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        if let Some(limit) = self.query
            && exchange.target.query().is_some_and(|query| query.len() > limit)
        {
            return Ok(refusal(&QUERY_TOO_LONG, limit as u64));
        }
        if let Some(limit) = self.headers
            && exchange.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() > limit
        {
            return Ok(refusal(&HEADERS_TOO_LARGE, limit as u64));
        }
        if let Some(limit) = self.body {
            if declared(exchange).is_some_and(|length| length > limit) {
                return Ok(refusal(&BODY_TOO_LARGE, limit));
            }
            exchange.body_limit = Some(exchange.body_limit.map_or(limit, |other| other.min(limit)));
        }
        Ok(Flow::Next)
    }
}

fn refusal(kind: &'static ProblemKind, limit: u64) -> Flow {
    let size = Size::new(limit);
    Problem::new(kind).detail(format!("At most {size} are taken.")).member("limit", limit).into()
}

/// The length that a request says its body has. The proxy has refused what is no number.
fn declared(exchange: &Exchange) -> Option<u64> {
    exchange.headers().get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use pipeline::tester::policy;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_that_says_to_be_too_long_is_refused_at_once() {
        let size = policy::<RequestSize>(json!({ "body": "1KiB" }));

        size.request().by("POST").header("content-length", "1024").passes();
        let answer =
            size.request().by("POST").header("content-length", "1025").is_refused_at_once_with("body-too-large");

        assert_eq!(answer.status, 413);
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(document["detail"], "At most 1KiB are taken.");
        assert_eq!(document["limit"], 1024);
    }

    #[test]
    fn a_body_that_does_not_say_is_left_to_the_proxy_with_the_smallest_limit() {
        let size = policy::<RequestSize>(json!({ "body": "1KiB" }));
        assert_eq!(size.request().passes().body_limit, Some(1024));
        assert_eq!(size.request().with(|x| x.body_limit = Some(10)).passes().body_limit, Some(10));
        assert_eq!(size.request().with(|x| x.body_limit = Some(9999)).passes().body_limit, Some(1024));
    }

    #[test]
    fn headers_and_query_have_limits_of_their_own() {
        let size = policy::<RequestSize>(json!({ "headers": "10B", "query": "4B" }));
        size.request().header("abcde", "12345").passes();
        assert_eq!(size.request().header("abcde", "123456").is_refused_with("headers-too-large").status, 431);
        size.request().to("/?a=bc").passes();
        assert_eq!(size.request().to("/?a=bcd").is_refused_with("query-too-long").status, 414);
    }

    #[test]
    fn mistakes_are_findings() {
        let finding = policy::<RequestSize>(json!({})).finding();
        assert_eq!(finding, "/with: limits nothing: write a size for `body`, `headers` or `query`");
        let finding = policy::<RequestSize>(json!({ "body": 1024 })).finding();
        assert_eq!(finding, "/with: `1024` has no unit; write a size such as `64KiB` or `1MB`");
    }
}
