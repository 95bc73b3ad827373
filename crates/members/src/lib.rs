//! Members of JSON and XML documents: found, and set where they stand, so that everything else stays as it was written.
//!
//! Deliberately not here: which member gets which value. Whoever calls decides, once it is known whether there is one.

pub mod json;
pub mod xml;

/// Whether a document has a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    Present,
    /// It has none.
    Absent,
}

/// What becomes of a member.
#[derive(Clone, Debug)]
pub enum Change {
    /// It stays as it is.
    Leave,
    /// This takes its place.
    Set(String),
    /// It is taken out.
    Remove,
}

/// Says what becomes of one member, once it is known whether there is one.
pub type Decide<'a, E> = &'a dyn Fn(Presence) -> Result<Change, E>;

/// Why a document was not changed.
#[derive(Debug)]
pub enum Wrong<E> {
    /// Whoever decides would not.
    Refused(E),
    /// It is not what it should be; a sentence for whoever sent it.
    Unfit(String),
}

impl<E> From<E> for Wrong<E> {
    fn from(refused: E) -> Self {
        Self::Refused(refused)
    }
}
