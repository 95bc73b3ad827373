//! Request heads: the request line, the target, and what holds for the message as a whole.

use bytes::Bytes;
use http::uri::Scheme;
use http::{Extensions, HeaderMap, Method, Uri, Version};

use crate::authority::Authority;
use crate::fields::{Noted, collect, shared};
use crate::lines::{self, Fields, Line};
use crate::refusal::{Place, Refusal};
use crate::scan;
use crate::{Framing, Limits};

/// The head of a request.
#[derive(Debug)]
pub struct RequestHead {
    /// The method; methods are case-sensitive.
    pub method: Method,
    /// The target in the form in which it was sent: origin, absolute, authority or asterisk.
    pub uri: Uri,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All headers as they were sent, those about the connection included.
    pub headers: HeaderMap,
    /// How the end of the content is found. Never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the client wants to use the connection again.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends its content.
    pub expect_continue: bool,
    /// Whether the client asks for another protocol by `Upgrade`.
    pub upgrade: bool,
    /// [`NoPath`], if the target has none.
    pub extensions: Extensions,
}

/// Says that the target has no path, as one in absolute form need not; its URI has `/` all the same.
#[derive(Clone, Copy, Debug)]
pub struct NoPath;

/// Reads the head of a request from the beginning of `input`.
///
/// `Ok(None)`: it is not complete, more bytes are needed. Otherwise the head and how many bytes it takes.
pub fn parse_request(input: &[u8], limits: &Limits) -> Result<Option<(RequestHead, usize)>, Refusal> {
    let visible = input.get(..limits.head_bytes).unwrap_or(input);
    match parse(visible, limits) {
        Ok(None) if input.len() >= limits.head_bytes => Err(Refusal::HeadTooLarge { limit: limits.head_bytes }),
        result => result,
    }
}

fn parse(input: &[u8], limits: &Limits) -> Result<Option<(RequestHead, usize)>, Refusal> {
    let start = if input.starts_with(b"\r\n") { 2 } else { 0 };
    let Some(line_end) = request_line_end(input, start, limits)? else {
        return Ok(None);
    };
    let line = RequestLine::parse(input.get(start..line_end).unwrap_or_default())?;
    let mut fields = Fields::new();
    let Some(end) = lines::section(input, line_end + 2, limits.headers, Place::Header, &mut fields)? else {
        return Ok(None);
    };

    // One copy, which the target and all values share, so that the buffer of the connection stays its own.
    let head = shared(input.get(..end).unwrap_or_default());
    let target_start = start + line.method_length + 1;
    let target = head.slice(target_start..target_start + line.target.len());
    let uri = target_uri(&line, target)?;
    let (headers, noted) = collect(&head, &fields)?;
    check_host(&line, &uri, noted.host)?;
    let framing = framing(&line, &noted)?;
    let mut extensions = Extensions::new();
    // Behind `http://`, a slash begins the path.
    if uri.scheme().is_some() && line.target.splitn(4, |byte| *byte == b'/').count() < 4 {
        extensions.insert(NoPath);
    }
    let RequestLine { method, version, .. } = line;
    let head = RequestHead {
        method,
        uri,
        version,
        framing,
        keep_alive: noted.keeps_alive(version),
        expect_continue: noted.expects_continue
            && version == Version::HTTP_11
            && !matches!(framing, Framing::None | Framing::Length(0)),
        upgrade: noted.upgrades(version),
        extensions,
        headers,
    };
    Ok(Some((head, end)))
}

/// Finds the end of the request line, and refuses one that is too long before its end is there.
fn request_line_end(input: &[u8], start: usize, limits: &Limits) -> Result<Option<usize>, Refusal> {
    let (clean, result) = match lines::line(input, start, Place::StartLine) {
        Line::Whole { end } => (end, Ok(Some(end))),
        Line::Partial { end } => (end, Ok(None)),
        Line::Broken { end, refusal } => (end, Err(refusal)),
    };
    let text = input.get(start..clean).unwrap_or_default();
    if text.len() > limits.uri_bytes || scan::find(b' ', text) > MAX_METHOD {
        check_lengths(text, limits)?;
    }
    result
}

#[cold]
fn check_lengths(text: &[u8], limits: &Limits) -> Result<(), Refusal> {
    let mut words = text.split(|byte| *byte == b' ');
    if words.next().is_some_and(|method| method.len() > MAX_METHOD) {
        return Err(Refusal::MethodTooLong { limit: MAX_METHOD });
    }
    if words.next().is_some_and(|target| target.len() > limits.uri_bytes) {
        return Err(Refusal::UriTooLong { limit: limits.uri_bytes });
    }
    Ok(())
}

