//! `api-key`: finds out by a key who calls, and lets pass what the key's products allow.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};
use partners::{Index, KeyState, UnixMicros, Unknown};
use pipeline::{ChainBuilder, Exchange, Figures, Flow, OnRequest, OnResponse, Policy, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::entrance::{OPERATION_NOT_ALLOWED, SUBSCRIPTION_PENDING, enter};

/// The request has no key.
pub static API_KEY_MISSING: ProblemKind =
    ProblemKind { code: "api-key-missing", status: StatusCode::UNAUTHORIZED, title: "An API key is needed" };

/// The request has a key that opens nothing here; why, its sender is not told.
pub static API_KEY_UNKNOWN: ProblemKind =
    ProblemKind { code: "api-key-unknown", status: StatusCode::UNAUTHORIZED, title: "The API key is not known" };

/// The key is right, but its time is over.
pub static API_KEY_EXPIRED: ProblemKind =
    ProblemKind { code: "api-key-expired", status: StatusCode::UNAUTHORIZED, title: "The API key has expired" };

/// The key is right, but somebody revoked it.
pub static API_KEY_REVOKED: ProblemKind =
    ProblemKind { code: "api-key-revoked", status: StatusCode::UNAUTHORIZED, title: "The API key was revoked" };

/// Finds out by a key which company and app calls, and lets pass what the products of that app allow.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header that the key is in.
    #[serde(default = "default_header")]
    header: String,
    /// The query parameter that the key may be in instead. Addresses end up in logs, so none is the default.
    query: Option<String>,
    /// Whether the key may be in `Authorization: Bearer` instead.
    #[serde(default)]
    bearer: Bearer,
    /// Whether the key is taken out of the request before the upstream sees it.
    #[serde(default)]
    strip: Strip,
    /// The header that tells callers with a rotated key until when it works, as a date: they are to take the new key before.
    /// `Sunset` (RFC 8594) is the standard's header for resources, and known to some clients.
    #[serde(default = "default_sunset_header")]
    sunset_header: String,
}

fn default_sunset_header() -> String {
    "api-key-sunset".to_owned()
}

fn default_header() -> String {
    "x-api-key".to_owned()
}

/// Whether a key may be sent as a bearer token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bearer {
    /// It is not looked for there.
    #[default]
    Ignored,
    /// It may.
    Accepted,
}

/// What becomes of the key in the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strip {
    /// The upstream never sees it.
    #[default]
    Remove,
    /// The upstream sees it.
    Keep,
}

/// The compiled policy.
pub struct ApiKey {
    index: Arc<Index>,
    header: HeaderName,
    query: Option<String>,
    bearer: Bearer,
    strip: Strip,
    challenge: HeaderValue,
    sunset_header: HeaderName,
    /// When the key stops working that took another one's place; 0 for every other key.
    sunset: Figures<1>,
}

impl Policy for ApiKey {
    const NAME: &'static str = "api-key";
    const STAGE: Stage = Stage::Identify;
    const PROBLEMS: &'static [&'static ProblemKind] = &[
        &API_KEY_MISSING,
        &API_KEY_UNKNOWN,
        &API_KEY_EXPIRED,
        &API_KEY_REVOKED,
        &SUBSCRIPTION_PENDING,
        &OPERATION_NOT_ALLOWED,
    ];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { header, query, bearer, strip, sunset_header } = config;
        let Some(index) = chain.service::<Index>() else {
            return Err(Finding::new(at, "needs the registry of partners: configure a `store`"));
        };
        let named = |member: &str, text: &str| {
            text.parse::<HeaderName>()
                .map_err(|_bad| Finding::new(&at.at(member), format!("`{text}` is no header name")))
        };
        let (name, sunset_header) = (named("header", &header)?, named("sunset_header", &sunset_header)?);
        if name == AUTHORIZATION {
            return Err(Finding::new(&at.at("header"), "write `bearer: accepted` for keys in `authorization`"));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        if let Some(query) = &query
            && (query.is_empty() || !query.bytes().all(is_plain))
        {
            let reason = format!("`{query}` is no parameter name: letters, digits, `-`, `_`, `.` and `~`");
            return Err(Finding::new(&at.at("query"), reason));
        }
        let challenge = format!("ApiKey realm=\"{}\", header=\"{name}\"", chain.scope().replace(['"', '\\'], ""));
        let challenge = HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("ApiKey"));
        Ok(Self { index, header: name, query, bearer, strip, challenge, sunset_header, sunset: chain.figures() })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self.clone());
        chain.on_response(self);
    }
}

