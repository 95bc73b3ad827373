//! What operators are shown of waiting rooms, and what they ask of them: the shapes of the Admin API, as JSON.
//!
//! Deliberately not here: who may ask, and how an operation answers, which is `admin`.

mod asked;
mod hindrance;
mod shown;

pub use self::asked::{Draw, End, Imported, Move, New, Revoke, SetInlet, SetState, Wanted};
pub use self::hindrance::Hindrance;
pub use self::shown::{Ended, History, Key, Made, Revoked, Shown, ShownVisit};
