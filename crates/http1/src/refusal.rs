//! Why a message is refused, in words that help the one who sent it.

use std::fmt;

use http::{HeaderName, StatusCode};
use thiserror::Error;

/// The part of a message in which something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The request line or status line.
    StartLine,
    /// The header line of this number, counted from one.
    Header(usize),
    /// The trailer line of this number, counted from one.
    Trailer(usize),
    /// A line that holds the size of a chunk.
    ChunkLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartLine => f.write_str("the start line"),
            Self::Header(line) => write!(f, "header line {line}"),
            Self::Trailer(line) => write!(f, "trailer line {line}"),
            Self::ChunkLine => f.write_str("a chunk-size line"),
        }
    }
}

/// Why a message is refused. After any of these the connection cannot be used again.
///
/// The text is for the client. About a response, only operators should read it, and the client gets a 502.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A carriage return without a line feed.
    #[error(
        "There is a carriage return without a line feed in {0}. End each line with CRLF and use neither elsewhere."
    )]
    BareCarriageReturn(Place),
    /// A line feed without a carriage return.
    #[error(
        "There is a line feed without a carriage return in {0}. End each line with CRLF and use neither elsewhere."
    )]
    BareLineFeed(Place),
    /// A control byte, for example NUL.
    #[error("There is the control byte 0x{1:02x} in {0}. Remove or encode it.")]
    ControlByte(Place, u8),
    /// A line that begins with white space (`obs-fold`).
    #[error("White space begins {0}. Write each header in one line and without white space before its name.")]
    FoldedLine(Place),
    /// A header line without a colon.
    #[error("There is no colon in {0}. Write each header as `name: value`.")]
    MissingColon(Place),
    /// A header without a name.
    #[error("There is no name before the colon in {0}. Write each header as `name: value`.")]
    EmptyName(Place),
    /// White space between a header's name and its colon.
    #[error("White space stands before the colon in {0}. Remove it.")]
    SpaceBeforeColon(Place),
    /// A header name with other bytes than those of a token, or one that is too long.
    #[error("The name in {0} is not a valid header name. Use letters, digits and hyphens.")]
    BadName(Place),

    /// A request line that is not `method SP target SP version`.
    #[error("The request line is malformed. Send a method, a target and `HTTP/1.1`, with one space between them.")]
    BadRequestLine,
    /// A status line that is not `version SP status SP reason`.
    #[error("The status line is malformed.")]
    BadStatusLine,
    /// A method that is not a token.
    #[error("The method is not valid. Use a registered one, such as GET or POST, in upper case.")]
    BadMethod,
    /// A method that is longer than any we know.
    #[error("The method is longer than {limit} bytes. Use a registered one, such as GET or POST.")]
    MethodTooLong {
        /// The longest method allowed.
        limit: usize,
    },
    /// A version other than 1.0 and 1.1.
    #[error("This version of HTTP is not supported. Use HTTP/1.1.")]
    UnsupportedVersion,
    /// A request target that is not valid.
    #[error("The request target is not valid: {0}.")]
    BadTarget(&'static str),
    /// A request target above the limit.
    #[error("The request target is longer than {limit} bytes. Shorten it or send its parameters in the body.")]
    UriTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A head above the limit.
    #[error("The request line and headers are longer than {limit} bytes in all. Send fewer or shorter headers.")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More header lines than the limit.
    #[error("There are more than {limit} headers. Send fewer.")]
    TooManyHeaders {
        /// The limit in lines.
        limit: usize,
    },

    /// No `Host` in an HTTP/1.1 request.
    #[error("The header `host` is missing. HTTP/1.1 requires it: send it once.")]
    MissingHost,
    /// A header of which there must be one at most.
    #[error("The header `{0}` is there more than once. Send it once.")]
    Repeated(HeaderName),
    /// A `Host` that is not a host with or without a port.
    #[error("The header `host` is not valid. Send a host name or an address, with a port if needed, and nothing else.")]
    BadHost,
    /// A `Host` that names another authority than the target.
    #[error("The header `host` and the request target name different hosts. Send the same in both.")]
    ConflictingHost,

    /// A `Content-Length` that is not a number, a list, or does not fit in 64 bits.
    #[error("The header `content-length` is not valid. Send one decimal number without sign or spaces.")]
    BadContentLength,
    /// Both `Transfer-Encoding` and `Content-Length`.
    #[error("There are both `transfer-encoding` and `content-length`. Send only one of them.")]
    LengthAndTransferEncoding,
    /// `Transfer-Encoding` in a message of HTTP/1.0.
    #[error("The header `transfer-encoding` does not exist in HTTP/1.0. Use HTTP/1.1 or send `content-length`.")]
    TransferEncodingInOldVersion,
    /// A `Transfer-Encoding` that is not a list in which `chunked` stands once and last.
    #[error("The header `transfer-encoding` is not valid. Send `chunked`, once and alone.")]
    BadTransferEncoding,
    /// A transfer coding other than `chunked`.
    #[error("The header `transfer-encoding` names a coding that is not supported. Send `chunked` alone.")]
    UnknownTransferCoding,
    /// Content announced where there cannot be any: in a CONNECT request or in a 1xx response.
    #[error("This message cannot have content. Leave out `content-length` and `transfer-encoding`.")]
    ForbiddenContent,

    /// A chunk size that is not hexadecimal or has more than 16 digits.
    #[error("The size of a chunk is not valid. Send it as 1 to 16 hexadecimal digits, then CRLF.")]
    BadChunkSize,
    /// Chunk extensions above the limit.
    #[error("The chunk extensions are longer than {limit} bytes in all. Leave them out.")]
    ChunkExtensionsTooLong {
        /// The limit in bytes, for all chunks of a message.
        limit: usize,
    },
    /// No CRLF after a chunk's data.
    #[error("A chunk is not followed by CRLF. Send as many bytes as its size says, then CRLF.")]
    MissingChunkEnd,
    /// A trailer section above the limit.
    #[error("The trailers are longer than {limit} bytes. Send fewer or shorter ones.")]
    TrailersTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The connection ended before the content did.
    #[error("The connection was closed before the message was complete.")]
    UnexpectedEnd,
}

