//! Entities in a table, and what followers and auditors read.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use futures::future::BoxFuture;
use store::{
    Change, Changed, Commit, EntityId, Listing, Noted, Registry, Revision, Row, StoreError, Stored, UnixMicros, Write,
    chained,
};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row as SqlRow};

use crate::nodes::CHANNEL;
use crate::rows::{COLUMNS, id, lines, rows, signed, stored, unsigned};
use crate::trouble::Trouble;
use crate::{PostgresStore, bounded, finish};

#[async_trait]
impl Registry for PostgresStore {
    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        Ok(bounded(make(self, commit)).await?)
    }

    async fn find(&self, id: &EntityId) -> Result<Option<Stored>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM entities WHERE kind = $1 AND path = $2");
        let found = bounded(many(self, &sql, &[&id.kind().as_str(), &id.path()])).await?;
        Ok(found.into_iter().next())
    }

    async fn list(&self, listing: Listing<'_>) -> Result<Vec<Stored>, StoreError> {
        let Listing { kind, parent, label, after, limit } = listing;
        let (kind, limit) = (kind.as_str(), rows(limit));
        let parent = parent.map(|parent| (parent.kind().as_str(), parent.path()));
        let mut conditions = vec!["kind = $1".to_owned()];
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&kind, &limit];
        if let Some((kind, path)) = &parent {
            values.extend([kind as &(dyn ToSql + Sync), path]);
            conditions.push("parent_kind = $3 AND parent_path = $4".to_owned());
        }
        if let Some(label) = &label {
            values.push(label);
            conditions.push(format!("label = ${}", values.len()));
        }
        if let Some(after) = &after {
            values.push(after);
            conditions.push(format!("${} < path", values.len()));
        }
        let conditions = conditions.join(" AND ");
        let sql = format!("SELECT {COLUMNS} FROM entities WHERE {conditions} ORDER BY path LIMIT $2");
        Ok(bounded(many(self, &sql, &values)).await?)
    }

    async fn touch(&self, used: &[(EntityId, UnixMicros)]) -> Result<(), StoreError> {
        // In an order of its own, so that two nodes never wait for each other in a circle.
        const SQL: &str = "WITH used AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS used (kind, path, at)), \
                           mine AS (SELECT entities.kind, entities.path, used.at FROM entities JOIN used USING (kind, path) \
                                    ORDER BY kind, path FOR UPDATE OF entities) \
                           UPDATE entities SET used = greatest(entities.used, mine.at) FROM mine \
                           WHERE entities.kind = mine.kind AND entities.path = mine.path";
        let kinds: Vec<_> = used.iter().map(|(id, _)| id.kind().as_str()).collect();
        let paths: Vec<_> = used.iter().map(|(id, _)| id.path()).collect();
        let times: Vec<_> = used.iter().map(|(_, at)| signed(at.0)).collect();
        let touch = async {
            let client = self.client().await?;
            let statement = client.prepare_cached(SQL).await?;
            client.execute(&statement, &[&kinds, &paths, &times]).await?;
            Ok(())
        };
        Ok(bounded(touch).await?)
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        let revision = async {
            let client = self.client().await?;
            let statement = client.prepare_cached("SELECT latest FROM revision").await?;
            Ok(Revision(unsigned(&client.query_one(&statement, &[]).await?, 0)?))
        };
        Ok(bounded(revision).await?)
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        Ok(bounded(changes(self, since, limit)).await?)
    }

    async fn noted(&self, after: u64, limit: usize) -> Result<Vec<Noted>, StoreError> {
        const SQL: &str = "SELECT number, body, hash FROM audit WHERE $1 < number ORDER BY number LIMIT $2";
        let noted = async {
            let client = self.client().await?;
            let statement = client.prepare_cached(SQL).await?;
            let found = client.query(&statement, &[&signed(after), &rows(limit)]).await?;
            found
                .iter()
                .map(|row| Ok(Noted { number: unsigned(row, 0)?, body: row.try_get(1)?, hash: hash(row, 2)? }))
                .collect()
        };
        Ok(bounded(noted).await?)
    }
}

