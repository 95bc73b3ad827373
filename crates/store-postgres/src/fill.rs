//! An empty database takes over what another store keeps: all of it, to the number, or nothing.

use deadpool_postgres::Transaction;
use store::{
    Changed, EntityId, Kind, Listing, Mode, Registry, Revision, StatementQuery, StatementRow, Statements, StoreError,
    Stored, Unavailable, UsageQuery, UsageRow, UsageTotals,
};
use tokio_postgres::types::ToSql;

use crate::rows::{lines, signed};
use crate::trouble::Trouble;
use crate::{PostgresStore, finish, schema, statements, usage};

/// Where everything comes from. Nobody may change it meanwhile.
pub struct Source<'a> {
    /// Entities and the audit log.
    pub registry: &'a dyn Registry,
    /// Sums of usage.
    pub totals: &'a dyn UsageTotals,
    /// Statements.
    pub statements: &'a dyn Statements,
    /// How far each journal segment is in the sums.
    pub counted: &'a [(String, u64)],
}

/// What was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Entities.
    pub entities: usize,
    /// Entries of the audit log.
    pub notes: usize,
    /// Sums of usage, one for each hour and what they are kept apart by.
    pub sums: usize,
    /// Statements and credit notes.
    pub statements: usize,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum NotFilled {
    /// It would be mixed with what is there.
    #[error("the database has something in it already")]
    NotEmpty,
    /// One of the stores failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Rows in one statement.
const AT_ONCE: usize = 5_000;

impl PostgresStore {
    /// Takes over what another store keeps, in one transaction; a rehearsal takes it back, and the tables that it needs.
    ///
    /// Revisions, numbers and hashes stay as they are, so that entity-tags and the audit log's chain hold.
    pub async fn fill(&self, source: &Source<'_>, mode: Mode) -> Result<Filled, NotFilled> {
        let mut client = self.client().await.map_err(StoreError::from)?;
        let opened = async { Ok(client.transaction().await?) };
        let transaction = opened.await.map_err(|trouble: Trouble| NotFilled::Store(trouble.into()))?;
        if mode == Mode::Rehearsal {
            schema::bring(&transaction).await.map_err(StoreError::from)?;
        }
        if !is_empty(&transaction).await.map_err(StoreError::from)? {
            return Err(NotFilled::NotEmpty);
        }
        let filled = Filled {
            entities: entities(&transaction, source.registry).await?,
            notes: notes(&transaction, source.registry).await?,
            sums: sums(&transaction, source).await?,
            statements: all_statements(&transaction, source.statements).await?,
        };
        finish(transaction, mode).await.map_err(StoreError::from)?;
        Ok(filled)
    }
}

async fn is_empty(transaction: &Transaction<'_>) -> Result<bool, Trouble> {
    const SQL: &str = "SELECT latest = 0 AND NOT EXISTS (SELECT FROM audit) AND NOT EXISTS (SELECT FROM usage) \
                       AND NOT EXISTS (SELECT FROM statements) FROM revision FOR UPDATE";
    transaction.batch_execute("SET CONSTRAINTS ALL DEFERRED").await?;
    Ok(transaction.query_one(SQL, &[]).await?.try_get(0)?)
}

async fn entities(transaction: &Transaction<'_>, registry: &dyn Registry) -> Result<usize, NotFilled> {
    let mut count = 0;
    for kind in Kind::ALL {
        let mut after = None;
        loop {
            let page = registry.list(Listing { after: after.as_deref(), limit: AT_ONCE, ..Listing::of(*kind) }).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.row.id.path().to_owned());
            count += page.len();
            insert(transaction, &page).await.map_err(StoreError::from)?;
        }
    }
    let mut since = Revision(0);
    loop {
        let changes = registry.changes_since(since, AT_ONCE).await?;
        let Some(last) = changes.last() else { break };
        since = last.revision;
        for change in &changes {
            if let Changed::Gone(id) = &change.now {
                const SQL: &str = "INSERT INTO gone VALUES ($1, $2, $3)";
                let values: [&(dyn ToSql + Sync); 3] = [&id.kind().as_str(), &id.path(), &signed(change.revision.0)];
                run(transaction, SQL, &values).await?;
            }
        }
    }
    let latest = signed(registry.revision().await?.0);
    run(transaction, "UPDATE revision SET latest = $1", &[&latest]).await?;
    Ok(count)
}

