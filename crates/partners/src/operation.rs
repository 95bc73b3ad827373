//! Operations of products: `orders: GET /items/{id}`.

use std::fmt;
use std::str::FromStr;

use http::Method;

/// What a product allows: an API, a method or all, and a pattern of paths below the API's base path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    written: Box<str>,
    api: Box<str>,
    method: Option<Method>,
    pieces: Vec<Piece>,
    rest: Rest,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// This text, percent-decoded.
    Literal(Box<[u8]>),
    /// Any one segment that is not empty.
    One,
}

/// What a pattern wants after its pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing more.
    None,
    /// Any number of segments, none too.
    Any,
}

/// Why a text is no operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{written}` {reason}; write it as `orders: GET /items/{{id}}`, `orders: * /**`")]
pub struct BadOperation {
    written: String,
    reason: &'static str,
}

/// What a request wants to do, in the terms of operations.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    api: &'a str,
    method: &'a Method,
    path: &'a str,
    reading: Reading,
}

/// Whether a path means one thing only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Everybody reads it alike.
    Plain,
    /// It steps up somewhere, at least for some readers: no operation allows that.
    Deceptive,
}

impl<'a> Target<'a> {
    /// What a request wants: `path` is still percent-encoded and without a query, and its first `base` segments are
    /// the API's base path.
    pub fn new(api: &'a str, method: &'a Method, path: &'a str, base: usize) -> Self {
        let reading = if steps_aside(path) { Reading::Deceptive } else { Reading::Plain };
        Self { api, method, path: below(path, base), reading }
    }

    /// The path below the API's base path.
    pub fn path(&self) -> &'a str {
        self.path
    }
}

impl Operation {
    /// Whether this operation covers what a request wants. Allocates nothing.
    pub fn allows(&self, target: &Target<'_>) -> bool {
        *self.api == *target.api
            && self.method.as_ref().is_none_or(|method| covers(method, target.method))
            && target.reading == Reading::Plain
            && self.matches(target.path)
    }

    /// The API it belongs to.
    pub fn api(&self) -> &str {
        &self.api
    }

    fn matches(&self, path: &str) -> bool {
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
        let fits = |piece: &Piece| match (piece, segments.next()) {
            (Piece::Literal(literal), Some(segment)) => is_same(literal, segment.as_bytes()),
            (Piece::One, Some(segment)) => !segment.is_empty() && !hides_separator(segment.as_bytes()),
            (Piece::Literal(_) | Piece::One, None) => false,
        };
        self.pieces.iter().all(fits)
            && match self.rest {
                Rest::None => segments.next().is_none(),
                Rest::Any => true,
            }
    }
}

impl FromStr for Operation {
    type Err = BadOperation;

    fn from_str(written: &str) -> Result<Self, BadOperation> {
        let bad = |reason| BadOperation { written: written.to_owned(), reason };
        let (api, rest) = written.split_once(':').ok_or_else(|| bad("names no API before a colon"))?;
        let api = api.trim();
        if api.is_empty() || api.contains(char::is_whitespace) {
            return Err(bad("names no API before a colon"));
        }
        let (method, path) = rest.trim().split_once(' ').ok_or_else(|| bad("has not a method and a path"))?;
        let method = match method {
            "*" => None,
            name if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') => {
                Some(name.parse().map_err(|_invalid| bad("has no valid method"))?)
            }
            _ => return Err(bad("has no valid method: methods are in upper case, `*` is any")),
        };
        let (pieces, rest) = pattern(path.trim()).map_err(bad)?;
        Ok(Self { written: written.trim().into(), api: api.into(), method, pieces, rest })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn pattern(path: &str) -> Result<(Vec<Piece>, Rest), &'static str> {
    let path = path.strip_prefix('/').ok_or("has a path that does not begin with `/`")?;
    let (path, rest) = match path.strip_suffix("**") {
        Some("") => return Ok((Vec::new(), Rest::Any)),
        Some(before) => (before.strip_suffix('/').ok_or("has `**` that is not a whole segment")?, Rest::Any),
        None => (path, Rest::None),
    };
    let last = path.split('/').count() - 1;
    let pieces =
        path.split('/').enumerate().map(|(index, segment)| piece(segment, index == last && rest == Rest::None));
    Ok((pieces.collect::<Result<_, _>>()?, rest))
}

