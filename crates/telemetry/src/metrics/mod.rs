//! Metrics: counters, gauges, histograms and summaries with bounded labels, counted without locks and rendered for scrapes.
//!
//! A label set is resolved to a handle once ([`Family::with`]), when a configuration is compiled or at
//! the first use of a combination; from then on counting is an addition in the thread's own cell.

mod cells;
mod process;
mod registry;
mod render;
mod scrape;
mod series;

pub use self::process::describe_process;
pub use self::registry::{Family, Registry};
pub use self::render::Exposition;
pub use self::scrape::{LabelValues, Scrape};
pub use self::series::{Counter, Definition, Gauge, Handle, Histogram, Kind, Summary, Unit};
