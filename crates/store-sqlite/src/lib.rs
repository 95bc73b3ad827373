//! The embedded store: entities, sums of usage, statements and leases in one `SQLite` file.
//!
//! One thread writes and one reads, each behind a bounded channel, so a caller never blocks its
//! runtime. The file is in WAL mode, so the two do not wait for each other.
//!
//! `synchronous = FULL`, not `NORMAL`: both survive `kill -9`, but with `NORMAL` a power cut may undo
//! the last changes although they were answered. A revoked key must not come back to life, and
//! a batch of usage must not be uncounted after its journal segment is gone. Changes are rare and
//! usage comes in batches, so an `fsync` each costs nobody anything.
//!
//! Deliberately not here: caches. The index of the `partners` crate is the cache.

mod leases;
mod registry;
mod rows;
mod schema;
mod statements;
mod trouble;
mod usage;
mod worker;

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use store::{Mode, StoreError};

pub use self::leases::{KeptLease, SqliteLeases};
pub use self::trouble::OpenError;
use self::trouble::Trouble;
use self::worker::Worker;

/// A store in one file.
pub struct SqliteStore {
    writer: Worker,
    reader: Worker,
}

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings it to the present version.
    ///
    /// Blocks, so it belongs to the start of the process.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let mut writer = schema::open(path)?;
        schema::migrate(&mut writer)?;
        let reader = schema::open(path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { writer: Worker::start("store-writer", writer)?, reader: Worker::start("store-reader", reader)? })
    }

    /// Opens a file that is there, to look at it: nothing in it is changed, and what would change it fails.
    ///
    /// Blocks, as [`Self::open`] does.
    pub fn open_to_read(path: &Path) -> Result<Self, OpenError> {
        let open = || schema::open_to_read(path);
        Ok(Self { writer: Worker::start("store-writer", open()?)?, reader: Worker::start("store-reader", open()?)? })
    }

    /// Does `work` in one transaction: all of it, or nothing.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_in(Mode::Real, work).await
    }

    /// As [`Self::write`]; a rehearsal is taken back.
    async fn write_in<T: Send + 'static>(
        &self,
        mode: Mode,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let in_transaction = move |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = work(&transaction)?;
            match mode {
                Mode::Real => transaction.commit()?,
                Mode::Rehearsal => transaction.rollback()?,
            }
            Ok(answer)
        };
        self.writer.ask(in_transaction).await
    }

    /// Does `work` on one consistent state.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.reader.ask(move |connection| work(&connection.transaction()?)).await
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Deref;

    use super::*;

    /// An empty store, and the directory that it is in.
    struct Opened {
        store: SqliteStore,
        _directory: tempfile::TempDir,
    }

    impl Deref for Opened {
        type Target = SqliteStore;

        fn deref(&self) -> &SqliteStore {
            &self.store
        }
    }

    fn open() -> Opened {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("store.db")).unwrap();
        Opened { store, _directory: directory }
    }

    store::registry_suite!(entities, super::open());
    store::statements_suite!(statements, super::open());
    store::usage_totals_suite!(usage, super::open());
}
