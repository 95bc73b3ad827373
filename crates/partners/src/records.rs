//! Entities in and out of a registry, by their types.

use std::sync::Arc;

use store::{Commit, Entity, EntityId, Listing, Registry, Revision, Row, StoreError, Stored, UnixMicros, Write};

/// How often a change is tried whose entity others change at the same time.
const TRIES: usize = 8;

/// A registry of entities that have types.
#[derive(Clone)]
pub(crate) struct Records(Arc<dyn Registry>);

/// An entity, and at which revision it came to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The entity.
    pub entity: T,
    /// For whoever changes it: see [`store::Write::Replace`].
    pub revision: Revision,
    /// When it was last used.
    pub used: Option<UnixMicros>,
}

impl Records {
    pub(crate) fn new(registry: Arc<dyn Registry>) -> Self {
        Self(registry)
    }

    pub(crate) fn registry(&self) -> &dyn Registry {
        &*self.0
    }

    pub(crate) async fn create<T: Entity>(&self, entity: &T) -> Result<Revision, StoreError> {
        self.0.commit(Commit::of(Write::Create(Row::of(entity)))).await
    }

    pub(crate) async fn get<T: Entity>(&self, id: &T::Id) -> Result<At<T>, StoreError>
    where
        for<'a> EntityId: From<&'a T::Id>,
    {
        let id = EntityId::from(id);
        let stored = self.0.find(&id).await?;
        at(stored.ok_or(StoreError::NotFound(id))?)
    }

    /// Says whether there is one, as an error if there is none.
    pub(crate) async fn expect(&self, id: impl Into<EntityId>) -> Result<(), StoreError> {
        let id = id.into();
        self.0.find(&id).await?.map(drop).ok_or(StoreError::NotFound(id))
    }

    pub(crate) async fn list<T: Entity>(&self, listing: Listing<'_>) -> Result<Vec<At<T>>, StoreError> {
        self.0.list(listing).await?.into_iter().map(at).collect()
    }

    /// Changes an entity, and answers it as it is then; tried again if somebody else changes it at the same time.
    pub(crate) async fn change<T: Entity>(
        &self,
        id: &T::Id,
        change: impl Fn(&mut T),
    ) -> Result<At<T>, StoreError>
    where
        for<'a> EntityId: From<&'a T::Id>,
    {
        let mut tries = TRIES;
        loop {
            let At { mut entity, revision, used } = self.get::<T>(id).await?;
            change(&mut entity);
            tries -= 1;
            match self.0.commit(Commit::of(Write::Replace(Row::of(&entity), Some(revision)))).await {
                Ok(revision) => return Ok(At { entity, revision, used }),
                Err(StoreError::Changed(_)) if 0 < tries => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) async fn delete(&self, id: impl Into<EntityId>) -> Result<Revision, StoreError> {
        self.0.commit(Commit::of(Write::Delete(id.into(), None))).await
    }
}

fn at<T: Entity>(stored: Stored) -> Result<At<T>, StoreError> {
    Ok(At { entity: stored.entity()?, revision: stored.revision, used: stored.used })
}
