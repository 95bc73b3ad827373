//! Statements in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    Closed, Credited, Discarded, Drafted, NewCredit, NewStatement, StatementQuery, StatementRow, Statements,
    Unavailable, UnixMicros,
};

/// Statements that are gone when the process is.
#[derive(Default)]
pub struct InMemoryStatements {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    rows: BTreeMap<u64, StatementRow>,
    last: u64,
}

impl Kept {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[async_trait]
impl Statements for InMemoryStatements {
    async fn draft(&self, new: &NewStatement) -> Result<Drafted, Unavailable> {
        let mut kept = self.kept.lock();
        let overlaps = |row: &&StatementRow| {
            let shares = row.hours.start < new.hours.end && new.hours.start < row.hours.end;
            row.corrects.is_none() && row.company == new.company && shares
        };
        let number = match new.in_place_of(kept.rows.values().filter(overlaps)) {
            Ok(number) => number,
            Err(overlaps) => return Ok(overlaps),
        };
        let row = new.draft(number.unwrap_or_else(|| kept.next()));
        kept.rows.insert(row.number, row.clone());
        Ok(Drafted::Draft(row))
    }

    async fn close(&self, number: u64, hash: &str, at: UnixMicros) -> Result<Closed, Unavailable> {
        let mut kept = self.kept.lock();
        let Some(row) = kept.rows.get_mut(&number) else { return Ok(Closed::Missing) };
        Ok(match row.clone().closing(hash, at) {
            Ok(closed) => {
                *row = closed.clone();
                Closed::Now(closed)
            }
            Err(not) => not,
        })
    }

    async fn discard(&self, number: u64) -> Result<Discarded, Unavailable> {
        let mut kept = self.kept.lock();
        let discarded = Discarded::of(kept.rows.get(&number));
        if discarded == Discarded::Now {
            kept.rows.remove(&number);
        }
        Ok(discarded)
    }

    async fn credit(&self, new: &NewCredit) -> Result<Credited, Unavailable> {
        let mut kept = self.kept.lock();
        let notes = kept.rows.values().filter(|row| row.corrects == Some(new.corrects));
        let given = notes.map(|note| note.total).sum();
        let mut note = match new.of(kept.rows.get(&new.corrects), given) {
            Ok(note) => note,
            Err(not) => return Ok(not),
        };
        note.number = kept.next();
        kept.rows.insert(note.number, note.clone());
        Ok(Credited::Now(note))
    }

    async fn statement(&self, number: u64) -> Result<Option<StatementRow>, Unavailable> {
        Ok(self.kept.lock().rows.get(&number).cloned())
    }

    async fn statements(&self, query: &StatementQuery) -> Result<Vec<StatementRow>, Unavailable> {
        let kept = self.kept.lock();
        let is_wanted = |row: &&StatementRow| {
            query.after.is_none_or(|after| after < row.number)
                && query.company.as_ref().is_none_or(|company| *company == row.company)
        };
        Ok(kept.rows.values().filter(is_wanted).take(query.limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    crate::statements_suite!(in_memory, Box::new(crate::InMemoryStatements::default()));
}
