//! Statements and credit notes in a table.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, Transaction, params, params_from_iter};
use store::{
    Closed, Credited, Discarded, Drafted, NewCredit, NewStatement, StatementQuery, StatementRow, Statements,
    Unavailable, UnixMicros,
};

use crate::SqliteStore;
use crate::rows::{changed, signed, unsigned};
use crate::trouble::Trouble;
use crate::usage::unavailable;

#[async_trait]
impl Statements for SqliteStore {
    async fn draft(&self, new: &NewStatement) -> Result<Drafted, Unavailable> {
        let new = new.clone();
        self.write(move |transaction| draft(transaction, &new)).await.map_err(unavailable)
    }

    async fn close(&self, number: u64, hash: &str, at: UnixMicros) -> Result<Closed, Unavailable> {
        let hash = hash.to_owned();
        self.write(move |transaction| close(transaction, number, &hash, at)).await.map_err(unavailable)
    }

    async fn discard(&self, number: u64) -> Result<Discarded, Unavailable> {
        let discard = move |transaction: &Transaction<'_>| {
            let discarded = Discarded::of(find(transaction, number)?.as_ref());
            if discarded == Discarded::Now {
                changed(transaction, "DELETE FROM statements WHERE number = ?", [signed(number)])?;
            }
            Ok(discarded)
        };
        self.write(discard).await.map_err(unavailable)
    }

    async fn credit(&self, new: &NewCredit) -> Result<Credited, Unavailable> {
        let new = new.clone();
        self.write(move |transaction| credit(transaction, &new)).await.map_err(unavailable)
    }

    async fn statement(&self, number: u64) -> Result<Option<StatementRow>, Unavailable> {
        self.read(move |transaction| find(transaction, number)).await.map_err(unavailable)
    }

    async fn statements(&self, query: &StatementQuery) -> Result<Vec<StatementRow>, Unavailable> {
        let query = query.clone();
        self.read(move |transaction| matching(transaction, &query)).await.map_err(unavailable)
    }
}

fn draft(transaction: &Transaction<'_>, new: &NewStatement) -> Result<Drafted, Trouble> {
    let sql =
        format!("{SELECT} WHERE corrects IS NULL AND company = ? AND first_hour < ? AND ? < end_hour ORDER BY number");
    let mut statement = transaction.prepare_cached(&sql)?;
    let sharing = statement.query_map(params![new.company, new.hours.end, new.hours.start], read)?;
    let sharing: Vec<_> = sharing.collect::<Result<_, _>>()?;
    let number = match new.in_place_of(&sharing) {
        Ok(number) => number,
        Err(overlaps) => return Ok(overlaps),
    };
    if let Some(number) = number {
        let row = new.draft(number);
        changed(
            transaction,
            "UPDATE statements SET currency = ?, total = ?, body = ?, hash = ?, made = ? WHERE number = ?",
            params![row.currency, row.total, row.body, row.hash, signed(row.made.0), signed(number)],
        )?;
        return Ok(Drafted::Draft(row));
    }
    let mut row = new.draft(0);
    row.number = insert(transaction, &row)?;
    Ok(Drafted::Draft(row))
}

fn close(transaction: &Transaction<'_>, number: u64, hash: &str, at: UnixMicros) -> Result<Closed, Trouble> {
    let Some(row) = find(transaction, number)? else { return Ok(Closed::Missing) };
    match row.closing(hash, at) {
        Ok(row) => {
            changed(transaction, "UPDATE statements SET closed = ? WHERE number = ?", [signed(at.0), signed(number)])?;
            Ok(Closed::Now(row))
        }
        Err(not) => Ok(not),
    }
}

fn credit(transaction: &Transaction<'_>, new: &NewCredit) -> Result<Credited, Trouble> {
    let mut sum = transaction.prepare_cached("SELECT COALESCE(SUM(total), 0) FROM statements WHERE corrects = ?")?;
    let given: i64 = sum.query_row([signed(new.corrects)], |row| row.get(0))?;
    match new.of(find(transaction, new.corrects)?.as_ref(), given) {
        Ok(mut row) => {
            row.number = insert(transaction, &row)?;
            Ok(Credited::Now(row))
        }
        Err(not) => Ok(not),
    }
}

fn insert(transaction: &Transaction<'_>, row: &StatementRow) -> Result<u64, Trouble> {
    changed(
        transaction,
        "INSERT INTO statements (corrects, company, plan, first_hour, end_hour, currency, total, body, hash, made, closed) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            row.corrects.map(signed),
            row.company,
            row.plan,
            row.hours.start,
            row.hours.end,
            row.currency,
            row.total,
            row.body,
            row.hash,
            signed(row.made.0),
            row.closed.map(|at| signed(at.0)),
        ],
    )?;
    Ok(transaction.last_insert_rowid().unsigned_abs())
}

fn find(transaction: &Transaction<'_>, number: u64) -> Result<Option<StatementRow>, Trouble> {
    let mut statement = transaction.prepare_cached(&format!("{SELECT} WHERE number = ?"))?;
    Ok(statement.query_row([signed(number)], read).optional()?)
}

fn matching(transaction: &Transaction<'_>, query: &StatementQuery) -> Result<Vec<StatementRow>, Trouble> {
    let StatementQuery { company, after, limit } = query;
    let mut sql = format!("{SELECT} WHERE ? < number");
    let mut values = vec![Value::from(signed(after.unwrap_or_default()))];
    if let Some(company) = company {
        sql.push_str(" AND company = ?");
        values.push(Value::from(company.clone()));
    }
    sql.push_str(" ORDER BY number LIMIT ?");
    values.push(Value::from(i64::try_from(*limit).unwrap_or(i64::MAX)));
    let mut statement = transaction.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<StatementRow> {
    let corrects: Option<i64> = row.get(1)?;
    let closed: Option<i64> = row.get(11)?;
    Ok(StatementRow {
        number: unsigned(row, 0)?,
        corrects: corrects.map(i64::unsigned_abs),
        company: row.get(2)?,
        plan: row.get(3)?,
        hours: row.get(4)?..row.get(5)?,
        currency: row.get(6)?,
        total: row.get(7)?,
        body: row.get(8)?,
        hash: row.get(9)?,
        made: UnixMicros(unsigned(row, 10)?),
        closed: closed.map(|at| UnixMicros(at.unsigned_abs())),
    })
}

const SELECT: &str = "SELECT number, corrects, company, plan, first_hour, end_hour, currency, total, body, hash, made, \
                      closed FROM statements";

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[tokio::test]
    async fn not_even_whoever_has_the_file_changes_what_is_closed_by_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = SqliteStore::open(&path).unwrap();
        let new = store::suite::statements::new("acme", 1..2, "{}");
        let Drafted::Draft(row) = store.draft(&new).await.unwrap() else { panic!("it overlaps with nothing") };
        let connection = Connection::open(&path).unwrap();
        connection.execute("UPDATE statements SET total = 90", []).unwrap();

        assert!(matches!(store.close(row.number, &new.hash, UnixMicros(2)).await.unwrap(), Closed::Now(_)));

        for change in
            ["UPDATE statements SET total = 80", "UPDATE statements SET closed = NULL", "DELETE FROM statements"]
        {
            let refused = connection.execute(change, []).unwrap_err().to_string();
            assert!(refused.contains("a closed statement"), "{change}: {refused}");
        }
        assert_eq!(store.statement(row.number).await.unwrap().map(|row| row.total), Some(90));
    }
}
