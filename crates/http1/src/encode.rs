//! Writes messages. Framing comes from the caller alone, never from headers that came in.

use bytes::{BufMut, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

use crate::Framing;
use crate::fields::elements;
use crate::forbidden;
use crate::scan;

/// What follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// What a response says about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It may be used again. Needs to be said only to clients of HTTP/1.0.
    KeepAlive,
    /// It is closed after this response.
    Close,
}

/// How the content of a response is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// As the content is framed that follows.
    Framed(Framing),
    /// No content follows (HEAD, 304), and this would be its length, if known.
    HeadOnly(Option<u64>),
}

impl From<Framing> for ResponseFraming {
    fn from(framing: Framing) -> Self {
        Self::Framed(framing)
    }
}

/// Appends the head of a request of HTTP/1.1.
///
/// Headers about framing and about the connection are left out of `headers`, except an upgrade. Bytes that cannot be
/// in a target are percent-encoded. [`Framing::UntilClose`] has no meaning in a request: it announces no content and
/// closes the connection, so that what follows is not taken for a request.
pub fn write_request(out: &mut BytesMut, method: &Method, target: &str, headers: &HeaderMap, framing: Framing) {
    out.reserve(HEAD_ROOM);
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    write_target(out, target);
    out.put_slice(b" HTTP/1.1\r\n");
    match framing {
        Framing::None => {}
        Framing::Length(length) => write_content_length(out, length),
        Framing::Chunked => out.put_slice(CHUNKED),
        Framing::UntilClose => out.put_slice(CLOSE),
    }
    if write_headers(out, headers).upgrade {
        out.put_slice(UPGRADE);
    }
    out.put_slice(b"\r\n");
}

/// Appends the head of a final response of HTTP/1.1, or of `101 Switching Protocols`.
///
/// Headers about framing and about the connection are left out of `headers`, except an upgrade. `Date` is added if it
/// is not there. A client of HTTP/1.0 is not sent chunks: see [`Framing::towards`].
#[expect(clippy::too_many_arguments, reason = "a response has these parts, and all callers have them at hand")]
pub fn write_response(
    out: &mut BytesMut,
    status: StatusCode,
    version_of_client: Version,
    headers: &HeaderMap,
    framing: impl Into<ResponseFraming>,
    connection: Option<Persistence>,
    date: &[u8; 29],
) {
    out.reserve(HEAD_ROOM);
    write_status_line(out, status);
    let framing = match framing.into() {
        ResponseFraming::Framed(framing) => ResponseFraming::Framed(framing.towards(version_of_client)),
        head_only @ ResponseFraming::HeadOnly(_) => head_only,
    };
    write_response_framing(out, status, framing);
    let seen = write_headers(out, headers);
    if seen.upgrade {
        out.put_slice(UPGRADE);
    } else if connection == Some(Persistence::Close) || framing == ResponseFraming::Framed(Framing::UntilClose) {
        out.put_slice(CLOSE);
    } else if connection == Some(Persistence::KeepAlive) {
        out.put_slice(KEEP_ALIVE);
    }
    if !seen.date {
        out.put_slice(b"date: ");
        out.put_slice(date);
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
}

/// Appends the head of an interim response (1xx) other than 101.
pub fn write_interim(out: &mut BytesMut, status: StatusCode, headers: &HeaderMap) {
    write_status_line(out, status);
    write_headers(out, headers);
    out.put_slice(b"\r\n");
}

/// Appends the line that begins a chunk of `length` bytes: then come the data and [`CHUNK_END`].
///
/// A chunk without data would end the content, so the caller leaves out empty ones.
pub fn write_chunk_size(out: &mut BytesMut, length: usize) {
    let mut digits = [b'0'; 16];
    let mut rest = length;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = HEX.get(rest & 15).copied().unwrap_or(b'0');
        rest >>= 4;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(digits.get(16 - used..).unwrap_or_default());
    out.put_slice(b"\r\n");
}

/// Appends what ends chunked content: the last chunk and the trailers, without those that may not be there.
pub fn write_last_chunk(out: &mut BytesMut, trailers: Option<&HeaderMap>) {
    out.put_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if !forbidden::in_trailers(name) {
            write_header(out, name, value);
        }
    }
    out.put_slice(b"\r\n");
}

