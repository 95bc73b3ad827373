//! The promise to those who read a shared log beside the nodes that write it: how far each reader has come is kept with the log,
//! one node at a time reads for it, and the log does not get so short that a reader misses anything, within a bound.

use async_trait::async_trait;

use crate::{Place, Unavailable};

/// How far a reader has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything up to this place is done.
    pub place: Place,
    /// And so many records of the batch behind it.
    pub records: u32,
}

/// Whether a node reads for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// It does, for some seconds from its last word on, and the reader has come so far.
    Here(Cursor),
    /// Another one does.
    Elsewhere,
}

/// What became of a reader's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorKept {
    /// It is remembered, whatever becomes of the node.
    Here,
    /// Another node reads for the reader by now, and goes on where it was before.
    Elsewhere,
}

/// What reads a shared log behind the nodes that write it.
///
/// A node that dies is followed by another one some seconds later, which begins where its predecessor's last word was: what a
/// reader did since is done again.
#[async_trait]
pub trait LogReaders: Send + Sync {
    /// Has a node read for a reader, unless another one does. A reader that is new begins where the log ends.
    async fn hold(&self, reader: &str, who: &str) -> Result<Reads, Unavailable>;

    /// Some of the batches behind a place, in order, each with the place behind it. What the log does not have any more is not
    /// among them, so that the numbers of places tell if anything is missing.
    async fn after(&self, place: Place) -> Result<Vec<(Place, Vec<u8>)>, Unavailable>;

    /// Remembers how far a reader has come, which is so many bytes of whole batches more than before.
    async fn remember(&self, reader: &str, who: &str, upto: Cursor, bytes: u64) -> Result<CursorKept, Unavailable>;
}
