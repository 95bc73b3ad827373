//! `cors`: says which web pages may use the answers, and answers their preflight requests.

use std::sync::Arc;

use http::header::{self, HeaderName};
use http::response;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use model::units::Span;
use pipeline::{Body, ChainBuilder, Exchange, Flow, OnRequest, OnResponse, Policy, Slot, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;

/// A page of this origin may not use the route.
pub static ORIGIN_FORBIDDEN: ProblemKind = ProblemKind {
    code: "origin-forbidden",
    status: StatusCode::FORBIDDEN,
    title: "Pages of this origin may not use this route",
};

/// Says which web pages may use the answers (the Fetch standard's CORS protocol).
///
/// Preflight requests are answered here and never reach the upstream. The upstream's own `access-control-` headers
/// are replaced. A request of another origin passes, but its page does not get to see the answer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Origins such as `https://app.example.com`, `https://*.example.com` for everything below, or `*` for all.
    origins: Vec<String>,
    /// Methods that pages may use.
    #[serde(default = "simple_methods")]
    methods: Vec<String>,
    /// Headers that pages may send. `*` allows whatever a preflight request asks for.
    #[serde(default)]
    headers: Vec<String>,
    /// Headers of the answer that pages may read, besides the few that they always may.
    #[serde(default)]
    expose: Vec<String>,
    /// Whether pages may send cookies and credentials. Not together with the origin `*`.
    #[serde(default)]
    credentials: bool,
    /// How long browsers may remember the answer to a preflight request.
    #[serde(default = "ten_minutes")]
    max_age: Span,
}

fn simple_methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(str::to_owned).to_vec()
}

fn ten_minutes() -> Span {
    Span::seconds(600)
}

/// The compiled policy.
pub struct Cors {
    origins: Origins,
    methods: HeaderValue,
    headers: AllowedHeaders,
    expose: Option<HeaderValue>,
    credentials: Credentials,
    max_age: HeaderValue,
    /// The origin of an exchange, if its page may see the answer.
    allowed: Slot<HeaderValue>,
}

enum Origins {
    All,
    These(Vec<Origin>),
}

enum Origin {
    Exact(String),
    /// What stands before and after the subdomain.
    Below(String, String),
}

enum AllowedHeaders {
    Asked,
    These(Option<HeaderValue>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Allowed,
    LeftOut,
}

impl Policy for Cors {
    const NAME: &'static str = "cors";
    const STAGE: Stage = Stage::Access;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&ORIGIN_FORBIDDEN];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let origins = Origins::read(&config.origins, &at.at("origins"))?;
        if config.credentials && matches!(origins, Origins::All) {
            let message = "goes with named origins only: with `*` every page in the world could act as its visitor";
            return Err(Finding::new(&at.at("credentials"), message));
        }
        for (index, method) in config.methods.iter().enumerate() {
            Method::from_bytes(method.as_bytes())
                .map_err(|_invalid| Finding::new(&at.at("methods").at(index), format!("`{method}` is no method")))?;
        }
        let headers = if config.headers.iter().any(|name| name == "*") {
            AllowedHeaders::Asked
        } else {
            AllowedHeaders::These(names(&config.headers, &at.at("headers"))?)
        };
        let value = |text: String, key: &str| {
            HeaderValue::try_from(text).map_err(|_invalid| Finding::new(&at.at(key), "cannot stand in a header"))
        };
        Ok(Self {
            origins,
            methods: value(config.methods.join(", "), "methods")?,
            headers,
            expose: names(&config.expose, &at.at("expose"))?,
            credentials: if config.credentials { Credentials::Allowed } else { Credentials::LeftOut },
            max_age: HeaderValue::from(config.max_age.duration().as_secs()),
            allowed: chain.slot(),
        })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self.clone());
        chain.on_response(self);
    }
}

impl OnRequest for Cors {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        let Some(origin) = exchange.headers().get(header::ORIGIN) else { return Ok(Flow::Next) };
        let allowed = self.origins.hold(origin);
        let asked = exchange.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let is_preflight = exchange.method == Method::OPTIONS && asked;
        if !allowed {
            return Ok(if is_preflight { Problem::new(&ORIGIN_FORBIDDEN).into() } else { Flow::Next });
        }
        let origin = origin.clone();
        let answer = is_preflight.then(|| self.preflight(exchange.headers()));
        exchange.note(self.allowed, origin);
        Ok(answer.map_or(Flow::Next, |answer| Flow::Respond(Box::new(answer))))
    }
}

