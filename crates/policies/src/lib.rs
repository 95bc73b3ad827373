//! The policies that a route can be given, one file each, and the [`CATALOG`] of them.
//!
//! Deliberately not here: sockets, files and databases. A policy asks for what it needs when it is compiled, by type.

pub mod api_key;
pub mod attribute;
pub mod expression;
pub mod headers;
pub mod ip_filter;
pub mod redirect;
pub mod respond;
pub mod rewrite;
pub mod template;

use pipeline::Entry;

/// Every policy there is.
pub static CATALOG: &[Entry] = &[
    Entry::of::<headers::Headers>(),
    Entry::of::<ip_filter::IpFilter>(),
    Entry::of::<redirect::Redirect>(),
    Entry::of::<respond::Respond>(),
    Entry::of::<rewrite::Rewrite>(),
];
