//! Totals once more, from the records that the journal still has.

use std::collections::BTreeMap;
use std::sync::Arc;

use journal::{Journal, Next};
use store::{UsageQuery, UsageRow};

use crate::aggregator::{AggregateError, Aggregator};
use crate::sums::Sums;

/// What became of the totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// The records that were read.
    pub records: u64,
    /// The sums that they came to.
    pub rows: usize,
    /// The sums that had not been so before.
    pub changed: usize,
}

impl Aggregator {
    /// Puts the sums of all records that are in the journal in place of the totals from an hour on.
    ///
    /// The journal must have every record from that hour on, and let none go meanwhile. What was added up already and what
    /// was not are the same here, so doing it twice changes nothing.
    pub async fn rebuild(&mut self, journal: &Journal, from_hour: u32) -> Result<Rebuilt, AggregateError> {
        // Whatever happens now, the store is asked again how far it has counted.
        self.open.clear();
        let (mut sums, mut counted, mut rebuilt) = (Sums::default(), Vec::new(), Rebuilt::default());
        for id in journal.segments()? {
            // A writer took it back since it was listed, so there was nothing in it.
            let Some(mut reader) = journal.read(id, 0)? else { continue };
            let mut upto = reader.offset();
            while let Next::Record(record) = reader.next()? {
                if sums.add(record).is_none() {
                    return Err(AggregateError::Strange(id));
                }
                rebuilt.records += 1;
                upto = reader.offset();
            }
            counted.push((id.to_string(), upto));
        }
        let mut rows = sums.take();
        rows.retain(|row| from_hour <= row.hour);
        let query = UsageQuery { hours: from_hour..u32::MAX, limit: usize::MAX, ..UsageQuery::default() };
        let before = self.totals.query(&query).await?;
        self.totals.replace(from_hour, &rows, &counted).await?;
        rebuilt.rows = rows.len();
        rebuilt.changed = different(&before, &rows);
        Ok(rebuilt)
    }
}

/// How many sums are in one and not, or otherwise, in the other.
fn different(before: &[UsageRow], after: &[UsageRow]) -> usize {
    let mut known: BTreeMap<_, &UsageRow> = before.iter().map(|row| (place(row), row)).collect();
    let new = after.iter().filter(|row| known.remove(&place(row)) != Some(row)).count();
    new + known.len()
}

/// What rows of one sum have in common.
fn place(row: &UsageRow) -> (u32, [Arc<str>; 5], u8) {
    let UsageRow { company, app, product, api, operation, hour, status_class, .. } = row;
    (*hour, [company, app, product, api, operation].map(Clone::clone), *status_class)
}
