//! From field ranges to a header map, noting on the way what decides about the message itself.

use bytes::Bytes;
use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::Framing;
use crate::lines::{Field, is_blank};
use crate::names::header_name;
use crate::refusal::{Place, Refusal};

/// What headers say that the codec must know.
#[derive(Debug, Default)]
pub(crate) struct Noted<'a> {
    /// The one `Host`.
    pub(crate) host: Option<&'a [u8]>,
    content_length: Option<u64>,
    transfer_encoding: bool,
    options: ConnectionOptions,
    protocol: Protocol,
    pub(crate) expects_continue: bool,
}

/// What `Upgrade` names.
#[derive(Debug, Default, PartialEq, Eq)]
enum Protocol {
    #[default]
    None,
    Other,
    /// One that carries requests again, among others or alone.
    Http,
}

/// What `Connection` says, of what concerns us.
#[derive(Debug, Default)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

/// Reads `fields` of `section`. The values share its memory.
pub(crate) fn collect<'a>(section: &'a Bytes, fields: &[Field]) -> Result<(HeaderMap, Noted<'a>), Refusal> {
    let mut noted = Noted::default();
    let mut headers = HeaderMap::with_capacity(fields.len() + SPARE);
    for (index, field) in fields.iter().enumerate() {
        let bad_name = || Refusal::BadName(Place::Header(index + 1));
        let name = header_name(section, field.start, field.colon).ok_or_else(bad_name)?;
        noted.note(&name, section, field)?;
        headers.append(name, header_value(section, field).ok_or_else(bad_name)?);
    }
    Ok((headers, noted))
}

impl<'a> Noted<'a> {
    /// Notes what a field says about the message. The length of a name rules out most names at once.
    #[inline]
    fn note(&mut self, name: &HeaderName, section: &'a [u8], field: &Field) -> Result<(), Refusal> {
        let value = || section.get(field.value..field.end).unwrap_or_default();
        match field.colon - field.start {
            4 if *name == header::HOST => {
                if self.host.is_some() {
                    return Err(Refusal::Repeated(header::HOST));
                }
                self.host = Some(value());
            }
            6 if *name == header::EXPECT => self.expects_continue |= value().eq_ignore_ascii_case(b"100-continue"),
            7 if *name == header::UPGRADE => {
                if elements(value()).any(is_http) {
                    self.protocol = Protocol::Http;
                } else if self.protocol == Protocol::None && !value().is_empty() {
                    self.protocol = Protocol::Other;
                }
            }
            10 if *name == header::CONNECTION => self.options.note(value()),
            14 if *name == header::CONTENT_LENGTH => {
                if self.content_length.is_some() {
                    return Err(Refusal::Repeated(header::CONTENT_LENGTH));
                }
                self.content_length = Some(decimal(value()).ok_or(Refusal::BadContentLength)?);
            }
            17 if *name == header::TRANSFER_ENCODING => {
                if self.transfer_encoding {
                    return Err(Refusal::Repeated(header::TRANSFER_ENCODING));
                }
                check_transfer_encoding(value())?;
                self.transfer_encoding = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// What the fields say about framing: `None` if they say nothing.
    pub(crate) fn framing(&self, version: Version) -> Result<Option<Framing>, Refusal> {
        match (self.transfer_encoding, self.content_length) {
            (true, Some(_)) => Err(Refusal::LengthAndTransferEncoding),
            (true, None) if version < Version::HTTP_11 => Err(Refusal::TransferEncodingInOldVersion),
            (true, None) => Ok(Some(Framing::Chunked)),
            (false, Some(length)) => Ok(Some(Framing::Length(length))),
            (false, None) => Ok(None),
        }
    }

    /// Whether the connection may be used again after this message (RFC 9112, section 9.3).
    pub(crate) fn keeps_alive(&self, version: Version) -> bool {
        !self.options.close && (version == Version::HTTP_11 || self.options.keep_alive)
    }

    /// Whether the message asks for another protocol, which HTTP/1.0 cannot (RFC 9110, section 7.8). That may be ignored, and
    /// is if the other protocol is HTTP again: nobody would look at the requests in it.
    pub(crate) fn upgrades(&self, version: Version) -> bool {
        self.options.upgrade && self.protocol == Protocol::Other && version == Version::HTTP_11
    }
}

impl ConnectionOptions {
    fn note(&mut self, value: &[u8]) {
        if value == b"keep-alive" {
            self.keep_alive = true;
            return;
        }
        for option in elements(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

/// Whether a protocol carries requests, in the clear or behind TLS (RFC 7540, section 3.2; RFC 2817).
fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
    [b"h2c".as_slice(), b"h2", b"http", b"tls"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// A copy of a head to be shared by many values.
///
/// A byte of spare room makes it shared from the start, which is cheaper than to become so by its first slice.
pub(crate) fn shared(head: &[u8]) -> Bytes {
    let mut copy = Vec::with_capacity(head.len() + 1);
    copy.extend_from_slice(head);
    Bytes::from(copy)
}

/// The value of `field`, in the memory of `section`, which `lines` has checked.
#[inline]
pub(crate) fn header_value(section: &Bytes, field: &Field) -> Option<HeaderValue> {
    let value = section.slice(field.value..field.end);
    if !field.is_ascii {
        return HeaderValue::from_maybe_shared(value).ok();
    }
    // SAFETY: the bytes are ASCII, hence UTF-8, and without control bytes other than tabs, hence valid in a value.
    #[expect(unsafe_code, reason = "a second look at each byte would be a sixth of the cost of a head")]
    let value = unsafe { HeaderValue::from_maybe_shared_unchecked(value) };
    Some(value)
}

/// The elements of a comma-separated list, without those that are empty.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

/// A decimal number of nothing but digits.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Accepts `chunked` and nothing else.
///
/// Where `chunked` is last and once, the codings before it may be real ones that we do not know; anything else leaves
/// the end of the content open (RFC 9112, section 6.3).
fn check_transfer_encoding(value: &[u8]) -> Result<(), Refusal> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if is_chunked(value) {
        return Ok(());
    }
    let mut codings = value.rsplit(|byte| *byte == b',').map(trim);
    if codings.next().is_some_and(is_chunked) && codings.all(|coding| !coding.is_empty() && !is_chunked(coding)) {
        return Err(Refusal::UnknownTransferCoding);
    }
    Err(Refusal::BadTransferEncoding)
}

/// Room in the map for headers that a gateway adds, so that it need not grow.
const SPARE: usize = 3;