fn write_status_line(out: &mut BytesMut, status: StatusCode) {
    if status == StatusCode::OK {
        out.put_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

/// Announces the content, but never where the status rules it out (RFC 9110, section 8.6; RFC 9112, section 6.1).
fn write_response_framing(out: &mut BytesMut, status: StatusCode, framing: ResponseFraming) {
    let has_no_length = status.is_informational() || status == StatusCode::NO_CONTENT;
    let has_no_content = has_no_length || status == StatusCode::NOT_MODIFIED;
    match framing {
        ResponseFraming::HeadOnly(Some(length)) if !has_no_length => write_content_length(out, length),
        ResponseFraming::HeadOnly(_) | ResponseFraming::Framed(Framing::UntilClose) => {}
        ResponseFraming::Framed(_) if has_no_content => {}
        ResponseFraming::Framed(Framing::Length(length)) => write_content_length(out, length),
        ResponseFraming::Framed(Framing::Chunked) => out.put_slice(CHUNKED),
        // Without this, the client would wait for content until the connection is closed.
        ResponseFraming::Framed(Framing::None) => write_content_length(out, 0),
    }
}

fn write_content_length(out: &mut BytesMut, length: u64) {
    let mut digits = [0; 20];
    let mut rest = length;
    let mut used = 0;
    for (digit, place) in digits.iter_mut().rev().zip(0_usize..) {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used = place + 1;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(b"content-length: ");
    out.put_slice(digits.get(20 - used..).unwrap_or_default());
    out.put_slice(b"\r\n");
}

/// What was among the headers.
#[derive(Default)]
struct Seen {
    upgrade: bool,
    date: bool,
}

/// Writes all headers but those that the codec writes itself or that end at this hop.
///
/// The length of a name rules out most names at once.
fn write_headers(out: &mut BytesMut, headers: &HeaderMap) -> Seen {
    let mut seen = Seen::default();
    let length = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + BESIDES;
    // Room for all at once, so that nothing is asked for each of them.
    out.reserve(headers.iter().map(length).sum::<usize>() + HEAD_END);
    for (name, value) in headers {
        match name.as_str().len() {
            4 => seen.date |= *name == header::DATE,
            10 if *name == header::CONNECTION => {
                seen.upgrade |= elements(value.as_bytes()).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
                continue;
            }
            10 if *name == "keep-alive" => continue,
            14 if *name == header::CONTENT_LENGTH => continue,
            16 if *name == "proxy-connection" => continue,
            17 if *name == header::TRANSFER_ENCODING => continue,
            _ => {}
        }
        write_header(out, name, value);
    }
    seen
}

#[inline]
fn write_header(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
    let begin = out.len();
    out.resize(begin + name.len() + value.len() + BESIDES, b'\n');
    // One place, cut into the four parts: cheaper than four times the question whether there is room.
    let line = out.get_mut(begin..).unwrap_or_default();
    let Some((name_place, line)) = line.split_at_mut_checked(name.len()) else { return };
    let Some((colon, line)) = line.split_first_chunk_mut() else { return };
    let Some((value_place, line)) = line.split_at_mut_checked(value.len()) else { return };
    name_place.copy_from_slice(name);
    *colon = *b": ";
    value_place.copy_from_slice(value);
    if let Some(end) = line.first_mut() {
        *end = b'\r';
    }
}

fn write_target(out: &mut BytesMut, target: &str) {
    let target = target.as_bytes();
    if scan::is_target(target) {
        out.put_slice(target);
        return;
    }
    for byte in target {
        if scan::is_target(&[*byte]) {
            out.put_u8(*byte);
        } else {
            let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or(b'0').to_ascii_uppercase();
            out.put_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n";
const CLOSE: &[u8] = b"connection: close\r\n";
const KEEP_ALIVE: &[u8] = b"connection: keep-alive\r\n";
const UPGRADE: &[u8] = b"connection: upgrade\r\n";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// What a header takes beside its name and its value.
const BESIDES: usize = b": \r\n".len();

/// What may follow the headers: `connection`, `date`, the empty line.
const HEAD_END: usize = 96;

/// Most heads fit in this together with a small body, so that the buffer need not grow.
const HEAD_ROOM: usize = 3 * 1024;
