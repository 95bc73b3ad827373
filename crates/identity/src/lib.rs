//! The policies that find out who calls: by a key, a certificate, a name with a password.
//!
//! They stand in the catalog of `policies` with all others. Deliberately not here: sockets, files and databases.

pub mod api_key;
pub mod basic_auth;
pub mod client_certificate;
pub mod entrance;
