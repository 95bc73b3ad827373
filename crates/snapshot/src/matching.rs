//! From what an operator writes about requests to what the router is told.

use http::{HeaderName, HeaderValue, Method};
use model::api::{Api, DetailedPath, Match, Operation, PathMatch};
use model::requests::{RepeatedSlashes, Requests, UnderscoreHeaders};
use problem::{Finding, Pointer};

use crate::pattern::{Pattern, Reach, Segment};
use crate::router::{Conditions, Host};

/// One way to a route.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) host: Host,
    pub(crate) pattern: Pattern,
    /// How many segments of the pattern are the API's own.
    pub(crate) base: usize,
    pub(crate) conditions: Conditions,
    pub(crate) summary: String,
    pub(crate) at: Pointer,
}

/// Every way to an API, for each of its matches and hosts, or what is wrong with them.
pub(crate) fn ways(api: &Api, at: &Pointer) -> (Vec<Way>, Vec<Finding>) {
    let (mut ways, mut findings) = (Vec::new(), Vec::new());
    let several = matches!(api.matches, model::api::OneOrMany::Many(_));
    for (index, matched) in api.matches.as_slice().iter().enumerate() {
        let at = if several { at.at("match").at(index) } else { at.at("match") };
        match self::matched(matched, &at) {
            Ok(found) => ways.extend(found),
            Err(wrong) => findings.extend(wrong),
        }
    }
    if several && api.matches.as_slice().is_empty() {
        findings.push(Finding::new(&at.at("match"), "is empty, so no request can come here"));
    }
    (ways, findings)
}

/// Method and path of an operation, as products and operations write them: `GET /orders/{id}`.
pub(crate) fn operation(written: &Operation, at: &Pointer) -> Result<(Option<Method>, Pattern), Finding> {
    let at = at.at("match");
    let wrong = |message: String| Finding::new(&at, message);
    let Some((method, path)) = written.matches.split_once(' ') else {
        return Err(wrong(format!("`{}` is not a method and a path, such as `GET /orders/{{id}}`", written.matches)));
    };
    let method = if method == "*" { None } else { Some(self::method(method).map_err(wrong)?) };
    let (path, reach) = match path.trim().strip_suffix("/**") {
        Some(path) => (if path.is_empty() { "/" } else { path }, Reach::Below),
        None => (path.trim(), Reach::Exact),
    };
    Ok((method, Pattern::parse(path, reach).map_err(wrong)?))
}

fn matched(written: &Match, at: &Pointer) -> Result<Vec<Way>, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut wrong = |key: &str, message: String| findings.push(Finding::new(&at.at(key), message));
    let pattern = match &written.path {
        PathMatch::Prefix(path) | PathMatch::Detailed(DetailedPath::Prefix(path)) => Pattern::parse(path, Reach::Below),
        PathMatch::Detailed(DetailedPath::Exact(path)) => Pattern::parse(path, Reach::Exact),
    };
    let pattern = pattern.map_err(|message| wrong("path", message)).ok();
    let mut hosts = Vec::new();
    for host in written.host.iter().flat_map(model::api::OneOrMany::as_slice) {
        match self::host(host) {
            Ok(host) => hosts.push(host),
            Err(message) => wrong("host", message),
        }
    }
    if hosts.is_empty() {
        hosts.push(Host::Any);
    }
    let mut conditions = Conditions::default();
    for name in written.method.iter().flat_map(model::api::OneOrMany::as_slice) {
        match method(name) {
            Ok(method) => conditions.methods.push(method),
            Err(message) => wrong("method", message),
        }
    }
    for (name, value) in &written.header {
        match header(name, value) {
            Ok(condition) => conditions.headers.push(condition),
            Err(message) => wrong("header", message),
        }
    }
    let query = |(name, value): (&String, &String)| (name.clone(), (value != "*").then(|| value.clone()));
    conditions.query = written.query.iter().map(query).collect();
    let Some(pattern) = pattern.filter(|_| findings.is_empty()) else { return Err(findings) };
    let way = |host: Host| Way {
        summary: summary(&host, &pattern, &conditions),
        host,
        pattern: pattern.clone(),
        base: pattern.segments.len(),
        conditions: conditions.clone(),
        at: at.clone(),
    };
    Ok(hosts.into_iter().map(way).collect())
}

