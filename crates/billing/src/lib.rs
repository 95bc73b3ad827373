//! What usage comes to and costs: sums, rate plans, the statement of a company and a period, credit notes. No clock, no I/O.
//!
//! # Rounding
//!
//! Prices are whole numbers of a millionth of a millionth of their currency, usage is calls and bytes, and both are
//! multiplied as integers: nothing is rounded on the way, and what does not fit is an error. Each line of a statement is
//! rounded once, to the smallest unit of its currency, half of it away from zero. A total is the sum of lines as they are
//! shown. So a statement can be checked by hand, and in whatever parts usage came, it costs the same.
//!
//! `rust_decimal` and `bigdecimal` were looked at: the first one rounds without a word beyond 28 digits, which a price of
//! twelve digits times many bytes has; the second one allocates for each number. 128 bits need neither.
//!
//! # Periods
//!
//! Usage is kept by the hour of UTC. An hour belongs to the day, and so to the month, in which it begins in the plan's time
//! zone; that matters where a zone's midnight is within an hour of UTC.
//!
//! Deliberately not here: where usage and statements are kept.

mod calendar;
mod charge;
mod credit;
mod kept;
mod page;
mod plan;
mod rounding;
mod statement;
mod sums;
mod table;

pub use self::calendar::{BadPeriod, Calendar, Contract, Month, Period};
pub use self::credit::{BadCredit, Credit, CreditNote};
pub use self::kept::{Brief, kept_amount, kept_page, kept_table};
pub use self::plan::{Plan, plans};
pub use self::rounding::{TooLarge, decimal, smallest_units};
pub use self::statement::{Account, Item, Statement, Trace, hash, hour_text};
pub use self::sums::{By, Groups, Sums, TooMany};