impl Refusal {
    /// The status to answer a refused request with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UriTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge { .. } | Self::TooManyHeaders { .. } | Self::TrailersTooLarge { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::MethodTooLong { .. } | Self::UnknownTransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::BareCarriageReturn(_)
            | Self::BareLineFeed(_)
            | Self::ControlByte(..)
            | Self::FoldedLine(_)
            | Self::MissingColon(_)
            | Self::EmptyName(_)
            | Self::SpaceBeforeColon(_)
            | Self::BadName(_)
            | Self::BadRequestLine
            | Self::BadStatusLine
            | Self::BadMethod
            | Self::BadTarget(_)
            | Self::MissingHost
            | Self::Repeated(_)
            | Self::BadHost
            | Self::ConflictingHost
            | Self::BadContentLength
            | Self::LengthAndTransferEncoding
            | Self::TransferEncodingInOldVersion
            | Self::BadTransferEncoding
            | Self::ForbiddenContent
            | Self::BadChunkSize
            | Self::ChunkExtensionsTooLong { .. }
            | Self::MissingChunkEnd
            | Self::UnexpectedEnd => StatusCode::BAD_REQUEST,
        }
    }

    /// The name of this refusal in logs and problems: never renamed once released.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BareCarriageReturn(_) => "bare-carriage-return",
            Self::BareLineFeed(_) => "bare-line-feed",
            Self::ControlByte(..) => "control-byte",
            Self::FoldedLine(_) => "folded-line",
            Self::MissingColon(_) => "missing-colon",
            Self::EmptyName(_) => "empty-header-name",
            Self::SpaceBeforeColon(_) => "space-before-colon",
            Self::BadName(_) => "bad-header-name",
            Self::BadRequestLine => "bad-request-line",
            Self::BadStatusLine => "bad-status-line",
            Self::BadMethod => "bad-method",
            Self::MethodTooLong { .. } => "method-too-long",
            Self::UnsupportedVersion => "unsupported-version",
            Self::BadTarget(_) => "bad-target",
            Self::UriTooLong { .. } => "uri-too-long",
            Self::HeadTooLarge { .. } => "head-too-large",
            Self::TooManyHeaders { .. } => "too-many-headers",
            Self::MissingHost => "missing-host",
            Self::Repeated(_) => "repeated-header",
            Self::BadHost => "bad-host",
            Self::ConflictingHost => "conflicting-host",
            Self::BadContentLength => "bad-content-length",
            Self::LengthAndTransferEncoding => "length-and-transfer-encoding",
            Self::TransferEncodingInOldVersion => "transfer-encoding-in-http-1-0",
            Self::BadTransferEncoding => "bad-transfer-encoding",
            Self::UnknownTransferCoding => "unknown-transfer-coding",
            Self::ForbiddenContent => "forbidden-content",
            Self::BadChunkSize => "bad-chunk-size",
            Self::ChunkExtensionsTooLong { .. } => "chunk-extensions-too-long",
            Self::MissingChunkEnd => "missing-chunk-end",
            Self::TrailersTooLarge { .. } => "trailers-too-large",
            Self::UnexpectedEnd => "unexpected-end",
        }
    }
}
