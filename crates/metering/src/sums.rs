//! Sums of the records of one batch.

use hashbrown::HashMap;
use store::UsageRow;

use crate::record::{Figures, Names};

/// Sums of records by everything that they have in common.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    rows: HashMap<Vec<u8>, UsageRow>,
    // The place of the record at hand. It keeps its capacity.
    place: Vec<u8>,
}

impl Sums {
    /// Adds one record as it is kept. `None`: it is none that this version can read.
    ///
    /// Names are read only where there is no row for them yet; as bytes they tell rows apart just as well.
    pub(crate) fn add(&mut self, record: &[u8]) -> Option<()> {
        let (figures, names) = Figures::decode(record)?;
        self.place.clear();
        self.place.extend_from_slice(&figures.hour().to_le_bytes());
        self.place.push(figures.status_class());
        self.place.extend_from_slice(names.0);
        if let Some(sum) = self.rows.get_mut(self.place.as_slice()) {
            absorb(sum, &figures);
            return Some(());
        }
        let mut row = row(&figures, names)?;
        absorb(&mut row, &figures);
        self.rows.insert(self.place.clone(), row);
        Some(())
    }

    /// The sums, and none are left.
    pub(crate) fn take(&mut self) -> Vec<UsageRow> {
        self.rows.drain().map(|(_, row)| row).collect()
    }
}

/// The row in which a record counts, with nothing counted yet.
fn row(figures: &Figures, names: Names<'_>) -> Option<UsageRow> {
    let [company, app, product, api, method, template] = names.read()?;
    Some(UsageRow {
        company: company.into(),
        app: app.into(),
        product: product.into(),
        api: api.into(),
        operation: format!("{method} {template}").into(),
        hour: figures.hour(),
        status_class: figures.status_class(),
        requests: 0,
        cost: 0,
        bytes_in: 0,
        bytes_out: 0,
        latency_micros: 0,
    })
}

fn absorb(sum: &mut UsageRow, figures: &Figures) {
    let add = |to: &mut u64, number: u64| *to = to.saturating_add(number);
    add(&mut sum.requests, 1);
    add(&mut sum.cost, figures.cost.into());
    add(&mut sum.bytes_in, figures.received);
    add(&mut sum.bytes_out, figures.sent);
    add(&mut sum.latency_micros, figures.took);
}