async fn insert(transaction: &Transaction<'_>, page: &[Stored]) -> Result<(), Trouble> {
    const SQL: &str = "INSERT INTO entities SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], \
                       $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[])";
    const REFERENCES: &str = "INSERT INTO entity_references SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) \
         ON CONFLICT DO NOTHING";
    let rows = || page.iter().map(|stored| &stored.row);
    let parents: Vec<_> = rows().map(|row| row.parent.as_ref()).collect();
    let values: [&(dyn ToSql + Sync); 9] = [
        &rows().map(|row| row.id.kind().as_str()).collect::<Vec<_>>(),
        &rows().map(|row| row.id.path()).collect::<Vec<_>>(),
        &parents.iter().map(|parent| parent.map(|parent| parent.kind().as_str())).collect::<Vec<_>>(),
        &parents.iter().map(|parent| parent.map(EntityId::path)).collect::<Vec<_>>(),
        &rows().map(|row| row.label.as_deref()).collect::<Vec<_>>(),
        &rows().map(|row| lines(&row.refers_to)).collect::<Vec<_>>(),
        &rows().map(|row| row.body.as_str()).collect::<Vec<_>>(),
        &page.iter().map(|stored| signed(stored.revision.0)).collect::<Vec<_>>(),
        &page.iter().map(|stored| stored.used.map(|used| signed(used.0))).collect::<Vec<_>>(),
    ];
    transaction.execute(SQL, &values).await?;
    let pairs = || rows().flat_map(|row| row.refers_to.iter().map(move |to| (&row.id, to)));
    let values: [&(dyn ToSql + Sync); 4] = [
        &pairs().map(|(id, _)| id.kind().as_str()).collect::<Vec<_>>(),
        &pairs().map(|(id, _)| id.path()).collect::<Vec<_>>(),
        &pairs().map(|(_, to)| to.kind().as_str()).collect::<Vec<_>>(),
        &pairs().map(|(_, to)| to.path()).collect::<Vec<_>>(),
    ];
    transaction.execute(REFERENCES, &values).await?;
    Ok(())
}

