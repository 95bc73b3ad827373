//! Fields that must not be in a trailer section (RFC 9110, section 6.5.1).

use http::HeaderName;

/// Whether a trailer of this name could change what was decided by the head: framing, routing, identity, meaning.
pub(crate) fn in_trailers(name: &HeaderName) -> bool {
    let name = name.as_str();
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

const NAMES: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
];

const PREFIXES: &[&str] = &["access-control-", "if-", "proxy-", "x-forwarded-", "x-real-"];
