//! Sums of the records of one batch.

use std::collections::HashMap;
use std::sync::Arc;

use store::UsageRow;

use crate::encoding::put_text;
use crate::record::UsageRecord;

/// Sums of records by everything that they have in common.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    rows: HashMap<Vec<u8>, UsageRow>,
    // The place of the record at hand. It keeps its capacity.
    place: Vec<u8>,
}

impl Sums {
    /// Adds one record.
    pub(crate) fn add(&mut self, record: &UsageRecord<'_>) {
        let UsageRecord { company, app, product, api, method, template, .. } = *record;
        self.place.clear();
        self.place.extend_from_slice(&record.hour().to_le_bytes());
        self.place.push(record.status_class());
        for name in [company, app, product, api, method, template] {
            put_text(&mut self.place, name);
        }
        if let Some(sum) = self.rows.get_mut(self.place.as_slice()) {
            let names = Names::from(&*sum);
            sum.absorb(&row(record, names));
            return;
        }
        let names = Names {
            company: company.into(),
            app: app.into(),
            product: product.into(),
            api: api.into(),
            operation: format!("{method} {template}").into(),
        };
        self.rows.insert(self.place.clone(), row(record, names));
    }

    /// The sums, and none are left.
    pub(crate) fn take(&mut self) -> Vec<UsageRow> {
        self.rows.drain().map(|(_, row)| row).collect()
    }
}

struct Names {
    company: Arc<str>,
    app: Arc<str>,
    product: Arc<str>,
    api: Arc<str>,
    operation: Arc<str>,
}

impl From<&UsageRow> for Names {
    fn from(row: &UsageRow) -> Self {
        let UsageRow { company, app, product, api, operation, .. } = row.clone();
        Self { company, app, product, api, operation }
    }
}

/// The sum of one record alone.
fn row(record: &UsageRecord<'_>, names: Names) -> UsageRow {
    let Names { company, app, product, api, operation } = names;
    UsageRow {
        company,
        app,
        product,
        api,
        operation,
        hour: record.hour(),
        status_class: record.status_class(),
        requests: 1,
        cost: record.cost.into(),
        bytes_in: record.received,
        bytes_out: record.sent,
        latency_micros: record.took,
    }
}
