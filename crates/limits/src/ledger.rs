//! What limits need from, and tell to, the rest of the gateway.

use crate::Period;

/// Keeps account of what was counted, so that a restart forgets nothing.
pub trait Ledger: Send + Sync {
    /// A request was granted `n` of `counter` in the window that began at `window_start`, in seconds since 1970.
    ///
    /// Called on the request's thread, once per granted request, with no lock held.
    fn consumed(&self, counter: &str, window_start: u64, n: u32);

    /// `n` that had been consumed was given back.
    fn given_back(&self, counter: &str, window_start: u64, n: u32);

    /// What is known of the counters whose names begin with `name`, such as after a restart.
    fn remembered(&self, name: &str) -> Vec<Reading>;
}

/// One counter as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    /// Its name: that of the [`crate::Counters`], a colon and the key.
    pub counter: String,
    /// When its window began, in seconds since 1970.
    pub window_start: u64,
    /// What was consumed in the window.
    pub consumed: u64,
}

/// Knows which quota comes with a product.
pub trait Plans: Send + Sync {
    /// How many requests the product includes, and in which period; nothing if it has no quota.
    fn quota(&self, product: &str) -> Option<(u64, Period)>;
}