async fn notes(transaction: &Transaction<'_>, registry: &dyn Registry) -> Result<usize, NotFilled> {
    const SQL: &str = "INSERT INTO audit SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[])";
    let (mut count, mut after) = (0, 0);
    loop {
        let page = registry.noted(after, AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = last.number;
        count += page.len();
        let values: [&(dyn ToSql + Sync); 3] = [
            &page.iter().map(|noted| signed(noted.number)).collect::<Vec<_>>(),
            &page.iter().map(|noted| noted.body.as_str()).collect::<Vec<_>>(),
            &page.iter().map(|noted| noted.hash.as_slice()).collect::<Vec<_>>(),
        ];
        run(transaction, SQL, &values).await?;
    }
}

/// Sums come hour by hour, so that no store has to give all of them at once.
async fn sums(transaction: &Transaction<'_>, source: &Source<'_>) -> Result<usize, NotFilled> {
    let (mut count, mut from, mut limit) = (0, 0, AT_ONCE);
    loop {
        let query = UsageQuery { hours: from..u32::MAX, limit, ..UsageQuery::default() };
        let mut page: Vec<UsageRow> = source.totals.query(&query).await.map_err(StoreError::from)?;
        let is_last = page.len() < limit;
        if let (false, Some(last)) = (is_last, page.last().map(|row| row.hour)) {
            // The last hour may go on.
            page.retain(|row| row.hour < last);
            if page.is_empty() {
                limit *= 2;
                continue;
            }
            from = last;
        }
        count += page.len();
        usage::absorb(transaction, &page).await.map_err(StoreError::from)?;
        if is_last {
            break;
        }
    }
    for (segment, counted) in source.counted {
        usage::count(transaction, segment, *counted).await.map_err(StoreError::from)?;
    }
    Ok(count)
}

async fn all_statements(transaction: &Transaction<'_>, source: &dyn Statements) -> Result<usize, NotFilled> {
    const NEXT: &str = "SELECT setval(pg_get_serial_sequence('statements', 'number'), $1)";
    let mut count = 0;
    let mut query = StatementQuery { limit: AT_ONCE, ..StatementQuery::default() };
    loop {
        let page: Vec<StatementRow> = source.statements(&query).await.map_err(StoreError::from)?;
        let Some(last) = page.last() else { return Ok(count) };
        query.after = Some(last.number);
        count += page.len();
        for row in &page {
            statements::place(transaction, row).await.map_err(StoreError::from)?;
        }
        run(transaction, NEXT, &[&signed(last.number)]).await?;
    }
}

async fn run(transaction: &Transaction<'_>, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<(), NotFilled> {
    let ran = transaction.execute(sql, values).await;
    ran.map(drop).map_err(|error| NotFilled::Store(Trouble::from(error).into()))
}

impl From<Unavailable> for NotFilled {
    fn from(error: Unavailable) -> Self {
        Self::Store(error.into())
    }
}

#[cfg(test)]
mod tests {
    use store::{Commit, InMemory, InMemoryStatements, InMemoryTotals, NewStatement, Row, UnixMicros, Write};

    use super::*;

    fn row(kind: Kind, path: &str, parent: Option<EntityId>, refers_to: Vec<EntityId>) -> Row {
        Row { id: EntityId::new(kind, path), parent, refers_to, label: Some("x".into()), body: "{\"a\":1}".into() }
    }

    fn sum(hour: u32, api: &str) -> UsageRow {
        UsageRow {
            company: "acme".into(),
            app: "shop".into(),
            product: "gold".into(),
            api: api.into(),
            operation: "GET /".into(),
            hour,
            status_class: 2,
            requests: 3,
            cost: 4,
            bytes_in: 5,
            bytes_out: 6,
            latency_micros: 7,
        }
    }

    async fn all_of(registry: &dyn Registry) -> Vec<Stored> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            all.extend(registry.list(Listing::of(*kind)).await.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn an_empty_database_takes_over_all_there_is_and_goes_on_from_there() {
        let (registry, totals) = (InMemory::default(), InMemoryTotals::default());
        let old = InMemoryStatements::default();
        let company = EntityId::new(Kind::Company, "acme");
        let product = EntityId::new(Kind::Product, "gold");
        let app = row(Kind::App, "acme/shop", Some(company.clone()), vec![product.clone()]);
        for new in
            [row(Kind::Company, "acme", None, Vec::new()), row(Kind::Product, "gold", None, Vec::new()), app.clone()]
        {
            let commit = Commit { note: Some("{}".into()), ..Commit::of(Write::Create(new)) };
            registry.commit(commit).await.unwrap();
        }
        registry.commit(Commit::of(Write::Create(row(Kind::Company, "gone", None, Vec::new())))).await.unwrap();
        registry.commit(Commit::of(Write::Delete(EntityId::new(Kind::Company, "gone"), None))).await.unwrap();
        // Now the parent was changed after its child.
        registry.commit(Commit::of(Write::Replace(row(Kind::Company, "acme", None, Vec::new()), None))).await.unwrap();
        registry.touch(&[(app.id.clone(), UnixMicros(9))]).await.unwrap();
        totals.replace(0, &[sum(1, "a"), sum(1, "b"), sum(2, "a")], &[]).await.unwrap();
        let new = store::suite::statements::new("acme", 1..2, "{}");
        // Numbers that are not the first ones.
        old.draft(&new).await.unwrap();
        old.discard(1).await.unwrap();
        for hours in [1..2, 3..4] {
            old.draft(&NewStatement { hours, ..new.clone() }).await.unwrap();
        }
        old.close(2, &new.hash, UnixMicros(2)).await.unwrap();
        let counted = [("segment".to_owned(), 77)];
        let source = Source { registry: &registry, totals: &totals, statements: &old, counted: &counted };
        let filled = Filled { entities: 3, notes: 3, sums: 3, statements: 2 };
        let without_tables = servers::Postgres::shared().database();
        let settings = crate::Settings::of(&without_tables.address());
        let rehearsed = PostgresStore::to_rehearse(settings.clone()).unwrap().fill(&source, Mode::Rehearsal).await;
        assert_eq!(rehearsed.unwrap(), filled);
        assert!(matches!(PostgresStore::open_to_read(settings).await, Err(crate::OpenError::Empty)));
        let opened = crate::tests::open().await;

        assert_eq!(opened.fill(&source, Mode::Rehearsal).await.unwrap(), filled);
        assert_eq!(opened.revision().await.unwrap(), Revision(0));
        assert_eq!(opened.fill(&source, Mode::Real).await.unwrap(), filled);

        assert_eq!(all_of(&*opened).await, all_of(&registry).await);
        assert_eq!(opened.noted(0, 9).await.unwrap(), registry.noted(0, 9).await.unwrap());
        let everything = |registry| Registry::changes_since(registry, Revision(0), 99);
        assert_eq!(everything(&*opened as &dyn Registry).await.unwrap(), everything(&registry).await.unwrap());
        let query = UsageQuery { hours: 0..9, limit: 9, ..UsageQuery::default() };
        assert_eq!(opened.query(&query).await.unwrap(), totals.query(&query).await.unwrap());
        assert_eq!(opened.counted("segment").await.unwrap(), 77);
        for number in [2, 3] {
            assert_eq!(opened.statement(number).await.unwrap(), old.statement(number).await.unwrap());
        }

        let next = NewStatement { hours: 5..6, ..new };
        let store::Drafted::Draft(next) = opened.draft(&next).await.unwrap() else { panic!("it overlaps") };
        assert_eq!(next.number, 4);
        let kept = opened.commit(Commit::of(Write::Delete(product, None))).await;
        assert!(matches!(kept, Err(StoreError::InUse { .. })), "{kept:?}");
        assert!(matches!(opened.fill(&source, Mode::Real).await, Err(NotFilled::NotEmpty)));
    }
}
