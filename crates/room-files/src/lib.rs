//! How waiting rooms lie in files: what happens in them, as records of a journal, and what they are, as pictures.
//!
//! What one version wrote, later ones read: kinds of records and parts of pictures have numbers that never change. What a version
//! does not know it does not read, so that nothing is lost in silence.
//!
//! Deliberately not here: the journal, when something is written, and the arithmetic, which is `waiting_room`.

pub mod pictures;
mod tuning;
pub mod wire;
