//! A transaction: what is known of a request and its answer, and what rules say of it.

mod body;
mod clock;
mod course;
mod expand;
mod feed;
mod gather;
mod kept;
mod matched;
mod perform;
mod response;
mod run;
mod state;
mod transform;

pub use self::clock::Moment;
pub(crate) use self::feed::beginnings;
pub use self::kept::{Difference, Kept, Persistence, Place};
pub use self::matched::Matched;
pub(crate) use self::matched::{Ending, Record};
pub use self::response::Response;
pub use self::run::{Intervention, Verdict};
pub use self::state::{Environment, Evaluation, Transaction};
pub(crate) use self::state::{Found, Name};