/// Makes changes, or rehearses them.
async fn make(store: &PostgresStore, commit: Commit) -> Result<Revision, Trouble> {
    let Commit { writes, note, mode } = commit;
    let mut client = store.client().await?;
    let transaction = client.transaction().await?;
    let statement = transaction.prepare_cached("SELECT latest FROM revision FOR UPDATE").await?;
    let before: i64 = transaction.query_one(&statement, &[]).await?.try_get(0)?;
    let mut changing = Changing { transaction, latest: before };
    for one in &writes {
        changing.write(one).await?;
    }
    if let Some(note) = &note {
        changing.append(note).await?;
    }
    let latest = changing.latest;
    if before < latest {
        changing.run("UPDATE revision SET latest = $1", &[&latest]).await?;
        changing.run(&format!("NOTIFY {CHANNEL}"), &[]).await?;
    }
    finish(changing.transaction, mode).await?;
    Ok(Revision(latest.unsigned_abs()))
}

/// A transaction that changes entities, and how far it has come.
struct Changing<'a> {
    transaction: Transaction<'a>,
    latest: i64,
}

impl Changing<'_> {
    /// Runs a statement, and says how many rows it met.
    async fn run(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Trouble> {
        let statement = self.transaction.prepare_cached(sql).await?;
        Ok(self.transaction.execute(&statement, values).await?)
    }

    fn next_revision(&mut self) -> i64 {
        self.latest += 1;
        self.latest
    }

    async fn write(&mut self, write: &Write) -> Result<(), Trouble> {
        match write {
            Write::Create(row) => self.create(row).await,
            Write::Replace(row, at) => {
                self.expect(&row.id, *at).await?;
                self.replace(row).await
            }
            Write::Delete(id, at) => {
                self.expect(id, *at).await?;
                self.delete(id.clone()).await
            }
        }
    }

    /// Says that the entity is there, and as the caller knows it.
    async fn expect(&self, id: &EntityId, at: Option<Revision>) -> Result<(), Trouble> {
        const SQL: &str = "SELECT revision FROM entities WHERE kind = $1 AND path = $2";
        let statement = self.transaction.prepare_cached(SQL).await?;
        let found = self.transaction.query_opt(&statement, &[&id.kind().as_str(), &id.path()]).await?;
        let revision = found.map(|row| row.try_get::<_, i64>(0)).transpose()?;
        match (revision, at) {
            (None, _) => Err(StoreError::NotFound(id.clone()).into()),
            (Some(revision), Some(at)) if revision != signed(at.0) => Err(StoreError::Changed(id.clone()).into()),
            (Some(_), _) => Ok(()),
        }
    }

    async fn create(&mut self, row: &Row) -> Result<(), Trouble> {
        const SQL: &str = "INSERT INTO entities VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL) ON CONFLICT DO NOTHING";
        if let Some(parent) = &row.parent {
            self.expect(parent, None).await?;
        }
        let (kind, path) = (row.id.kind().as_str(), row.id.path());
        let parent = row.parent.as_ref().map(|parent| (parent.kind().as_str(), parent.path())).unzip();
        let revision = self.next_revision();
        let refers_to = lines(&row.refers_to);
        let values: [&(dyn ToSql + Sync); 8] =
            [&kind, &path, &parent.0, &parent.1, &row.label, &refers_to, &row.body, &revision];
        if self.run(SQL, &values).await? == 0 {
            return Err(StoreError::Exists(row.id.clone()).into());
        }
        self.run("DELETE FROM gone WHERE kind = $1 AND path = $2", &[&kind, &path]).await?;
        self.refer(row).await
    }

    async fn replace(&mut self, row: &Row) -> Result<(), Trouble> {
        const SQL: &str = "UPDATE entities SET parent_kind = $3, parent_path = $4, label = $5, refers_to = $6, body = $7, \
                           revision = $8 WHERE kind = $1 AND path = $2";
        let (kind, path) = (row.id.kind().as_str(), row.id.path());
        let parent = row.parent.as_ref().map(|parent| (parent.kind().as_str(), parent.path())).unzip();
        let revision = self.next_revision();
        let refers_to = lines(&row.refers_to);
        let values: [&(dyn ToSql + Sync); 8] =
            [&kind, &path, &parent.0, &parent.1, &row.label, &refers_to, &row.body, &revision];
        self.run(SQL, &values).await?;
        self.run("DELETE FROM entity_references WHERE kind = $1 AND path = $2", &[&kind, &path]).await?;
        self.refer(row).await
    }

    async fn refer(&self, row: &Row) -> Result<(), Trouble> {
        const SQL: &str = "INSERT INTO entity_references VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let (kind, path) = (row.id.kind().as_str(), row.id.path());
        for to in &row.refers_to {
            self.run(SQL, &[&kind, &path, &to.kind().as_str(), &to.path()]).await?;
        }
        Ok(())
    }

    /// Deletes an entity after all that belongs to it; each of them is gone for followers.
    fn delete(&mut self, id: EntityId) -> BoxFuture<'_, Result<(), Trouble>> {
        const CHILDREN: &str = "SELECT kind, path FROM entities WHERE parent_kind = $1 AND parent_path = $2";
        const USERS: &str = "SELECT kind, path FROM entity_references WHERE to_kind = $1 AND to_path = $2 LIMIT 1";
        const GONE: &str = "INSERT INTO gone VALUES ($1, $2, $3) ON CONFLICT (kind, path) DO UPDATE SET revision = $3";
        Box::pin(async move {
            for child in self.ids(CHILDREN, &id).await? {
                self.delete(child).await?;
            }
            if let Some(by) = self.ids(USERS, &id).await?.pop() {
                return Err(StoreError::InUse { id, by }.into());
            }
            let (kind, path) = (id.kind().as_str(), id.path());
            self.run("DELETE FROM entities WHERE kind = $1 AND path = $2", &[&kind, &path]).await?;
            let revision = self.next_revision();
            if id.kind().is_missed() {
                self.run(GONE, &[&kind, &path, &revision]).await?;
            }
            Ok(())
        })
    }

    async fn ids(&self, sql: &str, of: &EntityId) -> Result<Vec<EntityId>, Trouble> {
        let statement = self.transaction.prepare_cached(sql).await?;
        let found = self.transaction.query(&statement, &[&of.kind().as_str(), &of.path()]).await?;
        found.iter().map(|row| id(row, 0)).collect()
    }

    /// Appends to the audit log. The revision's row is locked, so nobody else does.
    async fn append(&self, body: &str) -> Result<(), Trouble> {
        const LAST: &str = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1";
        let statement = self.transaction.prepare_cached(LAST).await?;
        let (number, before) = match self.transaction.query_opt(&statement, &[]).await? {
            Some(last) => (last.try_get::<_, i64>(0)?, hash(&last, 1)?),
            None => (0, [0; 32]),
        };
        let hash = chained(&before, body);
        self.run("INSERT INTO audit VALUES ($1, $2, $3)", &[&(number + 1), &body, &hash.as_slice()]).await?;
        Ok(())
    }
}