/// The words of a request line.
struct RequestLine<'a> {
    method: Method,
    method_length: usize,
    target: &'a [u8],
    version: Version,
}

impl<'a> RequestLine<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Refusal> {
        let method_length = scan::find(b' ', text);
        let (method, rest) = text.split_at_checked(method_length).ok_or(Refusal::BadRequestLine)?;
        if method.is_empty() {
            return Err(Refusal::BadRequestLine);
        }
        let method = Method::from_bytes(method).map_err(|_invalid| Refusal::BadMethod)?;
        let (target, version) = split_version(rest.get(1..).unwrap_or_default())?;
        if target.is_empty() || !scan::is_target(target) {
            return Err(bad_target(target));
        }
        Ok(Self { method, method_length, target, version })
    }
}

/// Says what is wrong with a target.
#[cold]
fn bad_target(target: &[u8]) -> Refusal {
    if target.is_empty() || target.contains(&b' ') {
        Refusal::BadRequestLine
    } else if target.iter().all(u8::is_ascii_graphic) {
        Refusal::BadTarget("it has a fragment (#), leave it out")
    } else {
        Refusal::BadTarget("it has bytes other than visible ASCII, encode them as %XX")
    }
}

/// Splits the target from the version.
fn split_version(text: &[u8]) -> Result<(&[u8], Version), Refusal> {
    if let Some(target) = text.strip_suffix(b" HTTP/1.1") {
        return Ok((target, Version::HTTP_11));
    }
    if let Some(target) = text.strip_suffix(b" HTTP/1.0") {
        return Ok((target, Version::HTTP_10));
    }
    let version = text.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if is_version(version) && version.len() < text.len() {
        return Err(Refusal::UnsupportedVersion);
    }
    Err(Refusal::BadRequestLine)
}

/// Whether this is `HTTP/` and two digits, of whatever version.
pub(crate) fn is_version(text: &[u8]) -> bool {
    matches!(text, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
}

/// The target in one of its four forms (RFC 9112, section 3.2).
fn target_uri(line: &RequestLine<'_>, target: Bytes) -> Result<Uri, Refusal> {
    let invalid = |_invalid| Refusal::BadTarget("it is not a URI");
    match (&line.method, line.target) {
        (&Method::CONNECT, target_bytes) => {
            if Authority::parse(target_bytes).is_none_or(|authority| authority.port.is_none()) {
                return Err(Refusal::BadTarget("CONNECT needs a host and a port"));
            }
            Uri::from_maybe_shared(target).map_err(invalid)
        }
        (_, [b'/', ..]) => Uri::from_maybe_shared(target).map_err(invalid),
        (&Method::OPTIONS, b"*") => Ok(Uri::from_static("*")),
        _ => {
            let uri = Uri::from_maybe_shared(target).map_err(invalid)?;
            let is_http = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
            if is_http { Ok(uri) } else { Err(Refusal::BadTarget("it has to be a path that begins with /")) }
        }
    }
}

/// Checks `Host`, and that it says the same as the target (RFC 9112, section 3.2).
fn check_host(line: &RequestLine<'_>, uri: &Uri, host: Option<&[u8]>) -> Result<(), Refusal> {
    let host = match host {
        None if line.version == Version::HTTP_11 => return Err(Refusal::MissingHost),
        None => None,
        Some(host) => Some(Authority::parse(host).ok_or(Refusal::BadHost)?),
    };
    let Some(target) = uri.authority() else {
        return Ok(());
    };
    let target = Authority::parse(target.as_str().as_bytes()).ok_or(Refusal::BadTarget("its host is not valid"))?;
    let default = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        Some(_) => 80,
        None => target.port.unwrap_or_default(),
    };
    match host {
        Some(host) if !host.is_same(&target, default) => Err(Refusal::ConflictingHost),
        Some(_) | None => Ok(()),
    }
}

fn framing(line: &RequestLine<'_>, noted: &Noted<'_>) -> Result<Framing, Refusal> {
    match noted.framing(line.version)? {
        Some(_) if line.method == Method::CONNECT => Err(Refusal::ForbiddenContent),
        Some(framing) => Ok(framing),
        None => Ok(Framing::None),
    }
}

/// The longest method we read; the longest registered one has 17 bytes.
const MAX_METHOD: usize = 32;