impl OnResponse for ApiKey {
    fn on_response(&self, exchange: &mut Exchange, head: &mut http::response::Parts) {
        let [seconds] = exchange.figures(self.sunset);
        if seconds != 0
            && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
        {
            head.headers.insert(self.sunset_header.clone(), date);
        }
    }
}

impl OnRequest for ApiKey {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        let Some(key) = self.presented(exchange) else {
            let detail = format!("Send your key in the header `{}`.", self.header);
            return Ok(self.unauthorized(&API_KEY_MISSING).detail(detail).into());
        };
        let found = match self.index.find(key) {
            Ok(found) => found,
            Err(Unknown::Malformed(how)) => {
                return Ok(self.unauthorized(&API_KEY_UNKNOWN).detail(sentence(&how.to_string())).into());
            }
            Err(Unknown::NoSuchKey) => return Ok(self.unauthorized(&API_KEY_UNKNOWN).into()),
        };
        if let Some(sunset) = found.sunset() {
            exchange.set_figures(self.sunset, [sunset.0 / 1_000_000]);
        }
        // From here on it is known who calls, also if nothing is allowed: a refusal belongs into that company's usage.
        exchange.caller = Some(found.caller().clone());
        let now = UnixMicros(exchange.began_at);
        match found.state(now) {
            KeyState::Alive => {}
            KeyState::Expired(_) => return Ok(self.unauthorized(&API_KEY_EXPIRED).into()),
            KeyState::Revoked(_) => return Ok(self.unauthorized(&API_KEY_REVOKED).into()),
        }
        if let Err(problem) = enter(&found, exchange) {
            return Ok(problem.into());
        }
        found.used(now);
        if self.strip == Strip::Remove {
            self.remove(exchange);
        }
        Ok(Flow::Next)
    }
}

impl ApiKey {
    /// The key in the request.
    fn presented<'a>(&self, exchange: &'a Exchange) -> Option<&'a str> {
        let headers = exchange.headers();
        if let Some(value) = headers.get(&self.header) {
            // What is not ASCII is no key; the empty text is refused as one.
            return Some(value.to_str().unwrap_or_default());
        }
        if self.bearer == Bearer::Accepted
            && let Some(token) = headers.get(AUTHORIZATION).and_then(bearer_token)
        {
            return Some(token);
        }
        let name = self.query.as_deref()?;
        let mut pairs = exchange.head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Takes keys out of the request wherever one may stand, used or not.
    fn remove(&self, exchange: &mut Exchange) {
        let headers = &mut exchange.head.headers;
        headers.remove(&self.header);
        if self.bearer == Bearer::Accepted && headers.get(AUTHORIZATION).and_then(bearer_token).is_some() {
            headers.remove(AUTHORIZATION);
        }
        if let Some(name) = &self.query
            && let Some(uri) = without_parameter(&exchange.head.uri, name)
        {
            exchange.head.uri = uri;
        }
    }

    fn unauthorized(&self, kind: &'static ProblemKind) -> Problem {
        Problem::new(kind).header(WWW_AUTHENTICATE, self.challenge.clone())
    }
}

fn bearer_token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The target without a query parameter; nothing, if it has none of the name.
fn without_parameter(uri: &Uri, name: &str) -> Option<Uri> {
    let is_kept = |pair: &&str| pair.split_once('=').map_or(*pair, |(key, _)| key) != name;
    let query = uri.query()?;
    if query.split('&').all(|pair| is_kept(&pair)) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    let path = uri.path();
    let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

#[cfg(test)]
mod tests;
