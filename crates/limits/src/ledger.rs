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
    fn remembered(&self, name: &str) -> Remembered;

    /// Begins a decision, which ends when what is returned is dropped.
    ///
    /// While another process counts by the same ledger, one decision is made at a time in all of them, and what the others
    /// have counted is [`Self::news`]. Otherwise there is nothing to wait for.
    fn turn(&self) -> Turn<'_> {
        None
    }

    /// How many pieces of news there have been.
    fn news(&self) -> usize {
        0
    }

    /// The news from a number on.
    fn news_since(&self, from: usize) -> Vec<News> {
        let _ = from;
        Vec::new()
    }
}

/// Held while a decision is made, if anybody has to wait for it.
pub type Turn<'a> = Option<Box<dyn Held + 'a>>;

/// Something that others wait for until it is dropped.
pub trait Held {}

/// What a ledger knows when counters are made.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The counters.
    pub readings: Vec<Reading>,
    /// How many pieces of news are in it.
    pub news: usize,
}

/// What another process counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The counter's name.
    pub counter: String,
    /// When its window began, in seconds since 1970.
    pub window_start: u64,
    /// How much was consumed; less than nothing was given back.
    pub n: i64,
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
