//! What a request says about itself: its host, its client, its route; and what it must not say.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request};
use model::requests::{RepeatedSlashes, UnderscoreHeaders};
use percent_encoding::percent_decode_str;
use pipeline::{Arrived, Connection};
use problem::Problem;
use snapshot::{Lost, Snapshot, Wanted};

use crate::forwarded;
use crate::handle::{METHOD_NOT_ALLOWED, NO_ROUTE};
use crate::refused;

/// A request's head, and what it says.
pub(crate) struct Arrival {
    pub(crate) head: request::Parts,
    pub(crate) host: Box<str>,
    pub(crate) client: IpAddr,
    pub(crate) scheme: &'static str,
    pub(crate) route: Option<usize>,
    pub(crate) parameters: Vec<(Arc<str>, String)>,
    /// The head as it came, if a policy wants to know it.
    pub(crate) arrived: Option<Box<Arrived>>,
}

/// Headers that concern one connection only (RFC 9110, section 7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    // Who has them from elsewhere than this gateway believes what anybody wrote (RFC 9440, section 2.4).
    HeaderName::from_static("client-cert"),
    HeaderName::from_static("client-cert-chain"),
];

impl Arrival {
    /// Reads a head; what is wrong with the request, if anything is, comes beside.
    pub(crate) fn of(
        snapshot: &Snapshot,
        connection: &Connection,
        mut head: request::Parts,
        upgrade: bool,
    ) -> (Self, Option<Problem>) {
        let arrived = snapshot.keeps_arrivals.then(|| Arrived {
            target: head.uri.clone(),
            has_path: head.extensions.get::<http1::NoPath>().is_none(),
            headers: head.headers.clone(),
        });
        let doubtful = settle_underscores(snapshot.document.requests.underscore_headers, &mut head.headers);
        let host = host(&head);
        let origin = forwarded::origin(snapshot, connection, &mut head.headers);
        strip(&mut head.headers, upgrade);
        let host_header = origin.host.unwrap_or(host);
        let mut arrival = Self {
            host: host_header,
            client: origin.client,
            scheme: origin.scheme,
            route: None,
            parameters: Vec::new(),
            arrived: arrived.map(Box::new),
            head,
        };
        let slashes = snapshot.document.requests.repeated_slashes;
        if let Some(problem) = doubtful.or_else(|| refused::target(&arrival.head, slashes)) {
            return (arrival, Some(problem));
        }
        arrival.normalize_path(slashes);
        let problem = arrival.find_route(snapshot);
        arrival.complete_head();
        (arrival, problem)
    }

    /// Writes characters that need no encoding without it (RFC 3986, section 6.2.2.2), and one slash for several: whoever
    /// looks at the path, a route, a policy or the backend, then sees the same one.
    fn normalize_path(&mut self, slashes: RepeatedSlashes) {
        let uri = &self.head.uri;
        let Some(path) = normalized(uri.path(), slashes) else { return };
        let target = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = target.parse().ok();
        if let (true, Ok(uri)) = (parts.path_and_query.is_some(), http::Uri::from_parts(parts)) {
            self.head.uri = uri;
        }
    }

    fn find_route(&mut self, snapshot: &Snapshot) -> Option<Problem> {
        let uri = &self.head.uri;
        let wanted = Wanted {
            host: &self.host,
            path: uri.path(),
            method: &self.head.method,
            headers: &self.head.headers,
            query: uri.query(),
        };
        let found = match snapshot.router.find(&wanted) {
            Ok(found) => found,
            Err(Lost::NoRoute) => {
                let detail = format!("No API is at {} for host `{}`.", wanted.path, wanted.host);
                return Some(Problem::new(&NO_ROUTE).detail(detail));
            }
            Err(Lost::OtherMethods(methods)) => return Some(other_methods(&methods)),
        };
        let route = snapshot.route(Some(found.route));
        if !route.parameters.is_empty() {
            let decoded = found.parameters.iter().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
            self.parameters = route.parameters.iter().cloned().zip(decoded).collect();
        }
        self.route = Some(found.route);
        None
    }

    /// A head as a backend that speaks HTTP/1.1 expects it: with `Host`, and one `Cookie` (RFC 9113, section 8.2.3).
    fn complete_head(&mut self) {
        let head = &mut self.head;
        if head.version == Version::HTTP_2 {
            let authority = head.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
            if let Some(Ok(host)) = authority {
                head.headers.insert(header::HOST, host);
            }
            join_cookies(&mut head.headers);
        } else if head.uri.authority().is_some() && head.method != Method::CONNECT {
            // Absolute form: its authority and `Host` are the same, or the request would have been refused.
            let path = head.uri.path_and_query().cloned();
            let mut parts = http::uri::Parts::default();
            parts.path_and_query = path;
            if let Ok(uri) = http::Uri::from_parts(parts) {
                head.uri = uri;
            }
        }
    }
}

