//! The policies that a route can be given, one file each, and the [`CATALOG`] of them. Those that limit are in `limiting`.
//!
//! Those that find out who calls are in `identity`, and the firewall is in `firewall`.
//!
//! Deliberately not here: sockets, files and databases. A policy asks for what it needs when it is compiled, by type.

pub mod backend_token;
pub mod client_credentials;
pub mod complete;
pub mod compress;
pub mod cors;
pub mod headers;
pub mod ip_filter;
pub mod outside;
pub mod partner_record;
pub mod redirect;
pub mod reference;
pub mod request_size;
pub mod respond;
pub mod revocation_list;
pub mod rewrite;
pub mod sessions;
pub mod token_endpoint;
pub mod token_exchange;
pub mod token_keys;
pub mod waiting_room;
pub mod waiting_room_api;
pub mod waiting_room_token;
pub mod waiting_room_visit;

use identity::{api_key, basic_auth, client_certificate};
pub use limiting::{concurrency, cost, quota, spike_arrest};
use pipeline::Entry;

/// Every policy there is.
pub static CATALOG: &[Entry] = &[
    Entry::of::<api_key::ApiKey>(),
    Entry::of::<backend_token::BackendToken>(),
    Entry::of::<basic_auth::BasicAuth>(),
    Entry::of::<client_certificate::ClientCertificate>(),
    Entry::of::<client_credentials::ClientCredentials>(),
    Entry::of::<complete::Complete>(),
    Entry::of::<compress::Compress>(),
    Entry::of::<concurrency::Concurrency>(),
    Entry::of::<cors::Cors>(),
    Entry::of::<cost::Cost>(),
    Entry::of::<headers::Headers>(),
    Entry::of::<ip_filter::IpFilter>(),
    Entry::of::<partner_record::PartnerRecord>(),
    Entry::of::<quota::Quota>(),
    Entry::of::<redirect::Redirect>(),
    Entry::of::<request_size::RequestSize>(),
    Entry::of::<respond::Respond>(),
    Entry::of::<revocation_list::RevocationList>(),
    Entry::of::<rewrite::Rewrite>(),
    Entry::of::<sessions::Sessions>(),
    Entry::of::<spike_arrest::SpikeArrest>(),
    Entry::of::<token_exchange::TokenExchange>(),
    Entry::of::<token_keys::TokenKeys>(),
    Entry::of::<firewall::Waf>(),
    Entry::of::<waiting_room::WaitingRoom>(),
    Entry::of::<waiting_room_api::WaitingRoomApi>(),
    Entry::of::<waiting_room_token::WaitingRoomToken>(),
    Entry::of::<waiting_room_visit::WaitingRoomVisit>(),
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        let names: Vec<_> = CATALOG.iter().map(|entry| entry.name).collect();
        let ordered: BTreeSet<_> = names.iter().copied().collect();
        assert_eq!(names, ordered.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn every_problem_has_a_code_of_its_own() {
        let mut codes = BTreeMap::new();
        for problem in CATALOG.iter().flat_map(|entry| entry.problems) {
            let first = *codes.entry(problem.code).or_insert(*problem);
            assert!(std::ptr::eq(first, *problem), "{} stands for two problems", problem.code);
        }
    }

    #[test]
    fn every_policy_and_every_setting_is_described() {
        for entry in CATALOG {
            described(entry.name, &Value::from((entry.schema)()));
        }
    }

    /// Looks through a schema and all of its parts.
    fn described(place: &str, schema: &Value) {
        let has_text = |schema: &Value| schema["description"].as_str().is_some_and(|text| !text.is_empty());
        assert!(has_text(schema), "{place} has no doc comment");
        for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
            assert!(has_text(setting), "{place}.{name} has no doc comment");
        }
        for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
            described(&format!("{place}/{name}"), part);
        }
    }
}
