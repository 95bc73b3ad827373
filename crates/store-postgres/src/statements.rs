//! Statements and credit notes in a table.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use store::{
    Closed, Credited, Discarded, Drafted, NewCredit, NewStatement, StatementQuery, StatementRow, Statements,
    Unavailable, UnixMicros,
};
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;

use crate::rows::{rows, signed, small, unsigned};
use crate::trouble::Trouble;
use crate::{PostgresStore, bounded};

#[async_trait]
impl Statements for PostgresStore {
    async fn draft(&self, new: &NewStatement) -> Result<Drafted, Unavailable> {
        Ok(bounded(draft(self, new)).await?)
    }

    async fn close(&self, number: u64, hash: &str, at: UnixMicros) -> Result<Closed, Unavailable> {
        Ok(bounded(close(self, number, hash, at)).await?)
    }

    async fn discard(&self, number: u64) -> Result<Discarded, Unavailable> {
        Ok(bounded(discard(self, number)).await?)
    }

    async fn credit(&self, new: &NewCredit) -> Result<Credited, Unavailable> {
        Ok(bounded(credit(self, new)).await?)
    }

    async fn statement(&self, number: u64) -> Result<Option<StatementRow>, Unavailable> {
        let statement = async {
            let client = self.client().await?;
            let statement = client.prepare_cached(&format!("{SELECT} WHERE number = $1")).await?;
            client.query_opt(&statement, &[&signed(number)]).await?.as_ref().map(read).transpose()
        };
        Ok(bounded(statement).await?)
    }

    async fn statements(&self, query: &StatementQuery) -> Result<Vec<StatementRow>, Unavailable> {
        let StatementQuery { company, after, limit } = query;
        let (after, limit) = (signed(after.unwrap_or_default()), rows(*limit));
        let mut sql = format!("{SELECT} WHERE $1 < number");
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&after, &limit];
        if let Some(company) = company {
            values.push(company);
            sql.push_str(" AND company = $3");
        }
        sql.push_str(" ORDER BY number LIMIT $2");
        let statements = async {
            let client = self.client().await?;
            let statement = client.prepare_cached(&sql).await?;
            client.query(&statement, &values).await?.iter().map(read).collect()
        };
        Ok(bounded(statements).await?)
    }
}

/// Has the table for oneself: what is decided about some rows depends on others.
async fn alone(transaction: &Transaction<'_>) -> Result<(), Trouble> {
    Ok(transaction.batch_execute("LOCK TABLE statements IN SHARE ROW EXCLUSIVE MODE").await?)
}

async fn draft(store: &PostgresStore, new: &NewStatement) -> Result<Drafted, Trouble> {
    const SQL: &str =
        "UPDATE statements SET currency = $1, total = $2, body = $3, hash = $4, made = $5 WHERE number = $6";
    let mut client = store.client().await?;
    let transaction = client.transaction().await?;
    alone(&transaction).await?;
    let sql = format!(
        "{SELECT} WHERE corrects IS NULL AND company = $1 AND first_hour < $2 AND $3 < end_hour ORDER BY number"
    );
    let (start, end) = (i64::from(new.hours.start), i64::from(new.hours.end));
    let sharing = transaction.query(&sql, &[&new.company, &end, &start]).await?;
    let sharing: Vec<_> = sharing.iter().map(read).collect::<Result<_, _>>()?;
    let number = match new.in_place_of(&sharing) {
        Ok(number) => number,
        Err(overlaps) => return Ok(overlaps),
    };
    let mut row = new.draft(number.unwrap_or_default());
    match number {
        Some(number) => {
            let values: [&(dyn ToSql + Sync); 6] =
                [&row.currency, &row.total, &row.body, &row.hash, &signed(row.made.0), &signed(number)];
            transaction.execute(SQL, &values).await?;
        }
        None => row.number = insert(&transaction, &row).await?,
    }
    transaction.commit().await?;
    Ok(Drafted::Draft(row))
}

async fn close(store: &PostgresStore, number: u64, hash: &str, at: UnixMicros) -> Result<Closed, Trouble> {
    const SQL: &str = "UPDATE statements SET closed = $1 WHERE number = $2";
    let mut client = store.client().await?;
    let transaction = client.transaction().await?;
    let Some(row) = locked(&transaction, number).await? else { return Ok(Closed::Missing) };
    match row.closing(hash, at) {
        Ok(row) => {
            transaction.execute(SQL, &[&signed(at.0), &signed(number)]).await?;
            transaction.commit().await?;
            Ok(Closed::Now(row))
        }
        Err(not) => Ok(not),
    }
}

