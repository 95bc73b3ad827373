//! What can go wrong here, and how callers see it.

use std::time::Duration;

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
    #[error("PostgreSQL cannot be used")]
    Unavailable(#[from] Unavailable),
    /// A later version of this program made its tables.
    #[error("the database is of version {found}, made by a later version of this program; this one knows {known}")]
    TooNew {
        /// Its version.
        found: usize,
        /// The latest version known here.
        known: usize,
    },
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
    Postgres(#[from] tokio_postgres::Error),
    /// There is no connection.
    #[error("there is no connection")]
    Pool(#[from] deadpool_postgres::PoolError),
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
        None => error.to_string(),
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