async fn many(store: &PostgresStore, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Stored>, Trouble> {
    let client = store.client().await?;
    let statement = client.prepare_cached(sql).await?;
    client.query(&statement, values).await?.iter().map(stored).collect()
}

async fn changes(store: &PostgresStore, since: Revision, limit: usize) -> Result<Vec<Change>, Trouble> {
    const GONE: &str = "SELECT kind, path, revision FROM gone WHERE $1 < revision ORDER BY revision LIMIT $2";
    let mut client = store.client().await?;
    // Both tables as they were at one time: an entity is in one of them.
    let still = client.build_transaction().read_only(true).isolation_level(IsolationLevel::RepeatableRead);
    let transaction = still.start().await?;
    let range: [&(dyn ToSql + Sync); 2] = [&signed(since.0), &rows(limit)];
    let sql = format!("SELECT {COLUMNS} FROM entities WHERE $1 < revision ORDER BY revision LIMIT $2");
    let statement = transaction.prepare_cached(&sql).await?;
    let mut changes = Vec::new();
    for row in transaction.query(&statement, &range).await? {
        let Stored { row, revision, .. } = stored(&row)?;
        changes.push(Change { revision, now: Changed::Is(row) });
    }
    let statement = transaction.prepare_cached(GONE).await?;
    for row in transaction.query(&statement, &range).await? {
        changes.push(Change { revision: Revision(unsigned(&row, 2)?), now: Changed::Gone(id(&row, 0)?) });
    }
    transaction.commit().await?;
    // Each table gives up to the limit: which of them come first is seen when all are there.
    changes.sort_by_key(|change| change.revision);
    changes.truncate(limit);
    Ok(changes)
}

/// A hash of the audit log. One of another length fits to nothing, and auditors see it.
fn hash(row: &SqlRow, column: usize) -> Result<[u8; 32], Trouble> {
    Ok(row.try_get::<_, &[u8]>(column)?.try_into().unwrap_or_default())
}
