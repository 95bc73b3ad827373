//! A strict codec of HTTP/1.1 messages (RFC 9112), without any I/O, for both sides of a gateway.
//!
//! Two parsers that disagree about where a message ends are how requests are smuggled past a gateway. So whatever
//! may be read in more than one way is refused here, and what is written is built from the parsed parts, never from
//! the bytes that came in. Every function is pure and total: any bytes may be passed to it.
//!
//! Deliberately not here: sockets, timeouts, connection reuse, and the choice of what to forward.

mod authority;
mod decode;
mod encode;
mod fields;
mod forbidden;
mod lines;
mod names;
mod refusal;
mod request;
mod response;
mod scan;

pub use self::authority::is_host;
pub use self::decode::{Decoded, Decoder};
pub use self::encode::{
    CHUNK_END, Persistence, ResponseFraming, write_chunk_size, write_interim, write_last_chunk, write_request,
    write_response,
};
pub use self::refusal::{Place, Refusal};
pub use self::request::{NoPath, RequestHead, parse_request};
pub use self::response::{ResponseHead, parse_response};

use http::Version;

/// How large a head, and likewise a trailer section, may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole head, from the start line to the empty line.
    pub head_bytes: usize,
    /// Lines of headers.
    pub headers: usize,
    /// Bytes of the request target.
    pub uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 32 * 1024, headers: 100, uri_bytes: 8 * 1024 }
    }
}

/// How the end of a message's content is found (RFC 9112, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no content.
    None,
    /// The content has this many bytes.
    Length(u64),
    /// The content comes in chunks and ends with the last one.
    Chunked,
    /// The content ends with the connection. Responses only.
    UntilClose,
}

impl Framing {
    /// This framing, or the one to use instead towards a peer of `version`: HTTP/1.0 knows no chunks.
    #[must_use]
    pub fn towards(self, version: Version) -> Self {
        match self {
            Self::Chunked if version < Version::HTTP_11 => Self::UntilClose,
            Self::None | Self::Length(_) | Self::Chunked | Self::UntilClose => self,
        }
    }
}
