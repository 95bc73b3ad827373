//! All metrics of a process, by name, and how label sets become handles.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::metrics::cells::Cells;
use crate::metrics::render::{Exposition, Format};
use crate::metrics::scrape::{LabelValues, Scrape, Value};
use crate::metrics::series::{Definition, Handle, Kind, Series, Unit};

/// All metrics of a process. Clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    cells: Arc<Cells>,
    label_sets: usize,
    families: Mutex<BTreeMap<&'static str, Arc<Inner>>>,
    collectors: Mutex<Vec<Collector>>,
}

type Collector = Box<dyn Fn(&mut Scrape) + Send + Sync>;

impl Registry {
    /// An empty registry, in which a metric has at most `label_sets` label sets and one for all others.
    pub fn new(label_sets: usize) -> Self {
        let shared = Shared {
            cells: Arc::new(Cells::new()),
            label_sets,
            families: Mutex::default(),
            collectors: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The metric of this definition, the same one whenever it is asked for again.
    ///
    /// A name belongs to one definition and kind. One that is asked for as another kind is a mistake in the
    /// program: it is logged, and what is counted there is not shown.
    pub fn family<H: Handle>(&self, definition: &'static Definition) -> Family<H> {
        let fresh = || {
            Arc::new(Inner {
                definition,
                kind: H::KIND,
                cells: self.shared.cells.clone(),
                label_sets: self.shared.label_sets,
                series: Mutex::default(),
                overflowed: AtomicU64::new(0),
            })
        };
        let known = self.shared.families.lock().entry(definition.name).or_insert_with(fresh).clone();
        let same = known.kind == H::KIND && known.definition.labels == definition.labels;
        if !same {
            tracing::error!(metric = definition.name, "a metric is defined twice");
        }
        Family { inner: if same { known } else { fresh() }, handle: PhantomData }
    }

    /// Asks `collect` at every scrape for values that somebody else keeps.
    pub fn collect_with(&self, collect: impl Fn(&mut Scrape) + Send + Sync + 'static) {
        self.shared.collectors.lock().push(Box::new(collect));
    }

    /// All values now, in the format that the `Accept` field of a request prefers.
    pub fn render(&self, accept: Option<&str>) -> Exposition {
        self.scrape().render(Format::preferred(accept))
    }

    fn scrape(&self) -> Scrape {
        let mut scrape = Scrape::new(self.shared.label_sets);
        for collect in self.shared.collectors.lock().iter() {
            collect(&mut scrape);
        }
        let families: Vec<_> = self.shared.families.lock().values().cloned().collect();
        for family in families {
            let overflowed = family.overflowed.load(Ordering::Relaxed);
            if overflowed > 0 {
                scrape.put(&OVERFLOWS, Kind::Counter, &[family.definition.name], Value::Whole(overflowed));
            }
            family.show(&mut scrape);
        }
        scrape
    }
}

/// A metric: all its label sets.
pub struct Family<H> {
    inner: Arc<Inner>,
    handle: PhantomData<fn() -> H>,
}

struct Inner {
    definition: &'static Definition,
    kind: Kind,
    cells: Arc<Cells>,
    label_sets: usize,
    series: Mutex<BTreeMap<LabelValues, Arc<Series>>>,
    overflowed: AtomicU64,
}

impl<H: Handle> Family<H> {
    /// The handle of a label set, to be kept: this takes a lock.
    ///
    /// Beyond the registry's bound it is the handle of the label set in which every label is `other`.
    pub fn with(&self, values: &[&str]) -> H {
        debug_assert_eq!(values.len(), self.inner.definition.labels.len());
        let mut series = self.inner.series.lock();
        let fresh = || Arc::new(Series::new(&self.inner.cells, self.inner.kind, self.inner.definition.bounds));
        let key: LabelValues = values.iter().map(|value| Box::from(*value)).collect();
        let known = match series.get(&key) {
            Some(known) => known.clone(),
            None if series.len() < self.inner.label_sets => series.entry(key).or_insert_with(fresh).clone(),
            None => {
                self.inner.overflowed.fetch_add(1, Ordering::Relaxed);
                let other = self.inner.definition.labels.iter().map(|_| Box::from(OTHER)).collect();
                series.entry(other).or_insert_with(fresh).clone()
            }
        };
        H::of(known)
    }

    /// The handles of all label sets there are.
    pub fn known(&self) -> Vec<(LabelValues, H)> {
        let series = self.inner.series.lock();
        series.iter().map(|(labels, series)| (labels.clone(), H::of(series.clone()))).collect()
    }

    /// Forgets every label set of which nobody keeps a handle.
    pub fn sweep(&self) {
        self.inner.series.lock().retain(|_, series| Arc::strong_count(series) > 1);
    }
}

impl<H> Clone for Family<H> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), handle: PhantomData }
    }
}

impl Inner {
    fn show(&self, scrape: &mut Scrape) {
        let series: Vec<_> = self.series.lock().iter().map(|(key, series)| (key.clone(), series.clone())).collect();
        for (key, series) in series {
            let labels: Vec<&str> = key.iter().map(|value| &**value).collect();
            if let Some(value) = Value::of(self.kind, &series.sums()) {
                scrape.put(self.definition, self.kind, &labels, value);
            }
        }
    }
}

/// The value of every label of the label set that stands for those beyond the bound.
pub(crate) const OTHER: &str = "other";

static OVERFLOWS: Definition = Definition {
    name: "vestibule_metric_overflows",
    help: "Label sets that were counted as `other`, because their metric had too many.",
    labels: &["metric"],
    unit: Unit::Count,
    bounds: &[],
};
