//! Sums of usage in a table.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use store::{Added, Unavailable, UsageQuery, UsageRow, UsageSource, UsageTotals};
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;

use crate::rows::{rows, signed, small, unsigned};
use crate::trouble::Trouble;
use crate::{PostgresStore, bounded};

#[async_trait]
impl UsageTotals for PostgresStore {
    async fn add(&self, batch: &[UsageRow], source: &UsageSource) -> Result<Added, Unavailable> {
        Ok(bounded(add(self, batch, source)).await?)
    }

    async fn counted(&self, segment: &str) -> Result<u64, Unavailable> {
        let counted = async {
            let client = self.client().await?;
            let statement = client.prepare_cached("SELECT counted FROM usage_sources WHERE segment = $1").await?;
            client.query_opt(&statement, &[&segment]).await?.map_or(Ok(0), |row| unsigned(&row, 0))
        };
        Ok(bounded(counted).await?)
    }

    async fn forget(&self, segments: &[String]) -> Result<(), Unavailable> {
        let forget = async {
            let client = self.client().await?;
            let statement = client.prepare_cached("DELETE FROM usage_sources WHERE segment = ANY($1)").await?;
            client.execute(&statement, &[&segments]).await?;
            Ok(())
        };
        Ok(bounded(forget).await?)
    }

    async fn replace(&self, from_hour: u32, rows: &[UsageRow], counted: &[(String, u64)]) -> Result<(), Unavailable> {
        let replace = async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            // Nobody adds meanwhile: what is added is either among the rows, or comes after them.
            transaction.batch_execute("LOCK TABLE usage, usage_sources IN EXCLUSIVE MODE").await?;
            transaction.execute("DELETE FROM usage WHERE $1 <= hour", &[&i64::from(from_hour)]).await?;
            for (segment, counted) in counted {
                count(&transaction, segment, *counted).await?;
            }
            absorb(&transaction, rows).await?;
            Ok(transaction.commit().await?)
        };
        // A rebuild may take as long as it must: it is a command that somebody waits for.
        replace.await.map_err(|trouble: Trouble| trouble.into())
    }

    async fn query(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, Unavailable> {
        Ok(bounded(matching(self, query)).await?)
    }
}

async fn add(store: &PostgresStore, batch: &[UsageRow], source: &UsageSource) -> Result<Added, Trouble> {
    const KNOWN: &str = "INSERT INTO usage_sources VALUES ($1, 0) ON CONFLICT DO NOTHING";
    const LOCKED: &str = "SELECT counted FROM usage_sources WHERE segment = $1 FOR UPDATE";
    let mut client = store.client().await?;
    let transaction = client.transaction().await?;
    // The row is made first, so that there is one to lock: two callers who send the same batch take turns.
    let statement = transaction.prepare_cached(KNOWN).await?;
    transaction.execute(&statement, &[&source.segment]).await?;
    let statement = transaction.prepare_cached(LOCKED).await?;
    let counted = unsigned(&transaction.query_one(&statement, &[&source.segment]).await?, 0)?;
    if source.from != counted {
        transaction.rollback().await?;
        return Ok(Added::Refused { counted });
    }
    count(&transaction, &source.segment, source.offset).await?;
    absorb(&transaction, batch).await?;
    transaction.commit().await?;
    Ok(Added::Now)
}

pub(crate) async fn count(transaction: &Transaction<'_>, segment: &str, counted: u64) -> Result<(), Trouble> {
    const SQL: &str = "INSERT INTO usage_sources VALUES ($1, $2) ON CONFLICT (segment) DO UPDATE SET counted = $2";
    let statement = transaction.prepare_cached(SQL).await?;
    transaction.execute(&statement, &[&segment, &signed(counted)]).await?;
    Ok(())
}

