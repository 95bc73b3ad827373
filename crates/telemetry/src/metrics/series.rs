//! What is counted under one label set, and the handles that count.

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::cells::{Block, Cells};

/// What a metric is. Names and labels are part of the public interface.
#[derive(Debug)]
pub struct Definition {
    /// Its name, with its unit and without a suffix such as `_total`.
    pub name: &'static str,
    /// One sentence for whoever reads it.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What its values measure.
    pub unit: Unit,
    /// A histogram's upper bounds, ascending: in nanoseconds if the unit is seconds.
    pub bounds: &'static [u64],
}

/// What the values of a metric measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Time: kept in nanoseconds, shown in seconds.
    Seconds,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size.
    Histogram,
    /// Counts and sums values.
    Summary,
}

/// One label set of a family.
pub struct Series {
    cells: Arc<Cells>,
    block: Option<Block>,
    bounds: &'static [u64],
}

impl Series {
    /// A series of zeros; without a block, if there is no space left, it counts nothing.
    pub(crate) fn new(cells: &Arc<Cells>, kind: Kind, bounds: &'static [u64]) -> Self {
        let length = match kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Summary => 2,
            // A bucket per bound, one for what is beyond, and the sum.
            Kind::Histogram => bounds.len() + 2,
        };
        Self { cells: cells.clone(), block: cells.take(length), bounds }
    }

    pub(crate) fn sums(&self) -> Vec<u64> {
        self.block.map(|block| self.cells.sums(block)).unwrap_or_default()
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        if let Some(block) = self.block {
            self.cells.give_back(block);
        }
    }
}

/// A way to count in a series.
pub trait Handle: Clone + sealed::OfSeries {
    /// The kind of metric it is for.
    const KIND: Kind;
}

pub(crate) mod sealed {
    use std::sync::Arc;

    pub trait OfSeries {
        fn of(series: Arc<super::Series>) -> Self;
    }
}

macro_rules! handle {
    ($($(#[$meta:meta])* $name:ident)*) => {$(
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name(Arc<Series>);

        impl Handle for $name {
            const KIND: Kind = Kind::$name;
        }

        impl sealed::OfSeries for $name {
            fn of(series: Arc<Series>) -> Self {
                Self(series)
            }
        }
    )*};
}

handle! {
    /// Counts what only grows.
    Counter
    /// Counts what goes up and down, or shows a level.
    Gauge
    /// Counts values by size.
    Histogram
    /// Counts and sums values.
    Summary
}

impl Counter {
    /// Adds to it.
    #[inline]
    pub fn add(&self, n: u64) {
        if let Some(block) = self.0.block {
            self.0.cells.count(block, |own| own.add(0, n));
        }
    }
}

impl Gauge {
    /// Adds to it. A gauge is either added to or set.
    #[inline]
    pub fn add(&self, n: i64) {
        if let Some(block) = self.0.block {
            self.0.cells.count(block, |own| own.add(0, n.cast_unsigned()));
        }
    }

    /// Sets it. A gauge is either added to or set.
    pub fn set(&self, level: i64) {
        if let Some(block) = self.0.block {
            self.0.cells.set(block, level.cast_unsigned());
        }
    }
}

impl Histogram {
    /// Counts a value.
    #[inline]
    pub fn observe(&self, value: u64) {
        let Some(block) = self.0.block else { return };
        // Compared with all bounds, because that takes no branch that could be predicted wrongly.
        let bucket = self.0.bounds.iter().filter(|bound| **bound < value).count();
        self.0.cells.count(block, |own| {
            own.add(bucket, 1);
            own.add(self.0.bounds.len() + 1, value);
        });
    }

    /// How many values were counted. Sums up what all threads counted, so it is for those who look seldom.
    pub fn count(&self) -> u64 {
        let sums = self.0.sums();
        // The last place is the sum of the values.
        sums.split_last().map_or(0, |(_, buckets)| buckets.iter().fold(0, |sum, count| count.saturating_add(sum)))
    }

    /// Counts a duration.
    #[inline]
    pub fn observe_duration(&self, value: Duration) {
        self.observe(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Summary {
    /// Counts a value.
    #[inline]
    pub fn observe(&self, value: u64) {
        let Some(block) = self.0.block else { return };
        self.0.cells.count(block, |own| {
            own.add(0, 1);
            own.add(1, value);
        });
    }
}
