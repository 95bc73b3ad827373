//! The store of many nodes: entities, sums of usage, statements and sealed secrets in PostgreSQL.
//!
//! What changes entities takes one row's lock first, so that revisions become visible in their order; followers are told by
//! `NOTIFY`, which comes with the commit or not at all. No answer takes longer than [`PATIENCE`], whatever became of the
//! server. Deliberately not here: what must be decided for each request, which is the business of `store-redis`.

mod connect;
mod fill;
mod nodes;
mod registry;
mod rows;
mod schema;
mod sealed;
mod statements;
mod trouble;
mod usage;

use std::time::Duration;

use deadpool_postgres::{Object, Pool, Transaction};
use store::Mode;
use tokio::time::timeout;

pub use self::connect::Settings;
pub use self::fill::{Filled, NotFilled, Source};
pub use self::nodes::Notices;
pub use self::schema::Migration;
pub use self::sealed::Sealed;
pub use self::trouble::OpenError;
use self::trouble::Trouble;

/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store in a database.
pub struct PostgresStore {
    pool: Pool,
    settings: Settings,
}

impl PostgresStore {
    /// Connects, and makes the tables if there are none. Those of an earlier version are left to [`Self::migrate`].
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let store = Self { pool: connect::pool(&settings)?, settings };
        schema::prepare(&store).await?;
        Ok(store)
    }

    /// Connects, to look at it. The tables must be there.
    pub async fn open_to_read(settings: Settings) -> Result<Self, OpenError> {
        let store = Self { pool: connect::pool(&settings)?, settings };
        schema::expect(&store).await?;
        Ok(store)
    }

    /// Connects, to rehearse [`Self::fill`], whatever tables there are.
    pub fn to_rehearse(settings: Settings) -> Result<Self, OpenError> {
        Ok(Self { pool: connect::pool(&settings)?, settings })
    }

    /// Brings the tables to the present version, or says what would be done.
    pub async fn migrate(settings: Settings, mode: Mode) -> Result<Migration, OpenError> {
        let store = Self { pool: connect::pool(&settings)?, settings };
        schema::migrate(&store, mode).await
    }

    async fn client(&self) -> Result<Object, Trouble> {
        self.pool.get().await.map_err(|cause| Trouble::NoConnection { server: connect::told(&self.settings), cause })
    }
}

/// Has `work` answer in time. What takes longer is given up: its transaction is rolled back.
async fn bounded<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(PATIENCE, work).await.unwrap_or(Err(Trouble::TooSlow(PATIENCE)))
}

/// Ends a transaction; a rehearsal is taken back.
async fn finish(transaction: Transaction<'_>, mode: Mode) -> Result<(), Trouble> {
    match mode {
        Mode::Real => transaction.commit().await?,
        Mode::Rehearsal => transaction.rollback().await?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::Deref;

    use servers::{Database, Postgres};

    use super::*;

    /// An empty store, and the database that it is in.
    pub(crate) struct Opened {
        pub(crate) store: PostgresStore,
        pub(crate) database: Database,
    }

    impl Deref for Opened {
        type Target = PostgresStore;

        fn deref(&self) -> &PostgresStore {
            &self.store
        }
    }

    pub(crate) async fn open() -> Opened {
        let database = Postgres::shared().database();
        let store = PostgresStore::open(Settings::of(&database.address())).await.unwrap();
        Opened { store, database }
    }

    store::registry_suite!(entities, super::open().await);
    store::statements_suite!(statements, super::open().await);
    store::usage_totals_suite!(usage, super::open().await);
}