/// Adds rows to the sums: each place once and in order, so that two nodes never wait for each other in a circle.
pub(crate) async fn absorb(transaction: &Transaction<'_>, batch: &[UsageRow]) -> Result<(), Trouble> {
    const SQL: &str = "INSERT INTO usage SELECT hour, company, app, product, api, operation, status_class, \
        sum(requests)::bigint, sum(cost)::bigint, sum(bytes_in)::bigint, sum(bytes_out)::bigint, sum(latency)::bigint \
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::smallint[], \
                    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[]) \
        AS batch (hour, company, app, product, api, operation, status_class, requests, cost, bytes_in, bytes_out, latency) \
        GROUP BY hour, company, app, product, api, operation, status_class \
        ORDER BY hour, company, app, product, api, operation, status_class \
        ON CONFLICT (hour, company, app, product, api, operation, status_class) DO UPDATE SET \
        requests = usage.requests + excluded.requests, cost = usage.cost + excluded.cost, \
        bytes_in = usage.bytes_in + excluded.bytes_in, bytes_out = usage.bytes_out + excluded.bytes_out, \
        latency_micros = usage.latency_micros + excluded.latency_micros";
    /// Rows in one statement.
    const AT_ONCE: usize = 10_000;
    let statement = transaction.prepare_cached(SQL).await?;
    for some in batch.chunks(AT_ONCE) {
        let names = |of: fn(&UsageRow) -> &str| some.iter().map(of).collect::<Vec<_>>();
        let numbers = |of: fn(&UsageRow) -> u64| some.iter().map(|row| signed(of(row))).collect::<Vec<_>>();
        let classes: Vec<_> = some.iter().map(|row| i16::from(row.status_class)).collect();
        let values: [&(dyn ToSql + Sync); 12] = [
            &numbers(|row| row.hour.into()),
            &names(|row| &row.company),
            &names(|row| &row.app),
            &names(|row| &row.product),
            &names(|row| &row.api),
            &names(|row| &row.operation),
            &classes,
            &numbers(|row| row.requests),
            &numbers(|row| row.cost),
            &numbers(|row| row.bytes_in),
            &numbers(|row| row.bytes_out),
            &numbers(|row| row.latency_micros),
        ];
        transaction.execute(&statement, &values).await?;
    }
    Ok(())
}

async fn matching(store: &PostgresStore, query: &UsageQuery) -> Result<Vec<UsageRow>, Trouble> {
    let UsageQuery { company, app, product, api, operation, hours, limit } = query;
    let (start, end, limit) = (i64::from(hours.start), i64::from(hours.end), rows(*limit));
    let mut conditions = vec!["$1 <= hour AND hour < $2".to_owned()];
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&start, &end, &limit];
    // Only what is asked about stands in the statement, so that an index may be chosen for it.
    let names = [(company, "company"), (app, "app"), (product, "product"), (api, "api"), (operation, "operation")];
    for (name, column) in &names {
        if let Some(name) = name {
            values.push(name);
            conditions.push(format!("{column} = ${}", values.len()));
        }
    }
    let conditions = conditions.join(" AND ");
    let sql = format!(
        "SELECT hour, company, app, product, api, operation, status_class, requests, cost, bytes_in, bytes_out, \
         latency_micros FROM usage WHERE {conditions} \
         ORDER BY hour, company, app, product, api, operation, status_class LIMIT $3"
    );
    let client = store.client().await?;
    let statement = client.prepare_cached(&sql).await?;
    client.query(&statement, &values).await?.iter().map(read).collect()
}

fn read(row: &SqlRow) -> Result<UsageRow, Trouble> {
    let name = |column| row.try_get::<_, &str>(column).map(Into::into);
    Ok(UsageRow {
        hour: small(row, 0)?,
        company: name(1)?,
        app: name(2)?,
        product: name(3)?,
        api: name(4)?,
        operation: name(5)?,
        status_class: u8::try_from(row.try_get::<_, i16>(6)?).unwrap_or_default(),
        requests: unsigned(row, 7)?,
        cost: unsigned(row, 8)?,
        bytes_in: unsigned(row, 9)?,
        bytes_out: unsigned(row, 10)?,
        latency_micros: unsigned(row, 11)?,
    })
}
