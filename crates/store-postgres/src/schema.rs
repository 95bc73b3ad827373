//! The tables, and how they come to the present version.

use deadpool_postgres::Transaction;
use store::{Mode, Unavailable};

use crate::trouble::Trouble;
use crate::{OpenError, PostgresStore, bounded, finish};

/// What brings the tables from one version to the next. Released ones are never changed.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/1.sql")];

/// A way from one version to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The version that was found; 0 is an empty database.
    pub from: usize,
    /// The version that is there now, or would be.
    pub to: usize,
    /// What is done for it.
    pub steps: Vec<&'static str>,
}

/// Makes the tables in an empty database; otherwise they must be of the present version.
pub(crate) async fn prepare(store: &PostgresStore) -> Result<(), OpenError> {
    match expect(store).await {
        Err(OpenError::Empty) => migrate(store, Mode::Real).await.map(|_| ()),
        expected => expected,
    }
}

/// Says that the tables are of the present version.
pub(crate) async fn expect(store: &PostgresStore) -> Result<(), OpenError> {
    match bounded(version(store)).await.map_err(Unavailable::from)? {
        0 => Err(OpenError::Empty),
        found if found < MIGRATIONS.len() => Err(OpenError::TooOld { found, known: MIGRATIONS.len() }),
        found => fits(found),
    }
}

/// Brings the tables to the present version, all in one transaction.
pub(crate) async fn migrate(store: &PostgresStore, mode: Mode) -> Result<Migration, OpenError> {
    let from = bounded(step(store, mode)).await.map_err(Unavailable::from)?;
    fits(from)?;
    let steps = MIGRATIONS.get(from..).unwrap_or_default().to_vec();
    Ok(Migration { from, to: MIGRATIONS.len(), steps })
}

fn fits(found: usize) -> Result<(), OpenError> {
    let known = MIGRATIONS.len();
    if known < found { Err(OpenError::TooNew { found, known }) } else { Ok(()) }
}

async fn version(store: &PostgresStore) -> Result<usize, Trouble> {
    let client = store.client().await?;
    let is_there = client.query_one("SELECT to_regclass('vestibule_schema') IS NOT NULL", &[]).await?;
    if !is_there.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let found = client.query_one("SELECT version FROM vestibule_schema", &[]).await?;
    Ok(usize::try_from(found.try_get::<_, i32>(0)?).unwrap_or_default())
}

/// Does what is missing, and says which version was there before.
async fn step(store: &PostgresStore, mode: Mode) -> Result<usize, Trouble> {
    let mut client = store.client().await?;
    let transaction = client.transaction().await?;
    let found = bring(&transaction).await?;
    finish(transaction, mode).await?;
    Ok(found)
}

/// Does within a transaction what is missing, and says which version was there before.
pub(crate) async fn bring(transaction: &Transaction<'_>) -> Result<usize, Trouble> {
    const FIRST: &str = "CREATE TABLE IF NOT EXISTS vestibule_schema (version INTEGER NOT NULL)";
    // Several nodes may begin at once. The number is drawn by lot, and nobody else's.
    transaction.execute("SELECT pg_advisory_xact_lock(4917630251870339158)", &[]).await?;
    transaction.batch_execute(FIRST).await?;
    let found = transaction.query_opt("SELECT version FROM vestibule_schema", &[]).await?;
    let found = found.map(|row| row.try_get::<_, i32>(0)).transpose()?.unwrap_or_default();
    let found = usize::try_from(found).unwrap_or_default();
    for migration in MIGRATIONS.get(found..).unwrap_or_default() {
        transaction.batch_execute(migration).await?;
    }
    if found < MIGRATIONS.len() {
        transaction.batch_execute("DELETE FROM vestibule_schema").await?;
        let version = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
        transaction.execute("INSERT INTO vestibule_schema VALUES ($1)", &[&version]).await?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use servers::Postgres;

    use super::*;
    use crate::Settings;

    #[tokio::test]
    async fn a_rehearsal_of_a_migration_makes_nothing() {
        let database = Postgres::shared().database();
        let settings = Settings::of(&database.address());

        let rehearsed = PostgresStore::migrate(settings.clone(), Mode::Rehearsal).await.unwrap();
        assert_eq!((rehearsed.from, rehearsed.to, rehearsed.steps.len()), (0, MIGRATIONS.len(), MIGRATIONS.len()));

        let done = PostgresStore::migrate(settings.clone(), Mode::Real).await.unwrap();
        assert_eq!(done, rehearsed);
        let again = PostgresStore::migrate(settings, Mode::Real).await.unwrap();
        assert_eq!((again.from, again.steps.len()), (MIGRATIONS.len(), 0));
    }

    #[tokio::test]
    async fn who_only_looks_is_told_that_an_empty_database_has_no_tables_yet() {
        let database = Postgres::shared().database();

        let looked = PostgresStore::open_to_read(Settings::of(&database.address())).await;

        assert_eq!(
            looked.err().unwrap().to_string(),
            "the database is empty: the first gateway that starts with it makes its tables"
        );
    }

    #[tokio::test]
    async fn nodes_that_begin_at_once_make_the_tables_once() {
        let database = Postgres::shared().database();
        let open = || PostgresStore::open(Settings::of(&database.address()));
        let (one, two, three) = tokio::join!(open(), open(), open());
        assert!([one, two, three].iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn tables_of_another_version_are_left_alone() {
        let opened = crate::tests::open().await;
        let set = |version: i32| {
            let client = opened.store.client();
            async move {
                let client = client.await.unwrap();
                client.execute("UPDATE vestibule_schema SET version = $1", &[&version]).await.unwrap();
            }
        };
        let open = || PostgresStore::open(Settings::of(&opened.database.address()));

        set(99).await;
        assert!(matches!(open().await, Err(OpenError::TooNew { found: 99, .. })));
        let migrated = PostgresStore::migrate(Settings::of(&opened.database.address()), Mode::Real).await;
        assert!(matches!(migrated, Err(OpenError::TooNew { found: 99, .. })));
    }
}
