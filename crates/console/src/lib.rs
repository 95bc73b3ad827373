//! The page by which people operate waiting rooms in a browser, and how they sign in there.
//!
//! A [`Console`] serves three files and passes what the page asks for on to the Admin API, in the name of a token that
//! somebody presented once: the browser has a short-lived cookie instead, which no script can read, no other site can use,
//! and nothing but `/console` is sent. Whether the token still opens, and how far its role goes, the Admin API says for each
//! request. Deliberately not here: the Admin API, and tokens. No I/O.

mod files;
mod routes;
mod sessions;

pub use self::routes::{Check, Console, Who};
