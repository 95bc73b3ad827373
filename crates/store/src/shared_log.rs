//! The promise of a log that several nodes write by turns: whoever has the turn writes behind the last batch, or not at all.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use crate::{Unavailable, UnknownWord};

/// A place in a shared log: behind which batch. The first one is before all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// How many batches are before it.
    pub number: u64,
    /// Which of those that may have been written as the last one of them: chance.
    pub mark: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.mark)
    }
}

impl FromStr for Place {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let parts = text.split_once('-').and_then(|(number, mark)| Some((number.parse().ok()?, mark.parse().ok()?)));
        let (number, mark) = parts.ok_or_else(|| UnknownWord(text.to_owned()))?;
        Ok(Self { number, mark })
    }
}

/// What is behind a place that somebody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// These batches, in order; and where the log ends, which may be further on.
    Known {
        /// Each with the place behind it.
        batches: Vec<(Place, Vec<u8>)>,
        /// Where the log ends.
        last: Place,
        /// Where what is in the log begins: what is before it is in the base.
        base: Place,
    },
    /// The log does not have that place: it was shortened, or forgot what it had. It ends here.
    Gone(Place),
}

/// What becomes of whoever asks for the turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is theirs, and this is behind what they know.
    Ours(Behind),
    /// Somebody else has it. Whoever asks again gets it in the order of asking.
    Theirs,
}

/// What shall become of the turn once a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It stays, unless somebody else asked for it.
    Keep,
    /// It goes to whoever asked for it, or to nobody.
    Pass,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// It is written, and the turn stays.
    Kept,
    /// It is written, and the turn is not the writer's any more.
    Passed,
    /// It is not written: the turn is not the writer's, or the log does not end where they think.
    Refused,
}

/// What the log had before it was shortened, in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Up to where.
    pub place: Place,
    /// How many pieces it has.
    pub pieces: u32,
}

/// A log that several nodes write by turns.
///
/// Batches have an order and no gaps, and a batch that was written twice is there once. A turn that nobody uses ends by
/// itself, so that a node that dies holds nobody up; one that only seemed dead finds its batch refused.
#[async_trait]
pub trait SharedLog: Send + Sync {
    /// What is behind a place.
    async fn read(&self, known: Place) -> Result<Behind, Unavailable>;

    /// Asks for the turn, for somebody who knows what is up to a place.
    async fn take(&self, who: &str, known: Place) -> Result<Turn, Unavailable>;

    /// Writes a batch between two places, if it is somebody's turn and the log ends at the first one.
    async fn write(&self, who: &str, between: (Place, Place), batch: &[u8], then: Then) -> Result<Wrote, Unavailable>;

    /// Gives the turn to whoever asked for it, if it is somebody's.
    async fn pass(&self, who: &str) -> Result<(), Unavailable>;

    /// What the log had before it was shortened.
    async fn base(&self) -> Result<Base, Unavailable>;

    /// A piece of a base. None: it is not the base any more.
    async fn piece(&self, place: Place, number: u32) -> Result<Option<Vec<u8>>, Unavailable>;

    /// Lays a piece of a base down that is to be.
    async fn lay_piece(&self, place: Place, number: u32, piece: &[u8]) -> Result<(), Unavailable>;

    /// Makes what was laid down the base, and shortens the log, unless it begins further on. It cannot be where the log does not
    /// have that place, or not all pieces of it.
    async fn rebase(&self, base: Base) -> Result<(), Unavailable>;
}
