//! How much may pass: rates (GCRA), counts per calendar window, and how many at once.
//!
//! All of it keeps three promises under any concurrency: never more than the limit, a refused request costs nothing,
//! and memory is bounded however many keys an outsider invents.
//! Deliberately not here: clocks (the time is a parameter), storage (a [`Ledger`] is told what was counted) and HTTP.

mod arrivals;
mod brink;
mod calendar;
mod counters;
mod decision;
mod gcra;
mod in_flight;
mod ledger;
mod shards;
mod shared;
mod tally;

pub use self::arrivals::Arrivals;
pub use self::brink::{Brink, Reached, crossed};
pub use self::calendar::{Calendar, Period, UnknownZone, Window};
pub use self::counters::Counters;
pub use self::decision::{Decision, Passage};
pub use self::gcra::Gcra;
pub use self::in_flight::{Count, InFlight, Permit};
pub use self::ledger::{Held, Ledger, News, Plans, Reading, Remembered, Turn};
pub use self::shared::{Asked, Away, Draw, Drawn, Fallback, Shared, Terms};
