//! What can go wrong here, and how callers see it.

use std::io;

use store::{StoreError, Unavailable};

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or its threads not started.
    #[error("the store's file cannot be opened")]
    Io(#[from] io::Error),
    /// `SQLite` refuses it.
    #[error("the store's file cannot be used")]
    Sqlite(#[from] rusqlite::Error),
    /// A later version of this program wrote it.
    #[error("the store's file is of version {found}, made by a later version of this program; this one knows {known}")]
    TooNew {
        /// Its version.
        found: u32,
        /// The latest version known here.
        known: u32,
    },
    /// An earlier version of this program wrote it, and it must not be changed.
    #[error("the store's file is of version {found}, and becomes {known} when the gateway is started")]
    TooOld {
        /// Its version.
        found: u32,
        /// The version that is read here.
        known: u32,
    },
}

/// Why a job gave no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What the trait promises to say.
    Refused(StoreError),
    /// `SQLite`'s own trouble.
    Sqlite(rusqlite::Error),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(error) => error,
            Trouble::Sqlite(cause) => Unavailable::because(cause).into(),
        }
    }
}
