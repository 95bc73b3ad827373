//! What can go wrong here, and how callers see it.

use std::time::Duration;

use problem::with_causes;
use store::{StoreError, Unavailable};

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is none.
    #[error("the address of PostgreSQL cannot be read; it is like `postgres://user:password@host:5432/database`")]
    Address(#[source] tokio_postgres::Error),
    /// The authorities that sign its certificate cannot be used.
    #[error("the authorities that sign PostgreSQL's certificate cannot be used")]
    Authorities(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It cannot be reached, or refuses.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A later version of this program made its tables.
    #[error("the database is of version {found}, made by a later version of this program; this one knows {known}")]
    TooNew {
        /// Its version.
        found: usize,
        /// The latest version known here.
        known: usize,
    },
    /// It has no tables yet, and was to be looked at only.
    #[error("the database is empty: the first gateway that starts with it makes its tables")]
    Empty,
    /// An earlier version of this program made its tables.
    #[error("the database is of version {found}, and this program needs {known}: run `vestibule migrate`")]
    TooOld {
        /// Its version.
        found: usize,
        /// The version that is needed.
        known: usize,
    },
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// What the trait promises to say.
    #[error(transparent)]
    Refused(#[from] StoreError),
    /// PostgreSQL's own trouble.
    #[error("{}", said(.0))]
    Postgres(tokio_postgres::Error),
    /// There is no connection.
    #[error("no connection to {server}: {}", unconnected(.cause))]
    NoConnection {
        /// Which server, and what is wanted there.
        server: String,
        /// Why.
        cause: deadpool_postgres::PoolError,
    },
    /// It takes too long.
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    /// A connection that held a lock ended.
    #[error("the lock went with its connection, and nothing was changed")]
    LockLost,
}

/// What PostgreSQL says: its own error says no more than that there was one.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => with_causes(error),
    }
}

fn unconnected(cause: &deadpool_postgres::PoolError) -> String {
    match cause {
        deadpool_postgres::PoolError::Backend(error) => said(error),
        other => with_causes(other),
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(error) => error,
            other => Unavailable::because(other).into(),
        }
    }
}

impl From<Trouble> for Unavailable {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(StoreError::Unavailable(unavailable)) => unavailable,
            other => Self::because(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{PostgresStore, Settings};

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_the_reason_and_without_the_password() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);

        let opened = PostgresStore::open(Settings::of(&format!("postgres://gw:secret@{address}/gate"))).await;

        let expected = format!(
            "the store is unavailable: no connection to PostgreSQL at {address}, database `gate`, user `gw`: \
             error connecting to server: Connection refused (os error 111)"
        );
        assert_eq!(opened.err().unwrap().to_string(), expected);
    }
}