/// Why no request can come by a way, if none can.
pub(crate) fn unreachable(way: &Way, requests: &Requests) -> Option<String> {
    let is_empty = |segment: &Segment| matches!(segment, Segment::Literal(text) if text.is_empty());
    let inner = way.pattern.segments.split_last().map_or(&[][..], |(_, inner)| inner);
    if requests.repeated_slashes != RepeatedSlashes::Keep && inner.iter().any(is_empty) {
        let path = &way.pattern;
        return Some(format!(
            "`{path}` has two slashes in a row, which no request has; write one, or `requests: {{repeated_slashes: keep}}`"
        ));
    }
    let doubtful = way.conditions.headers.iter().map(|(name, _)| name).find(|name| name.as_str().contains('_'));
    match doubtful {
        Some(name) if requests.underscore_headers != UnderscoreHeaders::Keep => Some(format!(
            "`{name}` has an underscore, and such headers are taken out; write another, or `requests: {{underscore_headers: keep}}`"
        )),
        _ => None,
    }
}

/// How an operator recognises a way: `GET api.example.com/orders/**`.
pub(crate) fn summary(host: &Host, pattern: &Pattern, conditions: &Conditions) -> String {
    let methods: Vec<_> = conditions.methods.iter().map(Method::as_str).collect();
    let methods = if methods.is_empty() { "*".to_owned() } else { methods.join("|") };
    let host = match host {
        Host::Any => String::new(),
        Host::Exact(host) => host.to_string(),
        Host::Below(suffix) => format!("*{suffix}"),
    };
    let path = if pattern.segments.is_empty() { String::new() } else { pattern.to_string() };
    let below = match pattern.reach {
        Reach::Exact if path.is_empty() => "/",
        Reach::Exact => "",
        Reach::Below => "/**",
    };
    let mut summary = format!("{methods} {host}{path}{below}");
    for (name, value) in &conditions.headers {
        let value = value.as_ref().map_or("*".into(), |value| String::from_utf8_lossy(value.as_bytes()));
        summary.extend([" ", name.as_str(), ": ", &value]);
    }
    for (name, value) in &conditions.query {
        summary.extend([" ?", name, "=", value.as_deref().unwrap_or("*")]);
    }
    summary
}

fn host(written: &str) -> Result<Host, String> {
    let host = written.to_ascii_lowercase();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    if let Some(suffix) = host.strip_prefix('*') {
        if suffix.starts_with('.') && suffix.get(1..).is_some_and(is_name) {
            return Ok(Host::Below(suffix.into()));
        }
        return Err(format!("`{written}` is no wildcard; write `*.example.com`"));
    }
    if host.starts_with('[') && host.ends_with(']') || is_name(&host) {
        return Ok(Host::Exact(host.into()));
    }
    Err(format!("`{written}` is no host; write a name without scheme, port and path"))
}

fn method(written: &str) -> Result<Method, String> {
    let is_upper = written.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    match Method::from_bytes(written.as_bytes()) {
        Ok(method) if is_upper && !written.is_empty() => Ok(method),
        _ => Err(format!("`{written}` is no method; methods are written in capitals, such as GET")),
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, Option<HeaderValue>), String> {
    let name = name.parse().map_err(|error| format!("`{name}` is no header name: {error}"))?;
    if value == "*" {
        return Ok((name, None));
    }
    let value = HeaderValue::from_str(value).map_err(|error| format!("`{value}` is no header value: {error}"))?;
    Ok((name, Some(value)))
}