impl OnResponse for Cors {
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        let headers = &mut head.headers;
        let is_preflight = head.extensions.remove::<Preflight>().is_some();
        if !is_preflight {
            for name in &OURS {
                headers.remove(name);
            }
        }
        if !self.any_page() {
            // On answers without an origin too: a cache must not give those to pages (Fetch, section 3.2.5).
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = exchange.noted(self.allowed) else { return };
        let origin = if self.any_page() { HeaderValue::from_static("*") } else { origin.clone() };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials == Credentials::Allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = &self.expose
            && !is_preflight
        {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

/// Marks the answer to a preflight request, whose headers are complete but for the origin.
#[derive(Clone, Copy)]
struct Preflight;

impl Cors {
    fn any_page(&self) -> bool {
        matches!(self.origins, Origins::All)
    }

    fn preflight(&self, asked: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        let names = match &self.headers {
            AllowedHeaders::These(names) => names.as_ref(),
            AllowedHeaders::Asked => {
                headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
                asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS)
            }
        };
        if let Some(names) = names {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        response.extensions_mut().insert(Preflight);
        response
    }
}

impl Origins {
    fn read(origins: &[String], at: &Pointer) -> Result<Self, Finding> {
        if origins.is_empty() {
            return Err(Finding::new(at, "names no origin; write one such as `https://app.example.com`"));
        }
        if origins.iter().any(|origin| origin == "*") {
            let alone = origins.len() == 1;
            return if alone {
                Ok(Self::All)
            } else {
                Err(Finding::new(at, "has `*` among others, which it makes useless"))
            };
        }
        let read = |(index, origin): (usize, &String)| Origin::read(origin, &at.at(index));
        origins.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self::These)
    }

    fn hold(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::All => true,
            Self::These(origins) => origin.to_str().is_ok_and(|origin| origins.iter().any(|known| known.is(origin))),
        }
    }
}

impl Origin {
    fn read(origin: &str, at: &Pointer) -> Result<Self, Finding> {
        let wrong = || {
            let advice = "write one such as `https://app.example.com` or `https://*.example.com`, without a path";
            Finding::new(at, format!("`{origin}` is no origin; {advice}"))
        };
        let lower = origin.to_ascii_lowercase();
        if lower == "null" {
            return Err(Finding::new(at, "`null` is the origin of any sandboxed page, and so of anybody's"));
        }
        let (scheme, host) = lower.split_once("://").ok_or_else(wrong)?;
        let is_host = |host: &str| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
        };
        if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return Err(wrong());
        }
        match host.strip_prefix("*.") {
            Some(domain) if is_host(domain) => Ok(Self::Below(format!("{scheme}://"), format!(".{domain}"))),
            None if is_host(host) => Ok(Self::Exact(lower)),
            _ => Err(wrong()),
        }
    }

    /// Whether an origin is this one. Browsers write origins in lower case.
    fn is(&self, origin: &str) -> bool {
        match self {
            Self::Exact(known) => known == origin,
            Self::Below(scheme, domain) => {
                let below = origin.strip_prefix(scheme.as_str()).and_then(|host| host.strip_suffix(domain.as_str()));
                below.is_some_and(|below| {
                    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
                    !below.is_empty() && below.bytes().all(is_label)
                })
            }
        }
    }
}

fn names(names: &[String], at: &Pointer) -> Result<Option<HeaderValue>, Finding> {
    for (index, name) in names.iter().enumerate() {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_invalid| Finding::new(&at.at(index), format!("`{name}` is no name of a header")))?;
    }
    if names.is_empty() {
        return Ok(None);
    }
    HeaderValue::try_from(names.join(", ")).map(Some).map_err(|_invalid| Finding::new(at, "cannot stand in a header"))
}

/// The headers of the CORS protocol in answers, which only this policy writes.
const OURS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

#[cfg(test)]
mod tests {
    use pipeline::tester::{Answer, PolicyUnderTest, policy};
    use serde_json::json;

    use super::*;

    fn answer(cors: &PolicyUnderTest<Cors>, origin: &str) -> Answer {
        let upstream = Response::builder().header("access-control-allow-origin", "https://upstream.example");
        cors.request().header("origin", origin).answered(upstream.body(Body::Empty).unwrap())
    }

