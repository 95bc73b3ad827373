//! Sessions that partners have at a backend: how many there may be, which are open, and how those are closed that nobody
//! closes.
//!
//! A session has a place from before it is opened until it is known to be closed, so there are never more of them than
//! places. Deliberately not here: how a session is recognised in requests and answers, which the policy does, and
//! connections to the backend, which callers lend.

mod about;
mod closing;
mod counts;
mod desk;
mod known;

pub use self::about::{About, Maxima, group_of, session_id};
pub use self::closing::{Answered, Asks, Closing, Outcome};
pub use self::counts::Reading;
pub use self::desk::{Begun, Opening, Sessions, Terms, Trouble};

#[cfg(test)]
mod tests;
