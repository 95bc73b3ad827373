//! What can go wrong with files, and with appending.

use std::io;
use std::path::{Path, PathBuf};

/// A file operation of the journal that did not work.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct Error {
    /// What was tried.
    pub doing: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub cause: io::Error,
}

impl Error {
    /// For `map_err`: names what was tried, on what.
    pub(crate) fn of(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self { doing, path, cause }
    }
}

/// Why a record was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAppended {
    /// The writer's segment is full and no next one could be had: the disk, or the journal's own limit, is reached.
    #[error("the journal has no room")]
    NoRoom,
    /// The record is longer than [`crate::MAX_RECORD`], or than a segment.
    #[error("the record is too long")]
    TooLong,
}

/// The disk failed to take what was appended, so that it may not survive a loss of power.
///
/// The records are still in the system's cache, hence safe from the end of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk did not take the records")]
pub struct NotCommitted;
