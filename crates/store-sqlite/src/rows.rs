//! Rows as entities, and the few shapes of statements that they need.

use std::error::Error;
use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Params, Row, Transaction, params};
use serde::de::DeserializeOwned;
use store::{
    App, AppId, Company, EntityId, Key, KeyHash, Product, Quota, Revision, StoreError, Subscription, SubscriptionId,
    UnixMicros,
};

use crate::trouble::Trouble;

/// An entity that is read from a row.
pub(crate) trait Entity: Sized {
    /// The columns and their table. The last column is the revision.
    const SELECT: &'static str;

    /// The entity in `row`.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
}

impl Entity for Company {
    const SELECT: &'static str = "SELECT name, title, created, revision FROM companies";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { name: word(row, 0)?, title: row.get(1)?, created: micros(row, 2)? })
    }
}

impl Entity for App {
    const SELECT: &'static str = "SELECT company, name, title, created, revision FROM apps";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { id: app_id(row, 0)?, title: row.get(2)?, created: micros(row, 3)? })
    }
}

impl Entity for Product {
    const SELECT: &'static str =
        "SELECT name, operations, quota_requests, quota_per, managed_by, created, revision FROM products";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let quota = match row.get::<_, Option<i64>>(2)? {
            Some(requests) => Some(Quota { requests: requests.cast_unsigned(), per: json(row, 3)? }),
            None => None,
        };
        let (name, operations) = (word(row, 0)?, json(row, 1)?);
        Ok(Self { name, operations, quota, managed_by: word(row, 4)?, created: micros(row, 5)? })
    }
}

impl Entity for Subscription {
    const SELECT: &'static str = "SELECT company, app, product, state, created, changed, revision FROM subscriptions";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id = SubscriptionId { app: app_id(row, 0)?, product: word(row, 2)? };
        Ok(Self { id, state: word(row, 3)?, created: micros(row, 4)?, changed: micros(row, 5)? })
    }
}

impl Entity for Key {
    const SELECT: &'static str = "SELECT id, company, app, environment, algorithm, digest, scopes, prefix, last_four, \
                                  created, expires, revoked, last_used, revision FROM keys";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: word(row, 0)?,
            app: app_id(row, 1)?,
            environment: word(row, 3)?,
            hash: KeyHash { algorithm: row.get(4)?, digest: row.get(5)? },
            scopes: json(row, 6)?,
            prefix: row.get(7)?,
            last_four: row.get(8)?,
            created: micros(row, 9)?,
            expires: micros_if_any(row, 10)?,
            revoked: micros_if_any(row, 11)?,
            last_used: micros_if_any(row, 12)?,
        })
    }
}

/// The one entity that `tail` picks, which is `id`.
pub(crate) fn one<T: Entity>(
    transaction: &Transaction<'_>,
    tail: &str,
    params: impl Params,
    id: impl Into<EntityId>,
) -> Result<T, Trouble> {
    let mut statement = transaction.prepare_cached(&format!("{} {tail}", T::SELECT))?;
    let mut rows = statement.query(params)?;
    match rows.next()? {
        Some(row) => Ok(T::read(row)?),
        None => Err(StoreError::not_found(id).into()),
    }
}

/// Every entity that `tail` picks.
pub(crate) fn many<T: Entity>(
    transaction: &Transaction<'_>,
    tail: &str,
    params: impl Params,
) -> Result<Vec<T>, Trouble> {
    let mut statement = transaction.prepare_cached(&format!("{} {tail}", T::SELECT))?;
    let rows = statement.query_map(params, |row| T::read(row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Changes or inserts one row; `false` if there was none to change or its place was taken.
pub(crate) fn changed(transaction: &Transaction<'_>, sql: &str, params: impl Params) -> Result<bool, Trouble> {
    Ok(transaction.prepare_cached(sql)?.execute(params)? != 0)
}

/// The next revision.
pub(crate) fn next_revision(transaction: &Transaction<'_>) -> Result<i64, Trouble> {
    let mut statement = transaction.prepare_cached("UPDATE revision SET latest = latest + 1 RETURNING latest")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Remembers that an entity is gone.
pub(crate) fn bury(transaction: &Transaction<'_>, id: &EntityId) -> Result<(), Trouble> {
    let (kind, id) = written(id);
    let revision = next_revision(transaction)?;
    changed(transaction, "INSERT OR REPLACE INTO gone VALUES (?, ?, ?)", params![kind, id, revision])?;
    Ok(())
}

/// Forgets that an entity was gone.
pub(crate) fn unbury(transaction: &Transaction<'_>, id: &EntityId) -> Result<(), Trouble> {
    let (kind, id) = written(id);
    changed(transaction, "DELETE FROM gone WHERE kind = ? AND id = ?", params![kind, id])?;
    Ok(())
}

/// An id as `gone` keeps it.
fn written(id: &EntityId) -> (&'static str, String) {
    match id {
        EntityId::Company(name) => ("company", name.to_string()),
        EntityId::App(id) => ("app", id.to_string()),
        EntityId::Product(name) => ("product", name.to_string()),
        EntityId::Subscription(id) => ("subscription", format!("{}/{}", id.app, id.product)),
        EntityId::Key(id) => ("key", id.to_string()),
    }
}

/// An id as `gone` kept it in columns 0 and 1.
pub(crate) fn buried(row: &Row<'_>) -> rusqlite::Result<EntityId> {
    let (kind, id): (String, String) = (row.get(0)?, row.get(1)?);
    let mut parts = id.split('/');
    let mut part = || parts.next().unwrap_or_default();
    match kind.as_str() {
        "company" => Ok(EntityId::Company(parsed(1, part())?)),
        "app" => Ok(EntityId::App(AppId { company: parsed(1, part())?, app: parsed(1, part())? })),
        "product" => Ok(EntityId::Product(parsed(1, part())?)),
        "subscription" => {
            let app = AppId { company: parsed(1, part())?, app: parsed(1, part())? };
            Ok(EntityId::Subscription(SubscriptionId { app, product: parsed(1, part())? }))
        }
        "key" => Ok(EntityId::Key(parsed(1, part())?)),
        other => Err(unreadable(0, format!("there is no kind `{other}`"))),
    }
}

/// A number as `SQLite` has it: what is too large becomes the largest.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or_default())
}

/// The revision in a row's last column.
pub(crate) fn revision(row: &Row<'_>) -> rusqlite::Result<Revision> {
    let last = row.as_ref().column_count().saturating_sub(1);
    unsigned(row, last).map(Revision)
}

fn micros(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixMicros> {
    unsigned(row, column).map(UnixMicros)
}

fn micros_if_any(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<UnixMicros>> {
    let micros: Option<i64> = row.get(column)?;
    Ok(micros.map(|micros| UnixMicros(u64::try_from(micros).unwrap_or_default())))
}

fn app_id(row: &Row<'_>, column: usize) -> rusqlite::Result<AppId> {
    Ok(AppId { company: word(row, column)?, app: word(row, column + 1)? })
}

/// A name, or a word of a small set.
fn word<T: FromStr<Err: Error + Send + Sync + 'static>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    parsed(column, text)
}

fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(column: usize, text: &str) -> rusqlite::Result<T> {
    text.parse().map_err(|error| unreadable(column, error))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, cause: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause.into())
}