fn other_methods(methods: &[Method]) -> Problem {
    let mut names: Vec<_> = methods.iter().map(Method::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let allowed = names.join(", ");
    let problem = Problem::new(&METHOD_NOT_ALLOWED).detail(format!("Allowed: {allowed}."));
    match HeaderValue::try_from(allowed) {
        Ok(value) => problem.header(header::ALLOW, value),
        Err(_) => problem,
    }
}

/// The host that a client asked for, without a port and the dot of the root, in lower case: to backends `a.example.` is
/// `a.example`, so to routes it must be, too.
fn host(head: &request::Parts) -> Box<str> {
    let written = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    let host = without_port(written);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase().into()
}

pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

/// Takes out what concerns one connection only.
fn strip(headers: &mut HeaderMap, upgrade: bool) {
    // Few messages have any of these, and a look costs less than a search for each.
    if !headers.keys().any(concerns_the_connection) {
        return;
    }
    let trailers = headers.get(header::TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // Whoever names these wants to harm the next one, not to talk about the connection.
            .filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH | header::UPGRADE))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if trailers {
        // gRPC insists on it, and every upstream connection of ours takes trailers.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(header::UPGRADE);
    }
}

/// Whether a header is one of [`HOP_BY_HOP`], or `Upgrade`.
fn concerns_the_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "te"
            | "transfer-encoding"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "upgrade"
            | "client-cert"
            | "client-cert-chain"
    )
}

/// Takes out of an answer what concerns one connection only.
pub(crate) fn strip_answer(headers: &mut HeaderMap, switches: bool) {
    let upgrade = if switches { headers.get(header::UPGRADE).cloned() } else { None };
    strip(headers, switches);
    headers.remove(header::TE);
    if let Some(upgrade) = upgrade {
        headers.insert(header::UPGRADE, upgrade);
    }
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(_)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in headers.get_all(header::COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(cookie) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, cookie);
    }
}

/// Takes out headers with an underscore in their name, or says that the request must not have them.
fn settle_underscores(action: UnderscoreHeaders, headers: &mut HeaderMap) -> Option<Problem> {
    let is_doubtful = |name: &HeaderName| name.as_str().as_bytes().contains(&b'_');
    if action == UnderscoreHeaders::Keep || !headers.keys().any(is_doubtful) {
        return None;
    }
    let doubtful: Vec<HeaderName> = headers.keys().filter(|name| is_doubtful(name)).cloned().collect();
    if action == UnderscoreHeaders::Refuse {
        return doubtful.first().map(refused::ambiguous_header);
    }
    for name in doubtful {
        headers.remove(name);
    }
    None
}

/// A path without encodings that mean nothing and, if they are merged, without repeated slashes; nothing if it is so
/// already.
fn normalized(path: &str, slashes: RepeatedSlashes) -> Option<String> {
    let decoded = if path.contains('%') { decoded(path) } else { None };
    let plain = decoded.as_deref().unwrap_or(path);
    if slashes != RepeatedSlashes::Merge || !refused::repeats_slashes(plain) {
        return decoded;
    }
    let mut merged = String::with_capacity(plain.len());
    for character in plain.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    Some(merged)
}

/// A path without encodings that mean nothing, if it has any.
fn decoded(path: &str) -> Option<String> {
    let mut rest = path.split('%');
    let mut plain = rest.next()?.to_owned();
    let mut is_changed = false;
    for part in rest {
        let encoded = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match encoded {
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                plain.push(char::from(byte));
                plain.push_str(part.get(2..).unwrap_or_default());
                is_changed = true;
            }
            _ => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    is_changed.then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_look_sees_every_header_that_is_taken_out() {
        assert!(HOP_BY_HOP.iter().chain([&header::UPGRADE]).all(concerns_the_connection));
    }

    #[test]
    fn encodings_that_mean_nothing_are_undone_and_others_stay() {
        assert_eq!(normalized("/%61dmin/%7Euser%2Fx", RepeatedSlashes::Merge).as_deref(), Some("/admin/~user%2Fx"));
        for path in ["/", "/a%2Fb", "/a%20b", "/%", "/%zz", "/%+1"] {
            assert_eq!(normalized(path, RepeatedSlashes::Merge), None, "{path}");
        }
    }

    #[test]
    fn several_slashes_are_one_unless_they_are_kept() {
        for (path, merged) in [("//", "/"), ("/a//b", "/a/b"), ("///%61///b//", "/a/b/"), ("/a%2F/b", "/a%2F/b")] {
            assert_eq!(normalized(path, RepeatedSlashes::Merge).as_deref().unwrap_or(path), merged);
        }
        assert_eq!(normalized("/a//%62", RepeatedSlashes::Keep).as_deref(), Some("/a//b"));
    }

    #[test]
    fn only_names_with_an_underscore_are_taken_out() {
        let mut headers = HeaderMap::new();
        for name in ["x-forwarded-for", "x_forwarded_for", "content_length", "_"] {
            headers.append(name, HeaderValue::from_static("a_b"));
        }
        assert!(settle_underscores(UnderscoreHeaders::Keep, &mut headers).is_none());
        assert!(settle_underscores(UnderscoreHeaders::Refuse, &mut headers).is_some());
        assert_eq!(headers.len(), 4);
        assert!(settle_underscores(UnderscoreHeaders::Remove, &mut headers).is_none());
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-forwarded-for"]);
        assert!(settle_underscores(UnderscoreHeaders::Refuse, &mut headers).is_none());
    }

    #[test]
    fn a_port_is_no_part_of_a_host() {
        for (authority, host) in
            [("a.example", "a.example"), ("a.example:80", "a.example"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(without_port(authority), host);
        }
    }
}
