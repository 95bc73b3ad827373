//! Sums of usage in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{Added, Unavailable, UsageQuery, UsageRow, UsageSource, UsageTotals};

/// Sums that are gone when the process is.
#[derive(Default)]
pub struct InMemoryTotals {
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    rows: BTreeMap<Place, UsageRow>,
    counted: HashMap<String, u64>,
}

/// What rows of one sum have in common, in the order in which they are listed.
type Place = (u32, [Arc<str>; 5], u8);

fn place(row: &UsageRow) -> Place {
    let UsageRow { company, app, product, api, operation, hour, status_class, .. } = row;
    let names = [company, app, product, api, operation].map(Clone::clone);
    (*hour, names, *status_class)
}

#[async_trait]
impl UsageTotals for InMemoryTotals {
    async fn add(&self, batch: &[UsageRow], source: &UsageSource) -> Result<Added, Unavailable> {
        let mut sums = self.sums.lock();
        let counted = sums.counted.entry(source.segment.clone()).or_default();
        if source.from != *counted {
            return Ok(Added::Refused { counted: *counted });
        }
        *counted = source.offset;
        for row in batch {
            sums.rows.entry(place(row)).and_modify(|sum| sum.absorb(row)).or_insert_with(|| row.clone());
        }
        Ok(Added::Now)
    }

    async fn counted(&self, segment: &str) -> Result<u64, Unavailable> {
        Ok(self.sums.lock().counted.get(segment).copied().unwrap_or_default())
    }

    async fn forget(&self, segments: &[String]) -> Result<(), Unavailable> {
        self.sums.lock().counted.retain(|segment, _| !segments.contains(segment));
        Ok(())
    }

    async fn replace(&self, from_hour: u32, rows: &[UsageRow], counted: &[(String, u64)]) -> Result<(), Unavailable> {
        let mut sums = self.sums.lock();
        sums.rows.retain(|_, row| row.hour < from_hour);
        for row in rows {
            sums.rows.entry(place(row)).and_modify(|sum| sum.absorb(row)).or_insert_with(|| row.clone());
        }
        sums.counted.extend(counted.iter().cloned());
        Ok(())
    }

    async fn query(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, Unavailable> {
        let sums = self.sums.lock();
        Ok(sums.rows.values().filter(|row| query.matches(row)).take(query.limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    crate::usage_totals_suite!(in_memory, Box::new(crate::InMemoryTotals::default()));
}
