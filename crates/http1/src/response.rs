//! Response heads: the status line, and how the content ends, which depends on the request too.

use http::{HeaderMap, Method, StatusCode, Version};

use crate::fields::{Noted, collect, shared};
use crate::lines::{self, Fields, Line};
use crate::refusal::{Place, Refusal};
use crate::request::is_version;
use crate::{Framing, Limits};

/// The head of a response, an interim one (1xx) included. The reason phrase is dropped.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All headers as they were sent, those about the connection included.
    pub headers: HeaderMap,
    /// How the end of the content is found.
    pub framing: Framing,
    /// Whether the connection may be used again after this response.
    pub keep_alive: bool,
}

/// Reads the head of a response to a request of `request_method` from the beginning of `input`.
///
/// `Ok(None)`: it is not complete, more bytes are needed. Otherwise the head and how many bytes it takes.
pub fn parse_response(
    input: &[u8],
    request_method: &Method,
    limits: &Limits,
) -> Result<Option<(ResponseHead, usize)>, Refusal> {
    let visible = input.get(..limits.head_bytes).unwrap_or(input);
    match parse(visible, request_method, limits) {
        Ok(None) if input.len() >= limits.head_bytes => Err(Refusal::HeadTooLarge { limit: limits.head_bytes }),
        result => result,
    }
}

fn parse(input: &[u8], request_method: &Method, limits: &Limits) -> Result<Option<(ResponseHead, usize)>, Refusal> {
    let line_end = match lines::line(input, 0, Place::StartLine) {
        Line::Whole { end } => end,
        Line::Partial { .. } => return Ok(None),
        Line::Broken { refusal, .. } => return Err(refusal),
    };
    let (version, status) = status_line(input.get(..line_end).unwrap_or_default())?;
    let mut fields = Fields::new();
    let Some(end) = lines::section(input, line_end + 2, limits.headers, Place::Header, &mut fields)? else {
        return Ok(None);
    };

    let head = shared(input.get(..end).unwrap_or_default());
    let (headers, noted) = collect(&head, &fields)?;
    let (framing, keep_alive) = framing(status, version, request_method, &noted)?;
    Ok(Some((ResponseHead { status, version, headers, framing, keep_alive }, end)))
}

/// Reads the status line. The space before an empty reason may be missing, as it often is.
fn status_line(text: &[u8]) -> Result<(Version, StatusCode), Refusal> {
    let (version, rest) = text.split_at_checked(8).ok_or(Refusal::BadStatusLine)?;
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        other if is_version(other) => return Err(Refusal::UnsupportedVersion),
        _ => return Err(Refusal::BadStatusLine),
    };
    match rest {
        [b' ', a, b, c] | [b' ', a, b, c, b' ', ..] => Ok((version, status_code(&[*a, *b, *c])?)),
        _ => Err(Refusal::BadStatusLine),
    }
}

fn status_code(digits: &[u8]) -> Result<StatusCode, Refusal> {
    StatusCode::from_bytes(digits).map_err(|_invalid| Refusal::BadStatusLine)
}

/// How the content ends, and whether the connection can be used again (RFC 9112, section 6.3).
fn framing(
    status: StatusCode,
    version: Version,
    request_method: &Method,
    noted: &Noted<'_>,
) -> Result<(Framing, bool), Refusal> {
    let announced = noted.framing(version)?;
    let keep_alive = noted.keeps_alive(version);
    let is_empty = matches!(announced, None | Some(Framing::Length(0)));
    if status.is_informational() {
        return if is_empty { Ok((Framing::None, keep_alive)) } else { Err(Refusal::ForbiddenContent) };
    }
    if status == StatusCode::NO_CONTENT {
        // Who announces content here may also send it, and then it would stand before the next response.
        return Ok((Framing::None, keep_alive && is_empty));
    }
    let is_tunnel = *request_method == Method::CONNECT && status.is_success();
    if status == StatusCode::NOT_MODIFIED || *request_method == Method::HEAD || is_tunnel {
        return Ok((Framing::None, keep_alive));
    }
    match announced {
        Some(framing) => Ok((framing, keep_alive)),
        None => Ok((Framing::UntilClose, false)),
    }
}
