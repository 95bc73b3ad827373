//! The file: how it is opened, and how it comes to the present version.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::OpenError;

/// What brings the file from one version to the next. Released ones are never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/1.sql"),
    include_str!("../migrations/statements.sql"),
    include_str!("../migrations/leases.sql"),
];

/// Opens the file, for its owner's eyes only.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    // SQLite gives its side files the mode of the file, so it must be right from the beginning.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let connection = Connection::open(path)?;
    // During an upgrade of the binary two processes share the file for a moment.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // The side file shrinks again after a burst.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Opens a file that is there, and changes nothing in it.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
        version if version == known => Ok(connection),
        found if known < found => Err(OpenError::TooNew { found, known }),
        found => Err(OpenError::TooOld { found, known }),
    }
}

/// Brings the file to the present version, one version a transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    migrate_by(connection, MIGRATIONS)
}

fn migrate_by(connection: &mut Connection, migrations: &[&str]) -> Result<(), OpenError> {
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    for (before, migration) in (0_u32..).zip(migrations) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Asked within the transaction: another process may be migrating the same file.
        let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if known < version {
            return Err(OpenError::TooNew { found: version, known });
        }
        if version == before {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", before + 1)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn version(connection: &Connection) -> u32 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_file_is_migrated_step_by_step_and_never_twice() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"];

        migrate_by(&mut connection, &steps[..1]).unwrap();
        assert_eq!(version(&connection), 1);
        migrate_by(&mut connection, &steps).unwrap();
        migrate_by(&mut connection, &steps).unwrap();
        assert_eq!(version(&connection), 2);
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();

        migrate_by(&mut connection, &["CREATE TABLE a (x); CREATE TABLE a (x)"]).unwrap_err();

        assert_eq!(version(&connection), 0);
        assert!(!connection.table_exists(None, "a").unwrap());
    }

    #[test]
    fn a_file_of_a_later_version_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();

        assert!(matches!(migrate(&mut connection), Err(OpenError::TooNew { found: 99, .. })));
    }

    #[test]
    fn only_the_owner_may_read_the_file_and_its_side_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let mut connection = open(&path).unwrap();
        migrate(&mut connection).unwrap();

        for entry in directory.path().read_dir().unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        }
        assert_eq!(directory.path().read_dir().unwrap().count(), 3);
    }
}
