//! Collections that outlive a transaction.

use crate::values::{ValueId, Values};

/// Where collections are kept between transactions.
///
/// Several transactions may hold the same collection at a time, on several nodes. So what is given back is how values
/// changed, not what they are: a number that two of them raise is raised twice.
pub trait Persistence: Send + Sync {
    /// What is kept, without what has expired.
    fn load(&self, place: &Place<'_>) -> Vec<Kept>;

    /// Takes changes in. A collection that nobody changes for `timeout` seconds may be forgotten.
    fn store(&self, place: &Place<'_>, changes: &[Difference], timeout: u64);
}

/// Which collection is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place<'a> {
    /// `SecWebAppId`, for collections that applications do not share.
    pub application: Option<&'a str>,
    /// `ip`, `global`, `resource`, `session` or `user`.
    pub collection: &'a str,
    /// What it was initialised with.
    pub key: &'a [u8],
}

/// A value that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// When it is gone, in seconds since 1970.
    pub expires: Option<u64>,
    /// When it was last changed, in seconds since 1970.
    pub changed: u64,
}

/// How a value changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is this now; when it is gone stays as it was.
    Set {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// It is a number that grew by so much, or fell; never below zero.
    Added {
        /// Its name.
        name: Vec<u8>,
        /// By how much.
        by: i64,
    },
    /// It is gone.
    Unset {
        /// Its name.
        name: Vec<u8>,
    },
    /// It will be gone at this time, in seconds since 1970.
    Expires {
        /// Its name.
        name: Vec<u8>,
        /// When.
        at: u64,
    },
}

/// A collection as a transaction holds it.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    pub(crate) key: ValueId,
    pub(crate) entries: Vec<Entry>,
    /// When values will be gone that are not there yet.
    pub(crate) timers: Vec<(ValueId, u64)>,
    /// When it was last changed before this transaction.
    pub(crate) updated: Option<u64>,
    pub(crate) changes: Vec<Difference>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: ValueId,
    pub(crate) value: ValueId,
    pub(crate) expires: Option<u64>,
}

impl Collection {
    /// What is in it and has not expired.
    pub(crate) fn current(&self, now: u64) -> impl Iterator<Item = (ValueId, ValueId)> {
        let alive = self.entries.iter().filter(move |entry| entry.expires.is_none_or(|expires| expires > now));
        alive.map(|entry| (entry.name, entry.value))
    }

    /// The value of that name, in whatever case it is written; not if it has expired.
    pub(crate) fn find(&mut self, values: &Values, name: &[u8], now: u64) -> Option<&mut Entry> {
        self.entries.retain(|entry| entry.expires.is_none_or(|expires| expires > now));
        self.entries.iter_mut().find(|entry| values.bytes(entry.name).eq_ignore_ascii_case(name))
    }

    /// When a value will be gone that is not there yet.
    pub(crate) fn timer(&self, values: &Values, name: &[u8]) -> Option<u64> {
        let mut timers = self.timers.iter().rev();
        timers.find(|(timed, _)| values.bytes(*timed).eq_ignore_ascii_case(name)).map(|(_, at)| *at)
    }
}
