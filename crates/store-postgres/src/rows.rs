//! The few shapes of columns that all tables need.

use store::{EntityId, Kind, Row, Stored};
use store::{Revision, StoreError, Unavailable, UnixMicros};
use tokio_postgres::Row as SqlRow;

use crate::trouble::Trouble;

/// A number as PostgreSQL has it: what is too large becomes the largest.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is never negative.
pub(crate) fn unsigned(row: &SqlRow, column: usize) -> Result<u64, Trouble> {
    Ok(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or_default())
}

/// A number that is never negative and not large.
pub(crate) fn small(row: &SqlRow, column: usize) -> Result<u32, Trouble> {
    Ok(u32::try_from(row.try_get::<_, i64>(column)?).unwrap_or_default())
}

/// A number of rows, as PostgreSQL counts them.
pub(crate) fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What is read of an entity, in the order of [`stored`].
pub(crate) const COLUMNS: &str = "kind, path, parent_kind, parent_path, label, refers_to, body, revision, used";

/// A row of [`COLUMNS`].
pub(crate) fn stored(row: &SqlRow) -> Result<Stored, Trouble> {
    let parent = match row.try_get::<_, Option<&str>>(2)? {
        Some(_) => Some(id(row, 2)?),
        None => None,
    };
    let refers_to = row.try_get::<_, Option<&str>>(5)?.map_or(Ok(Vec::new()), of_lines)?;
    let read = Row { id: id(row, 0)?, parent, refers_to, label: row.try_get(4)?, body: row.try_get(6)? };
    let used = row.try_get::<_, Option<i64>>(8)?.map(|used| UnixMicros(used.cast_unsigned()));
    Ok(Stored { row: read, revision: Revision(unsigned(row, 7)?), used })
}

/// The id in this column and the next one.
pub(crate) fn id(row: &SqlRow, column: usize) -> Result<EntityId, Trouble> {
    Ok(EntityId::new(kind(row.try_get(column)?)?, row.try_get::<_, String>(column + 1)?))
}

/// Ids in a text, a line each: paths have neither blanks nor line ends.
pub(crate) fn lines(ids: &[EntityId]) -> Option<String> {
    let lines = ids.iter().map(|id| format!("{} {}\n", id.kind(), id.path()));
    (!ids.is_empty()).then(|| lines.collect())
}

fn of_lines(text: &str) -> Result<Vec<EntityId>, Trouble> {
    let id = |line: &str| {
        let (word, path) = line.split_once(' ').unwrap_or((line, ""));
        Ok(EntityId::new(kind(word)?, path))
    };
    text.lines().map(id).collect()
}

fn kind(word: &str) -> Result<Kind, Trouble> {
    word.parse().map_err(|error| Trouble::Refused(StoreError::Unavailable(Unavailable::because(error))))
}