fn piece(segment: &str, is_last: bool) -> Result<Piece, &'static str> {
    let named = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    match (segment, named) {
        ("*", _) => Ok(Piece::One),
        (_, Some(name)) if !name.is_empty() && !name.contains(['{', '}', '*']) => Ok(Piece::One),
        ("", _) if !is_last => Err("has an empty segment in its path"),
        ("." | "..", _) => Err("has a path that steps aside"),
        _ if segment.contains(['{', '}', '*']) => {
            Err("has a wildcard that is not a whole segment, or `**` before the end")
        }
        _ if segment.contains(['?', '#', '%', '\\', ';']) || segment.contains(char::is_whitespace) => {
            Err("has a character in its path that stands in none: write it decoded, without a query")
        }
        _ => Ok(Piece::Literal(segment.as_bytes().into())),
    }
}

/// What is left of a path without its first segments.
fn below(path: &str, segments: usize) -> &str {
    let mut rest = path;
    for _ in 0..segments {
        let inside = rest.strip_prefix('/').unwrap_or(rest);
        rest = inside.find('/').and_then(|end| inside.get(end..)).unwrap_or_default();
    }
    rest
}

/// `GET` covers `HEAD`, which shows no more (RFC 9110, section 9.3.2).
fn covers(allowed: &Method, wanted: &Method) -> bool {
    allowed == wanted || (allowed == Method::GET && wanted == Method::HEAD)
}

/// Whether a percent-encoded segment reads as `literal`.
fn is_same(literal: &[u8], segment: &[u8]) -> bool {
    literal == segment || (segment.contains(&b'%') && Decoded(segment).eq(literal.iter().copied()))
}

/// Whether a segment is more than one for a reader that decodes before it splits.
fn hides_separator(segment: &[u8]) -> bool {
    segment.contains(&b'\\') || (segment.contains(&b'%') && Decoded(segment).any(|byte| matches!(byte, b'/' | b'\\')))
}

/// Whether some reader finds a `.` or `..` segment in the path, such as in `/a/%2e%2E/b`, `/a/..;v=1/b` or `/a%2f..\b`.
///
/// The gateway's router sees the path as written; what a backend makes of it must be nothing else.
fn steps_aside(path: &str) -> bool {
    let mut before = b'/';
    let is_suspicious = path.bytes().any(|byte| {
        let found = matches!(byte, b'%' | b'\\') || (before == b'/' && byte == b'.');
        before = byte;
        found
    });
    is_suspicious && has_dot_segment(path.as_bytes())
}

fn has_dot_segment(path: &[u8]) -> bool {
    // The number of dots that a segment consists of so far; nothing, if of others as well.
    let mut dots = Some(0_usize);
    for byte in Decoded(path).chain([b'/']) {
        match (byte, dots) {
            (b'/' | b'\\' | b';', Some(1 | 2)) => return true,
            (b'/' | b'\\', _) => dots = Some(0),
            (b'.', Some(count)) => dots = Some(count + 1),
            _ => dots = None,
        }
    }
    false
}

