//! Which of many operators a value can meet at all: what each of them needs, looked for in one go.

mod facts;
mod frequency;
mod memory;
mod needs;
mod scan;
mod texts;

pub use self::memory::{Detected, Known, Memory};
pub use self::needs::{Demand, Domain};
pub use self::scan::{NONE, ROW, Row, Scanner, add, both, is_none, keep};
