//! Sums of usage in a table.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, Transaction, params, params_from_iter};
use store::{Added, StoreError, Unavailable, UsageQuery, UsageRow, UsageSource, UsageTotals};

use crate::SqliteStore;
use crate::rows::{changed, signed, unsigned};
use crate::trouble::Trouble;

#[async_trait]
impl UsageTotals for SqliteStore {
    async fn add(&self, batch: &[UsageRow], source: &UsageSource) -> Result<Added, Unavailable> {
        let (batch, source) = (batch.to_vec(), source.clone());
        self.write(move |transaction| add(transaction, &batch, &source)).await.map_err(unavailable)
    }

    async fn counted(&self, segment: &str) -> Result<u64, Unavailable> {
        let segment = segment.to_owned();
        self.read(move |transaction| counted(transaction, &segment)).await.map_err(unavailable)
    }

    async fn forget(&self, segments: &[String]) -> Result<(), Unavailable> {
        let segments = segments.to_vec();
        self.write(move |transaction| {
            for segment in &segments {
                changed(transaction, "DELETE FROM usage_sources WHERE segment = ?", [segment])?;
            }
            Ok(())
        })
        .await
        .map_err(unavailable)
    }

    async fn replace(&self, from_hour: u32, rows: &[UsageRow], counted: &[(String, u64)]) -> Result<(), Unavailable> {
        let (rows, counted) = (rows.to_vec(), counted.to_vec());
        let replace = move |transaction: &Transaction<'_>| {
            changed(transaction, "DELETE FROM usage WHERE ? <= hour", [from_hour])?;
            for (segment, counted) in &counted {
                let progress = params![segment, signed(*counted)];
                changed(transaction, "INSERT OR REPLACE INTO usage_sources VALUES (?, ?)", progress)?;
            }
            absorb(transaction, &rows)
        };
        self.write(replace).await.map_err(unavailable)
    }

    async fn query(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, Unavailable> {
        let query = query.clone();
        self.read(move |transaction| matching(transaction, &query)).await.map_err(unavailable)
    }
}

impl SqliteStore {
    /// How far each segment is counted, to be moved to another store.
    pub async fn all_counted(&self) -> Result<Vec<(String, u64)>, Unavailable> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached("SELECT segment, counted FROM usage_sources")?;
            let counted = statement.query_map([], |row| Ok((row.get(0)?, unsigned(row, 1)?)))?;
            Ok(counted.collect::<Result<_, _>>()?)
        })
        .await
        .map_err(unavailable)
    }
}

fn add(transaction: &Transaction<'_>, batch: &[UsageRow], source: &UsageSource) -> Result<Added, Trouble> {
    let counted = counted(transaction, &source.segment)?;
    if source.from != counted {
        return Ok(Added::Refused { counted });
    }
    let progress = params![source.segment, signed(source.offset)];
    changed(transaction, "INSERT OR REPLACE INTO usage_sources VALUES (?, ?)", progress)?;
    absorb(transaction, batch)?;
    Ok(Added::Now)
}

/// Adds rows to the sums.
fn absorb(transaction: &Transaction<'_>, rows: &[UsageRow]) -> Result<(), Trouble> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET \
         requests = requests + excluded.requests, cost = cost + excluded.cost, \
         bytes_in = bytes_in + excluded.bytes_in, bytes_out = bytes_out + excluded.bytes_out, \
         latency_micros = latency_micros + excluded.latency_micros",
    )?;
    for row in rows {
        statement.execute(params![
            row.hour,
            row.company,
            row.app,
            row.product,
            row.api,
            row.operation,
            row.status_class,
            signed(row.requests),
            signed(row.cost),
            signed(row.bytes_in),
            signed(row.bytes_out),
            signed(row.latency_micros),
        ])?;
    }
    Ok(())
}

fn counted(transaction: &Transaction<'_>, segment: &str) -> Result<u64, Trouble> {
    let mut statement = transaction.prepare_cached("SELECT counted FROM usage_sources WHERE segment = ?")?;
    Ok(statement.query_row([segment], |row| unsigned(row, 0)).optional()?.unwrap_or_default())
}

fn matching(transaction: &Transaction<'_>, query: &UsageQuery) -> Result<Vec<UsageRow>, Trouble> {
    let UsageQuery { company, app, product, api, operation, hours, limit } = query;
    let mut sql = "SELECT hour, company, app, product, api, operation, status_class, requests, cost, bytes_in, \
                   bytes_out, latency_micros FROM usage WHERE ? <= hour AND hour < ?"
        .to_owned();
    let mut values = vec![Value::from(hours.start), Value::from(hours.end)];
    // Only what is asked about stands in the statement, so that SQLite may choose the index for it.
    let names = [
        (company, " AND company = ?"),
        (app, " AND app = ?"),
        (product, " AND product = ?"),
        (api, " AND api = ?"),
        (operation, " AND operation = ?"),
    ];
    for (name, condition) in names {
        if let Some(name) = name {
            sql.push_str(condition);
            values.push(Value::from(name.clone()));
        }
    }
    sql.push_str(" ORDER BY hour, company, app, product, api, operation, status_class LIMIT ?");
    values.push(Value::from(i64::try_from(*limit).unwrap_or(i64::MAX)));
    let mut statement = transaction.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    Ok(UsageRow {
        hour: row.get(0)?,
        company: row.get(1)?,
        app: row.get(2)?,
        product: row.get(3)?,
        api: row.get(4)?,
        operation: row.get(5)?,
        status_class: row.get(6)?,
        requests: unsigned(row, 7)?,
        cost: unsigned(row, 8)?,
        bytes_in: unsigned(row, 9)?,
        bytes_out: unsigned(row, 10)?,
        latency_micros: unsigned(row, 11)?,
    })
}

/// Usage knows no names that could be missing or taken.
pub(crate) fn unavailable(error: StoreError) -> Unavailable {
    match error {
        StoreError::Unavailable(unavailable) => unavailable,
        other => Unavailable::because(other),
    }
}