async fn discard(store: &PostgresStore, number: u64) -> Result<Discarded, Trouble> {
    let mut client = store.client().await?;
    let transaction = client.transaction().await?;
    let discarded = Discarded::of(locked(&transaction, number).await?.as_ref());
    if discarded == Discarded::Now {
        transaction.execute("DELETE FROM statements WHERE number = $1", &[&signed(number)]).await?;
        transaction.commit().await?;
    }
    Ok(discarded)
}

async fn credit(store: &PostgresStore, new: &NewCredit) -> Result<Credited, Trouble> {
    const SUM: &str = "SELECT COALESCE(SUM(total), 0)::bigint FROM statements WHERE corrects = $1";
    let mut client = store.client().await?;
    let transaction = client.transaction().await?;
    alone(&transaction).await?;
    let corrected = locked(&transaction, new.corrects).await?;
    let given: i64 = transaction.query_one(SUM, &[&signed(new.corrects)]).await?.try_get(0)?;
    match new.of(corrected.as_ref(), given) {
        Ok(mut row) => {
            row.number = insert(&transaction, &row).await?;
            transaction.commit().await?;
            Ok(Credited::Now(row))
        }
        Err(not) => Ok(not),
    }
}

/// Puts a row in its place, under the number that it has.
pub(crate) async fn place(transaction: &Transaction<'_>, row: &StatementRow) -> Result<(), Trouble> {
    insert_as(transaction, row, Some(row.number)).await.map(drop)
}

/// Puts a row in its place, under the next number.
async fn insert(transaction: &Transaction<'_>, row: &StatementRow) -> Result<u64, Trouble> {
    insert_as(transaction, row, None).await
}

async fn insert_as(transaction: &Transaction<'_>, row: &StatementRow, number: Option<u64>) -> Result<u64, Trouble> {
    const SQL: &str = "INSERT INTO statements \
        (corrects, company, plan, first_hour, end_hour, currency, total, body, hash, made, closed, number) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
                COALESCE($12, nextval(pg_get_serial_sequence('statements', 'number')))) RETURNING number";
    let values: [&(dyn ToSql + Sync); 12] = [
        &row.corrects.map(signed),
        &row.company,
        &row.plan,
        &i64::from(row.hours.start),
        &i64::from(row.hours.end),
        &row.currency,
        &row.total,
        &row.body,
        &row.hash,
        &signed(row.made.0),
        &row.closed.map(|at| signed(at.0)),
        &number.map(signed),
    ];
    unsigned(&transaction.query_one(SQL, &values).await?, 0)
}

/// The row of this number, which nobody else changes until the transaction ends.
async fn locked(transaction: &Transaction<'_>, number: u64) -> Result<Option<StatementRow>, Trouble> {
    let sql = format!("{SELECT} WHERE number = $1 FOR UPDATE");
    transaction.query_opt(&sql, &[&signed(number)]).await?.as_ref().map(read).transpose()
}

fn read(row: &SqlRow) -> Result<StatementRow, Trouble> {
    let corrects: Option<i64> = row.try_get(1)?;
    let closed: Option<i64> = row.try_get(11)?;
    Ok(StatementRow {
        number: unsigned(row, 0)?,
        corrects: corrects.map(i64::unsigned_abs),
        company: row.try_get(2)?,
        plan: row.try_get(3)?,
        hours: small(row, 4)?..small(row, 5)?,
        currency: row.try_get(6)?,
        total: row.try_get(7)?,
        body: row.try_get(8)?,
        hash: row.try_get(9)?,
        made: UnixMicros(unsigned(row, 10)?),
        closed: closed.map(|at| UnixMicros(at.unsigned_abs())),
    })
}

const SELECT: &str = "SELECT number, corrects, company, plan, first_hour, end_hour, currency, total, body, hash, made, \
                      closed FROM statements";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn not_even_whoever_has_the_database_changes_what_is_closed_by_mistake() {
        let opened = crate::tests::open().await;
        let new = store::suite::statements::new("acme", 1..2, "{}");
        let Drafted::Draft(row) = opened.draft(&new).await.unwrap() else { panic!("it overlaps with nothing") };
        let client = opened.client().await.unwrap();
        client.execute("UPDATE statements SET total = 90", &[]).await.unwrap();

        assert!(matches!(opened.close(row.number, &new.hash, UnixMicros(2)).await.unwrap(), Closed::Now(_)));

        for change in
            ["UPDATE statements SET total = 80", "UPDATE statements SET closed = NULL", "DELETE FROM statements"]
        {
            let refused = client.execute(change, &[]).await.unwrap_err();
            let refused = refused.as_db_error().unwrap().message().to_owned();
            assert!(refused.contains("a closed statement"), "{change}: {refused}");
        }
        assert_eq!(opened.statement(row.number).await.unwrap().map(|row| row.total), Some(90));
    }
}
