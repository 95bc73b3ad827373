//! Entities in a table, and what followers and auditors read.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row as SqlRow, Transaction, params, params_from_iter};
use store::{
    Change, Changed, Commit, EntityId, Kind, Listing, Noted, Registry, Revision, Row, StoreError, Stored, UnixMicros,
    Write, chained,
};

use crate::SqliteStore;
use crate::rows::{changed, parsed, signed, unsigned, word};
use crate::trouble::Trouble;

/// What is read of an entity, in the order of [`stored`].
const COLUMNS: &str = "kind, path, parent_kind, parent_path, label, refers_to, body, revision, used";

#[async_trait]
impl Registry for SqliteStore {
    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        let Commit { writes, note, mode } = commit;
        self.write_in(mode, move |transaction| {
            for one in &writes {
                write(transaction, one)?;
            }
            if let Some(note) = &note {
                append(transaction, note)?;
            }
            revision(transaction)
        })
        .await
    }

    async fn find(&self, id: &EntityId) -> Result<Option<Stored>, StoreError> {
        let id = id.clone();
        self.read(move |transaction| find(transaction, &id)).await
    }

    async fn list(&self, listing: Listing<'_>) -> Result<Vec<Stored>, StoreError> {
        let Listing { kind, parent, label, after, limit } = listing;
        let mut sql = format!("SELECT {COLUMNS} FROM entities WHERE kind = ?");
        let mut values = vec![Value::from(kind.as_str().to_owned())];
        if let Some(parent) = parent {
            sql.push_str(" AND parent_kind = ? AND parent_path = ?");
            values.extend([parent.kind().as_str(), parent.path()].map(|word| Value::from(word.to_owned())));
        }
        if let Some(label) = label {
            sql.push_str(" AND label = ?");
            values.push(label.to_owned().into());
        }
        if let Some(after) = after {
            sql.push_str(" AND ? < path");
            values.push(after.to_owned().into());
        }
        sql.push_str(" ORDER BY path LIMIT ?");
        values.push(rows(limit).into());
        self.read(move |transaction| many(transaction, &sql, &values)).await
    }

    async fn touch(&self, used: &[(EntityId, UnixMicros)]) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE entities SET used = max(coalesce(used, 0), ?) WHERE kind = ? AND path = ?";
        let used = used.to_vec();
        self.write(move |transaction| {
            for (id, at) in &used {
                changed(transaction, SQL, params![signed(at.0), id.kind().as_str(), id.path()])?;
            }
            Ok(())
        })
        .await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.read(revision).await
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.read(move |transaction| changes(transaction, since, limit)).await
    }

    async fn noted(&self, after: u64, limit: usize) -> Result<Vec<Noted>, StoreError> {
        self.read(move |transaction| {
            const SQL: &str = "SELECT number, body, hash FROM audit WHERE ? < number ORDER BY number LIMIT ?";
            let mut statement = transaction.prepare_cached(SQL)?;
            let read = |row: &SqlRow<'_>| Ok(Noted { number: unsigned(row, 0)?, body: row.get(1)?, hash: row.get(2)? });
            let noted = statement.query_map(params![signed(after), rows(limit)], read)?;
            Ok(noted.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn write(transaction: &Transaction<'_>, write: &Write) -> Result<(), Trouble> {
    match write {
        Write::Create(row) => create(transaction, row),
        Write::Replace(row, at) => {
            expect(transaction, &row.id, *at)?;
            replace(transaction, row)
        }
        Write::Delete(id, at) => {
            expect(transaction, id, *at)?;
            delete(transaction, id)
        }
    }
}

/// Says that the entity is there, and as the caller knows it.
fn expect(transaction: &Transaction<'_>, id: &EntityId, at: Option<Revision>) -> Result<(), Trouble> {
    const SQL: &str = "SELECT revision FROM entities WHERE kind = ? AND path = ?";
    let mut statement = transaction.prepare_cached(SQL)?;
    let revision: Option<i64> =
        statement.query_row(params![id.kind().as_str(), id.path()], |row| row.get(0)).optional()?;
    match (revision, at) {
        (None, _) => Err(StoreError::NotFound(id.clone()).into()),
        (Some(revision), Some(at)) if revision != signed(at.0) => Err(StoreError::Changed(id.clone()).into()),
        (Some(_), _) => Ok(()),
    }
}

fn create(transaction: &Transaction<'_>, row: &Row) -> Result<(), Trouble> {
    if let Some(parent) = &row.parent {
        expect(transaction, parent, None)?;
    }
    let (kind, path) = (row.id.kind().as_str(), row.id.path());
    let parent = row.parent.as_ref().map(|parent| (parent.kind().as_str(), parent.path())).unzip();
    let revision = next_revision(transaction)?;
    let values = params![kind, path, parent.0, parent.1, row.label, lines(&row.refers_to), row.body, revision];
    if !changed(transaction, "INSERT OR IGNORE INTO entities VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", values)? {
        return Err(StoreError::Exists(row.id.clone()).into());
    }
    changed(transaction, "DELETE FROM gone WHERE kind = ? AND path = ?", params![kind, path])?;
    refer(transaction, row)
}

fn replace(transaction: &Transaction<'_>, row: &Row) -> Result<(), Trouble> {
    const SQL: &str = "UPDATE entities SET parent_kind = ?, parent_path = ?, label = ?, refers_to = ?, body = ?, \
                       revision = ? WHERE kind = ? AND path = ?";
    let (kind, path) = (row.id.kind().as_str(), row.id.path());
    let parent = row.parent.as_ref().map(|parent| (parent.kind().as_str(), parent.path())).unzip();
    let revision = next_revision(transaction)?;
    let refers_to = lines(&row.refers_to);
    changed(transaction, SQL, params![parent.0, parent.1, row.label, refers_to, row.body, revision, kind, path])?;
    changed(transaction, "DELETE FROM entity_references WHERE kind = ? AND path = ?", params![kind, path])?;
    refer(transaction, row)
}

fn refer(transaction: &Transaction<'_>, row: &Row) -> Result<(), Trouble> {
    const SQL: &str = "INSERT OR IGNORE INTO entity_references VALUES (?, ?, ?, ?)";
    let (kind, path) = (row.id.kind().as_str(), row.id.path());
    for to in &row.refers_to {
        changed(transaction, SQL, params![kind, path, to.kind().as_str(), to.path()])?;
    }
    Ok(())
}

/// Deletes an entity after all that belongs to it; each of them is gone for followers.
fn delete(transaction: &Transaction<'_>, id: &EntityId) -> Result<(), Trouble> {
    const CHILDREN: &str = "SELECT kind, path FROM entities WHERE parent_kind = ? AND parent_path = ?";
    const USERS: &str = "SELECT kind, path FROM entity_references WHERE to_kind = ? AND to_path = ? LIMIT 1";
    let (kind, path) = (id.kind().as_str(), id.path());
    for child in ids(transaction, CHILDREN, id)? {
        delete(transaction, &child)?;
    }
    if let Some(by) = ids(transaction, USERS, id)?.pop() {
        return Err(StoreError::InUse { id: id.clone(), by }.into());
    }
    changed(transaction, "DELETE FROM entities WHERE kind = ? AND path = ?", params![kind, path])?;
    let revision = next_revision(transaction)?;
    if id.kind().is_missed() {
        changed(transaction, "INSERT OR REPLACE INTO gone VALUES (?, ?, ?)", params![kind, path, revision])?;
    }
    Ok(())
}

fn ids(transaction: &Transaction<'_>, sql: &str, of: &EntityId) -> Result<Vec<EntityId>, Trouble> {
    let mut statement = transaction.prepare_cached(sql)?;
    let found = statement.query_map(params![of.kind().as_str(), of.path()], |row| id(row, 0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn append(transaction: &Transaction<'_>, body: &str) -> Result<(), Trouble> {
    let mut statement = transaction.prepare_cached("SELECT hash FROM audit ORDER BY number DESC LIMIT 1")?;
    let before: Option<[u8; 32]> = statement.query_row([], |row| row.get(0)).optional()?;
    let hash = chained(&before.unwrap_or_default(), body);
    changed(transaction, "INSERT INTO audit (body, hash) VALUES (?, ?)", params![body, hash])?;
    Ok(())
}

fn find(transaction: &Transaction<'_>, id: &EntityId) -> Result<Option<Stored>, Trouble> {
    let sql = format!("SELECT {COLUMNS} FROM entities WHERE kind = ? AND path = ?");
    let values = [id.kind().as_str(), id.path()].map(|word| Value::from(word.to_owned()));
    Ok(many(transaction, &sql, &values)?.pop())
}

fn many(transaction: &Transaction<'_>, sql: &str, values: &[Value]) -> Result<Vec<Stored>, Trouble> {
    let mut statement = transaction.prepare_cached(sql)?;
    let found = statement.query_map(params_from_iter(values), stored)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Ids in a text, a line each: paths have neither blanks nor line ends.
fn lines(ids: &[EntityId]) -> Option<String> {
    let lines = ids.iter().map(|id| format!("{} {}\n", id.kind(), id.path()));
    (!ids.is_empty()).then(|| lines.collect())
}

fn of_lines(text: &str, column: usize) -> rusqlite::Result<Vec<EntityId>> {
    let id = |line: &str| {
        let (kind, path) = line.split_once(' ').unwrap_or((line, ""));
        Ok(EntityId::new(parsed::<Kind>(column, kind)?, path))
    };
    text.lines().map(id).collect()
}

fn revision(transaction: &Transaction<'_>) -> Result<Revision, Trouble> {
    let mut statement = transaction.prepare_cached("SELECT latest FROM revision")?;
    Ok(Revision(statement.query_row([], |row| unsigned(row, 0))?))
}

fn next_revision(transaction: &Transaction<'_>) -> Result<i64, Trouble> {
    let mut statement = transaction.prepare_cached("UPDATE revision SET latest = latest + 1 RETURNING latest")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

fn changes(transaction: &Transaction<'_>, since: Revision, limit: usize) -> Result<Vec<Change>, Trouble> {
    if revision(transaction)? <= since {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT {COLUMNS} FROM entities WHERE ? < revision ORDER BY revision LIMIT ?");
    let range = [Value::from(signed(since.0)), Value::from(rows(limit))];
    let there = many(transaction, &sql, &range)?;
    let there = there.into_iter().map(|Stored { row, revision, .. }| Change { revision, now: Changed::Is(row) });
    let mut changes: Vec<_> = there.collect();
    let sql = "SELECT kind, path, revision FROM gone WHERE ? < revision ORDER BY revision LIMIT ?";
    let mut statement = transaction.prepare_cached(sql)?;
    let gone = |row: &SqlRow<'_>| Ok(Change { revision: Revision(unsigned(row, 2)?), now: Changed::Gone(id(row, 0)?) });
    for change in statement.query_map(params_from_iter(&range), gone)? {
        changes.push(change?);
    }
    // Each table gives up to the limit: which of them come first is seen when all are there.
    changes.sort_by_key(|change| change.revision);
    changes.truncate(limit);
    Ok(changes)
}

/// A row of [`COLUMNS`].
fn stored(row: &SqlRow<'_>) -> rusqlite::Result<Stored> {
    let parent = match row.get::<_, Option<String>>(2)? {
        Some(_) => Some(id(row, 2)?),
        None => None,
    };
    let refers_to = row.get_ref(5)?.as_str_or_null()?.map_or(Ok(Vec::new()), |text| of_lines(text, 5))?;
    let read = Row { id: id(row, 0)?, parent, refers_to, label: row.get(4)?, body: row.get(6)? };
    let used = row.get::<_, Option<i64>>(8)?.map(|used| UnixMicros(used.cast_unsigned()));
    Ok(Stored { row: read, revision: Revision(unsigned(row, 7)?), used })
}

/// The id in this column and the next one.
fn id(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<EntityId> {
    let kind: Kind = word(row, column)?;
    Ok(EntityId::new(kind, row.get::<_, String>(column + 1)?))
}

/// A number of rows, as `SQLite` counts them.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
