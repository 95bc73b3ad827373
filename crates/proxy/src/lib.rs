//! Listeners, TLS, HTTP/1.1 and HTTP/2, and the way of a request through the gateway.
//!
//! Read `handle.rs` first. Deliberately not here: what any policy does, and where configuration comes from.

mod accept;
mod arrival;
mod clock;
mod cut;
mod extended_connect;
mod forward;
mod forwarded;
mod gateway;
mod h1;
mod h2;
mod handle;
mod mirror;
mod pace;
pub mod proxy_protocol;
mod refused;
mod rehearsal;
mod served;
pub mod tls;
mod tunnel;
mod underway;
mod upload;
mod worker;

use problem::ProblemKind;

pub use self::accept::Present;
pub use self::gateway::{Gateway, Inherited, Socket};
pub use self::handle::Service;
pub use self::rehearsal::{Rehearsal, rehearse};

/// Every problem that the proxy itself answers with; the documentation lists them.
pub static PROBLEMS: &[&ProblemKind] = &[
    &handle::NO_ROUTE,
    &handle::METHOD_NOT_ALLOWED,
    &handle::NO_ANSWER,
    &handle::INTERNAL_ERROR,
    &refused::BAD_REQUEST,
    &refused::AMBIGUOUS_PATH,
    &refused::AMBIGUOUS_HEADER,
    &refused::BODY_TOO_LARGE,
    &refused::TOO_SLOW,
    &refused::URI_TOO_LONG,
    &refused::HEAD_TOO_LARGE,
    &refused::NOT_IMPLEMENTED,
    &refused::VERSION_UNSUPPORTED,
    &refused::METHOD_UNSUPPORTED,
    &forward::UPSTREAM_UNAVAILABLE,
    &forward::UPSTREAM_FAILED,
    &forward::UPSTREAM_LATE,
    &cut::ACCESS_EXPIRED,
    &cut::ACCESS_REVOKED,
    &cut::ACCESS_DELETED,
    &cut::ACCESS_SUSPENDED,
    &cut::RECORD_GONE,
    &underway::NO_ROOM,
    &underway::ANSWER_UNFIT,
    &pipeline::POLICY_FAILED,
];
