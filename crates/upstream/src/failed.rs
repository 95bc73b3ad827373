//! Why an upstream gave no answer, as clients, logs and caches in between may know it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::connect::ConnectError;
use crate::h1::Trouble;

/// An upstream gave no answer.
#[derive(Debug)]
pub struct Failed {
    /// What kind of failure it is.
    pub kind: Kind,
    /// The target that was tried last.
    pub target: Option<Arc<str>>,
    /// How often the request was sent, or tried to be sent.
    pub attempts: u32,
    /// When it is tried again, if that is known.
    pub again: Option<Duration>,
    /// The error behind it, for the log.
    pub cause: Option<pipeline::BoxError>,
}

/// The kinds of failure; each has a status and an error type of Proxy-Status (RFC 9209, section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The circuit is open: it failed too often just now.
    CircuitOpen,
    /// No target is in service.
    NoTarget,
    /// As many requests or connections are under way as may be.
    Full,
    /// The gateway itself has run out of descriptors or memory.
    Exhausted,
    /// The target's name could not be looked up.
    Name,
    /// No target could be connected to.
    Connect,
    /// No target could be connected to in time.
    ConnectLate,
    /// The TLS handshake failed.
    Tls,
    /// The connection was closed before there was an answer.
    Closed,
    /// There was no answer in time.
    Late,
    /// The time for the whole exchange was over before the client had sent everything.
    ClientLate,
    /// The answer is not valid HTTP.
    Invalid,
    /// The client's body could not be read to its end.
    ClientBody,
}

impl Kind {
    /// The status for the client.
    pub fn status(self) -> StatusCode {
        match self {
            Self::CircuitOpen | Self::NoTarget | Self::Full | Self::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
            Self::Name | Self::Connect | Self::Tls | Self::Closed | Self::Invalid => StatusCode::BAD_GATEWAY,
            Self::ConnectLate | Self::Late | Self::ClientLate => StatusCode::GATEWAY_TIMEOUT,
            Self::ClientBody => StatusCode::BAD_REQUEST,
        }
    }

    /// The error type for `Proxy-Status`.
    pub fn proxy_error(self) -> &'static str {
        match self {
            Self::CircuitOpen | Self::NoTarget => "destination_unavailable",
            Self::Full => "connection_limit_reached",
            Self::Exhausted => "proxy_internal_error",
            Self::Name => "dns_error",
            Self::Connect => "connection_refused",
            Self::ConnectLate => "connection_timeout",
            Self::Tls => "tls_protocol_error",
            Self::Closed => "connection_terminated",
            Self::Late | Self::ClientLate => "http_response_timeout",
            Self::Invalid => "http_protocol_error",
            Self::ClientBody => "http_request_error",
        }
    }

    /// Whether it counts against the target's and the upstream's health.
    pub(crate) fn is_the_targets(self) -> bool {
        match self {
            Self::Name | Self::Connect | Self::ConnectLate | Self::Tls | Self::Closed | Self::Late | Self::Invalid => {
                true
            }
            Self::CircuitOpen | Self::NoTarget | Self::Full | Self::Exhausted | Self::ClientLate | Self::ClientBody => {
                false
            }
        }
    }
}

impl From<&ConnectError> for Kind {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Name(_) => Self::Name,
            ConnectError::Refused(_) => Self::Connect,
            ConnectError::Tls(_) => Self::Tls,
            ConnectError::Late => Self::ConnectLate,
            ConnectError::Full | ConnectError::NoneFree => Self::Full,
            ConnectError::Exhausted(_) => Self::Exhausted,
            ConnectError::Http2(_) => Self::Invalid,
        }
    }
}

impl From<&Trouble> for Kind {
    fn from(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Closed | Trouble::Io(_) => Self::Closed,
            Trouble::Invalid(_) | Trouble::Unasked => Self::Invalid,
            Trouble::Body(_) => Self::ClientBody,
            Trouble::Late => Self::Late,
            Trouble::ClientLate => Self::ClientLate,
        }
    }
}