    fn allowed(answer: &Answer) -> Option<&str> {
        answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap())
    }

    #[test]
    fn pages_of_named_origins_may_see_the_answer_and_others_may_not() {
        let cors = policy::<Cors>(json!({ "origins": ["https://app.example.com", "https://*.shop.example"] }));
        for origin in ["https://app.example.com", "https://a.shop.example", "https://a.b.shop.example"] {
            let answer = answer(&cors, origin);
            assert_eq!(allowed(&answer), Some(origin));
            assert_eq!(answer.headers["vary"], "Origin");
        }
        for origin in [
            "https://shop.example",
            "http://a.shop.example",
            "https://evil.example/.shop.example",
            "https://ashop.example",
            "https://a.shop.example.evil.example",
            "https://.shop.example:80",
            "null",
        ] {
            let answer = answer(&cors, origin);
            assert_eq!(allowed(&answer), None, "{origin}");
            assert_eq!(answer.headers["vary"], "Origin");
        }
    }

    #[test]
    fn an_answer_without_an_origin_varies_too() {
        let cors = policy::<Cors>(json!({ "origins": ["https://app.example.com"] }));
        let answer = cors.request().answered(Response::new(Body::Empty));
        assert_eq!(answer.headers["vary"], "Origin");
        assert_eq!(allowed(&answer), None);
    }

    #[test]
    fn all_origins_need_no_vary() {
        let answer = answer(&policy::<Cors>(json!({ "origins": ["*"] })), "https://anybody.example");
        assert_eq!(allowed(&answer), Some("*"));
        assert!(!answer.headers.contains_key("vary"));
    }

    #[test]
    fn a_preflight_request_is_answered_here() {
        let cors = policy::<Cors>(json!({
            "origins": ["https://app.example.com"], "methods": ["GET", "PUT"], "headers": ["content-type", "x-key"],
            "expose": ["x-total"], "credentials": true, "max_age": "1h",
        }));
        let preflight = |origin: &str| {
            let request = cors.request().by("OPTIONS").header("origin", origin);
            request.header("access-control-request-method", "PUT")
        };

        let answer = preflight("https://app.example.com").is_refused_with("no problem");

        assert_eq!(answer.status, 204);
        for (name, value) in [
            ("access-control-allow-origin", "https://app.example.com"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "content-type, x-key"),
            ("access-control-allow-credentials", "true"),
            ("access-control-max-age", "3600"),
            ("vary", "Origin"),
        ] {
            assert_eq!(answer.headers[name], value);
        }
        assert!(!answer.headers.contains_key("access-control-expose-headers"));
        let refused = preflight("https://evil.example").is_refused_with("origin-forbidden");
        assert_eq!(allowed(&refused), None);
    }

    #[test]
    fn a_star_among_headers_allows_what_is_asked_for() {
        let cors = policy::<Cors>(json!({ "origins": ["https://a.example"], "headers": ["*"] }));
        let request = cors.request().by("OPTIONS").header("origin", "https://a.example");
        let request = request.header("access-control-request-method", "GET");
        let answer = request.header("access-control-request-headers", "authorization,x").is_refused_with("no problem");
        assert_eq!(answer.headers["access-control-allow-headers"], "authorization,x");
    }

    #[test]
    fn other_options_requests_reach_the_upstream() {
        let cors = policy::<Cors>(json!({ "origins": ["https://a.example"] }));
        cors.request().by("OPTIONS").header("origin", "https://a.example").passes();
        cors.request().by("OPTIONS").header("access-control-request-method", "GET").passes();
    }

    #[test]
    fn exposed_headers_and_credentials_are_named_on_answers() {
        let settings = json!({ "origins": ["https://a.example"], "expose": ["x-total"], "credentials": true });
        let answer = answer(&policy::<Cors>(settings), "https://a.example");
        assert_eq!(answer.headers["access-control-expose-headers"], "x-total");
        assert_eq!(answer.headers["access-control-allow-credentials"], "true");
        assert!(!answer.headers.contains_key("access-control-allow-methods"));
    }

    #[test]
    fn mistakes_are_findings() {
        for (settings, expected) in [
            (json!({ "origins": [] }), "/with/origins: names no origin"),
            (json!({ "origins": ["*", "https://a.example"] }), "/with/origins: has `*` among others"),
            (json!({ "origins": ["*"], "credentials": true }), "/with/credentials: goes with named origins only"),
            (json!({ "origins": ["a.example"] }), "/with/origins/0: `a.example` is no origin; write one such as"),
            (json!({ "origins": ["https://a.example/"] }), "without a path"),
            (json!({ "origins": ["https://*"] }), "is no origin"),
            (json!({ "origins": ["null"] }), "anybody's"),
            (json!({ "origins": ["*"], "methods": ["G ET"] }), "/with/methods/0: `G ET` is no method"),
            (json!({ "origins": ["*"], "expose": ["a b"] }), "/with/expose/0: `a b` is no name of a header"),
            (json!({}), "missing field `origins`"),
        ] {
            let finding = policy::<Cors>(settings).finding();
            assert!(finding.contains(expected), "{finding}");
        }
    }
}
