//! The values of all metrics at one moment.

use std::collections::BTreeMap;

use crate::metrics::series::{Definition, Kind};

/// The values of a label set, in the order of the definition's labels.
pub type LabelValues = Box<[Box<str>]>;

/// The values of all metrics at one moment, to which a collector adds its own.
pub struct Scrape {
    label_sets: usize,
    pub(crate) families: BTreeMap<&'static str, Scraped>,
}

pub(crate) struct Scraped {
    pub(crate) definition: &'static Definition,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<(LabelValues, Value)>,
}

/// The value of one label set, in the unit in which it is kept.
pub(crate) enum Value {
    Whole(u64),
    Level(i64),
    Fraction(f64),
    Distribution { buckets: Vec<u64>, sum: u64 },
    Total { count: u64, sum: u64 },
}

impl Scrape {
    pub(crate) fn new(label_sets: usize) -> Self {
        Self { label_sets, families: BTreeMap::new() }
    }

    /// Adds what only grows. The value is in the unit that is shown.
    pub fn counter(&mut self, definition: &'static Definition, labels: &[&str], value: f64) {
        self.put(definition, Kind::Counter, labels, Value::Fraction(value));
    }

    /// Adds what goes up and down. The value is in the unit that is shown.
    pub fn gauge(&mut self, definition: &'static Definition, labels: &[&str], value: f64) {
        self.put(definition, Kind::Gauge, labels, Value::Fraction(value));
    }

    /// Adds a value, unless its metric is full or known by another kind.
    pub(crate) fn put(&mut self, definition: &'static Definition, kind: Kind, labels: &[&str], value: Value) {
        let fresh = || Scraped { definition, kind, samples: Vec::new() };
        let family = self.families.entry(definition.name).or_insert_with(fresh);
        if family.kind == kind && family.samples.len() <= self.label_sets {
            family.samples.push((labels.iter().map(|value| Box::from(*value)).collect(), value));
        }
    }
}

impl Value {
    /// The value of a series with these cells; nothing if it has none.
    pub(crate) fn of(kind: Kind, cells: &[u64]) -> Option<Self> {
        match (kind, cells) {
            (Kind::Counter, [value]) => Some(Self::Whole(*value)),
            (Kind::Gauge, [value]) => Some(Self::Level(value.cast_signed())),
            (Kind::Summary, [count, sum]) => Some(Self::Total { count: *count, sum: *sum }),
            (Kind::Histogram, [buckets @ .., sum]) => Some(Self::Distribution { buckets: buckets.to_vec(), sum: *sum }),
            (Kind::Counter | Kind::Gauge | Kind::Summary | Kind::Histogram, _) => None,
        }
    }
}
