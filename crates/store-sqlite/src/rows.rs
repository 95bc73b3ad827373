//! The few shapes of statements and columns that all tables need.

use std::error::Error;
use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Params, Row, Transaction};

use crate::trouble::Trouble;

/// Changes or inserts one row; `false` if there was none to change or its place was taken.
pub(crate) fn changed(transaction: &Transaction<'_>, sql: &str, params: impl Params) -> Result<bool, Trouble> {
    Ok(transaction.prepare_cached(sql)?.execute(params)? != 0)
}

/// A number as `SQLite` has it: what is too large becomes the largest.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or_default())
}

/// A word of a small set.
pub(crate) fn word<T: FromStr<Err: Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    parsed(column, text)
}

/// A text that is one.
pub(crate) fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(column: usize, text: &str) -> rusqlite::Result<T> {
    text.parse().map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, cause: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause.into())
}
