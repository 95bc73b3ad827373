//! What can go wrong between a caller and a store.

use std::error::Error;

use crate::EntityId;

/// The store cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("the store is unavailable")]
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
    /// Others depend on it.
    #[error("the {0} has subscriptions")]
    InUse(EntityId),
    /// It has none of that id.
    #[error("there is no {0}")]
    NotFound(EntityId),
}

impl StoreError {
    /// There is none of this id.
    pub fn not_found(id: impl Into<EntityId>) -> Self {
        Self::NotFound(id.into())
    }

    /// There is one of this id.
    pub fn exists(id: impl Into<EntityId>) -> Self {
        Self::Exists(id.into())
    }

    /// Whether the caller asked for something that what is there forbids.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Exists(_) | Self::InUse(_) => true,
            Self::Unavailable(_) | Self::NotFound(_) => false,
        }
    }
}