/// The bytes of a text once percent-decoded; what is no valid escape stands for itself.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        if let (b'%', [high, low, after @ ..]) = (first, rest)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.0 = after;
            return Some(high << 4 | low);
        }
        self.0 = rest;
        Some(first)
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(operation: &str, method: &str, path: &str) -> bool {
        let method = method.parse().unwrap();
        operation.parse::<Operation>().unwrap().allows(&Target::new("orders", &method, path, 0))
    }

    #[test]
    fn a_pattern_matches_what_it_says() {
        let cases = [
            ("/**", "", true),
            ("/**", "/", true),
            ("/**", "/a/b/c", true),
            ("/", "", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/orders", "/orders", true),
            ("/orders", "/orders/", false),
            ("/orders", "/Orders", false),
            ("/orders", "/orders/7", false),
            ("/orders/", "/orders/", true),
            ("/orders/", "/orders", false),
            ("/orders/{id}", "/orders/7", true),
            ("/orders/*", "/orders/7", true),
            ("/orders/*", "/orders/", false),
            ("/orders/*", "/orders/7/lines", false),
            ("/orders/*/lines", "/orders/7/lines", true),
            ("/orders/**", "/orders", true),
            ("/orders/**", "/orders/7/lines/9", true),
            ("/orders/**", "/ordersX", false),
            ("/orders/{id}/**", "/orders/7/lines", true),
            ("/orders/{id}/**", "/orders", false),
            ("/café", "/caf%C3%A9", true),
            ("/orders", "/%6frders", true),
            ("/orders", "/orders%", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(allows(&format!("orders: GET {pattern}"), "GET", path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_that_anybody_might_read_as_another_is_not_allowed() {
        for path in [
            "/public/../admin",
            "/public/..",
            "/public/./x",
            "/public/%2e%2e/admin",
            "/public/%2E./admin",
            "/public/..%2fadmin",
            "/public%2f..%2fadmin",
            "/public/..;v=1/admin",
            "/public/..\\admin",
            "/public\\..\\x",
            "/public/%2e",
            "/public/..%5cadmin",
            "/..",
            "..",
        ] {
            assert!(!allows("orders: * /**", "GET", path), "{path}");
        }
        for path in
            ["/public/...", "/public/.well-known", "/public/a..b", "/public/a.", "/public/x;v=..", "/%zz", "/100%"]
        {
            assert!(allows("orders: * /**", "GET", path), "{path}");
        }
    }

    #[test]
    fn a_path_is_read_below_the_base_path() {
        let operation: Operation = "orders: GET /items/*".parse().unwrap();
        for (path, base, expected) in [
            ("/orders/v1/items/7", 2, true),
            ("/items/7", 0, true),
            ("/orders/v1/items/7", 1, false),
            ("/orders/../items/7", 2, false),
            ("/orders/v1", 2, false),
            ("/orders", 2, false),
        ] {
            assert_eq!(operation.allows(&Target::new("orders", &Method::GET, path, base)), expected, "{path} {base}");
        }
    }

    #[test]
    fn one_segment_is_one_for_every_reader() {
        for path in ["/orders/7%2frefunds", "/orders/7%2Frefunds", "/orders/7%5crefunds", "/orders/7\\refunds"] {
            assert!(!allows("orders: GET /orders/*", "GET", path), "{path}");
        }
        assert!(allows("orders: GET /orders/*", "GET", "/orders/7%20refunds"));
    }

    #[test]
    fn a_method_is_itself_or_any_and_get_covers_head() {
        assert!(allows("orders: GET /**", "GET", "/"));
        assert!(allows("orders: GET /**", "HEAD", "/"));
        assert!(!allows("orders: GET /**", "POST", "/"));
        assert!(!allows("orders: HEAD /**", "GET", "/"));
        assert!(allows("orders: * /**", "PURGE", "/"));
        assert!(allows("orders: M-SEARCH /**", "M-SEARCH", "/"));
    }

    #[test]
    fn another_api_is_not_covered() {
        let operation: Operation = "users: * /**".parse().unwrap();
        assert!(!operation.allows(&Target::new("orders", &Method::GET, "/", 0)));
        assert_eq!(operation.api(), "users");
        assert_eq!(operation.to_string(), "users: * /**");
    }

    #[test]
    fn a_mistake_is_refused_with_its_reason() {
        for written in [
            "",
            "orders",
            "orders GET /",
            ": GET /",
            "orders: /",
            "orders: GET",
            "orders: GET orders",
            "orders: get /",
            "orders: GET /a**",
            "orders: GET /**/b",
            "orders: GET /a*",
            "orders: GET /{}",
            "orders: GET /{a",
            "orders: GET //a",
            "orders: GET /a?b",
            "orders: GET /a%20b",
            "orders: GET /../a",
            "orders: GET /a b",
            "orders: GET /{a}{b}",
        ] {
            let error = written.parse::<Operation>().unwrap_err().to_string();
            assert!(error.contains("write it as"), "{written}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_operation_or_refused(text in "\\PC{0,40}") {
            if let Ok(operation) = text.parse::<Operation>() {
                prop_assert_eq!(operation.to_string(), text.trim());
            }
        }

        #[test]
        fn a_literal_pattern_allows_its_own_path_only(path in "(/[a-z0-9.-]{1,5}){1,4}", other in "(/[a-z0-9.%-]{1,5}){1,4}") {
            let written = format!("orders: GET {path}");
            if written.parse::<Operation>().is_ok() {
                prop_assert_eq!(allows(&written, "GET", &path), !steps_aside(&path));
                prop_assert!(!allows(&written, "GET", &other) || Decoded(other.as_bytes()).eq(path.bytes()));
            }
        }

        #[test]
        fn no_path_is_too_strange(path in "[/.%\\\\;a2eEfF5cC]{0,30}") {
            allows("orders: GET /a/*/**", "GET", &path);
        }
    }
}
