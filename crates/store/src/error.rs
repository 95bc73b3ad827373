//! What can go wrong between a caller and a store.

use std::error::Error;

use problem::with_causes;

use crate::EntityId;

/// The store cannot be asked at all. It says why, as most of those who tell of it tell nothing else.
#[derive(Debug, thiserror::Error)]
#[error("the store is unavailable: {}", with_causes(&**.0))]
pub struct Unavailable(#[source] Box<dyn Error + Send + Sync>);

impl Unavailable {
    /// Unavailable because of `cause`.
    pub fn because(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Why a store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be asked; whether a change was made is not known.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// It has one of that id already.
    #[error("{0} is there already")]
    Exists(EntityId),
    /// Others refer to it.
    #[error("the {id} is referred to by the {by}")]
    InUse {
        /// What was to be deleted.
        id: EntityId,
        /// One of those that refer to it.
        by: EntityId,
    },
    /// It has none of that id.
    #[error("there is no {0}")]
    NotFound(EntityId),
    /// It is not any more as the caller knew it.
    #[error("the {0} has been changed meanwhile")]
    Changed(EntityId),
    /// What is stored cannot be read.
    #[error("the {0} was written by another version of this program and cannot be read: {1}")]
    Unreadable(EntityId, serde_json::Error),
}

impl StoreError {
    /// There is none of this id.
    pub fn not_found(id: impl Into<EntityId>) -> Self {
        Self::NotFound(id.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_unavailable_says_why() {
        let cause = std::io::Error::other("the disk is full");
        assert_eq!(
            StoreError::from(Unavailable::because(cause)).to_string(),
            "the store is unavailable: the disk is full"
        );
    }
}
