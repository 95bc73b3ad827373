//! Tables in several parts, so that threads seldom meet at a lock.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// Equal parts, one of which is a key's own.
pub(crate) struct Shards<T> {
    parts: Box<[Apart<T>]>,
    hasher: RandomState,
}

/// On a cache line of its own, because two lines are fetched together.
#[repr(align(128))]
struct Apart<T>(T);

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        Self { parts: std::iter::repeat_with(|| Apart(T::default())).take(COUNT).collect(), hasher: RandomState::new() }
    }
}

impl<T> Shards<T> {
    /// What stands for `key` in this table: outsiders cannot aim at it, because it is hashed with a secret.
    pub(crate) fn fingerprint(&self, key: &(impl Hash + ?Sized)) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The part in which a fingerprint has its place.
    #[expect(clippy::indexing_slicing, reason = "the mask keeps it below COUNT")]
    pub(crate) fn part(&self, fingerprint: u64) -> &T {
        // The lowest and the highest bits are what the hash map inside uses.
        &self.parts[(fingerprint >> 32) as usize & (COUNT - 1)].0
    }

    /// All parts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().map(|part| &part.0)
    }
}

/// How many entries each part may have, so that all have at most `entries`, rounded up.
pub(crate) fn share(entries: usize) -> usize {
    entries.div_ceil(COUNT).max(1)
}

/// For maps whose keys are fingerprints already.
#[derive(Clone, Copy, Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used for `u64`; right nevertheless.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

/// See [`AsIs`].
pub(crate) type BuildAsIs = std::hash::BuildHasherDefault<AsIs>;

const COUNT: usize = 16;
