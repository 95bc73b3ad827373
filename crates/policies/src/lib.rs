//! The policies that a route can be given, one file each, and the [`CATALOG`] of them.
//!
//! Deliberately not here: sockets, files and databases. A policy asks for what it needs when it is compiled, by type.

pub mod api_key;
pub mod attribute;
pub mod basic_auth;
pub mod compress;
pub mod concurrency;
pub mod cors;
mod counted_by;
pub mod expression;
pub mod headers;
pub mod ip_filter;
pub mod quota;
mod rate_limit_fields;
pub mod redirect;
pub mod request_size;
pub mod respond;
pub mod rewrite;
pub mod spike_arrest;
pub mod template;

use pipeline::Entry;

/// Every policy there is.
pub static CATALOG: &[Entry] = &[
    Entry::of::<api_key::ApiKey>(),
    Entry::of::<basic_auth::BasicAuth>(),
    Entry::of::<compress::Compress>(),
    Entry::of::<concurrency::Concurrency>(),
    Entry::of::<cors::Cors>(),
    Entry::of::<headers::Headers>(),
    Entry::of::<ip_filter::IpFilter>(),
    Entry::of::<quota::Quota>(),
    Entry::of::<redirect::Redirect>(),
    Entry::of::<request_size::RequestSize>(),
    Entry::of::<respond::Respond>(),
    Entry::of::<rewrite::Rewrite>(),
    Entry::of::<spike_arrest::SpikeArrest>(),
];
