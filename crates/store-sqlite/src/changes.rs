//! What has changed, for those who follow.

use rusqlite::{Transaction, params};
use store::{App, Change, Changed, Company, Key, Product, Revision, Subscription};

use crate::rows::{self, Entity};
use crate::trouble::Trouble;

/// The revision of the latest change.
pub(crate) fn revision(transaction: &Transaction<'_>) -> Result<Revision, Trouble> {
    let mut statement = transaction.prepare_cached("SELECT latest FROM revision")?;
    Ok(statement.query_row([], rows::revision)?)
}

/// What has changed since a revision, oldest first.
pub(crate) fn since(transaction: &Transaction<'_>, since: Revision, limit: usize) -> Result<Vec<Change>, Trouble> {
    // Followers ask often, and mostly nothing has happened.
    if revision(transaction)? <= since {
        return Ok(Vec::new());
    }
    let mut reading = Reading { transaction, since: rows::signed(since.0), limit, changes: Vec::new() };
    reading.collect(Changed::Company as fn(Company) -> _)?;
    reading.collect(Changed::App as fn(App) -> _)?;
    reading.collect(Changed::Product as fn(Product) -> _)?;
    reading.collect(Changed::Subscription as fn(Subscription) -> _)?;
    reading.collect(Changed::Key as fn(Key) -> _)?;
    reading.collect_gone()?;
    let mut changes = reading.changes;
    changes.sort_by_key(|change| change.revision);
    changes.truncate(limit);
    Ok(changes)
}

struct Reading<'a> {
    transaction: &'a Transaction<'a>,
    since: i64,
    limit: usize,
    changes: Vec<Change>,
}

impl Reading<'_> {
    /// Each table gives up to the limit: which of them come first is seen when all are there.
    fn collect<T: Entity>(&mut self, now: fn(T) -> Changed) -> Result<(), Trouble> {
        let read = |row: &rusqlite::Row<'_>| Ok(Change { revision: rows::revision(row)?, now: now(T::read(row)?) });
        self.read(T::SELECT, read)
    }

    fn collect_gone(&mut self) -> Result<(), Trouble> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Change { revision: rows::revision(row)?, now: Changed::Gone(rows::buried(row)?) })
        };
        self.read("SELECT kind, id, revision FROM gone", read)
    }

    fn read(
        &mut self,
        select: &str,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Change>,
    ) -> Result<(), Trouble> {
        let sql = format!("{select} WHERE ? < revision ORDER BY revision LIMIT ?");
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        for change in statement.query_map(params![self.since, limit], read)? {
            self.changes.push(change?);
        }
        Ok(())
    }
}
