//! Entities in and out of a registry, by their types.

use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Value, json};
use store::{
    Commit, Entity, EntityId, Kind, Listing, Mode, Registry, Revision, Row, StoreError, Stored, UnixMicros, Write,
};

use crate::Clock;

/// How often a change is tried whose entity others change at the same time.
const TRIES: usize = 8;

/// A registry of entities that have types, and in whose name they are changed.
#[derive(Clone)]
pub(crate) struct Records {
    registry: Arc<dyn Registry>,
    clock: Clock,
    act: Act,
}

/// Who changes something, and how.
#[derive(Clone, Debug)]
pub struct Act {
    /// Who it is, for the audit log.
    pub actor: Arc<str>,
    /// Whether it is done, or only tried.
    pub mode: Mode,
    /// The revision that an entity must have to be changed.
    pub expected: Option<Revision>,
}

impl Default for Act {
    fn default() -> Self {
        Self { actor: "gateway".into(), mode: Mode::Real, expected: None }
    }
}

/// An entity, and at which revision it came to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The entity.
    pub entity: T,
    /// For whoever changes it: see [`Act::expected`].
    pub revision: Revision,
    /// When it was last used.
    pub used: Option<UnixMicros>,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.entity
    }
}

impl Records {
    pub(crate) fn new(registry: Arc<dyn Registry>, clock: Clock) -> Self {
        Self { registry, clock, act: Act::default() }
    }

    pub(crate) fn acting(&self, act: Act) -> Self {
        Self { act, ..self.clone() }
    }

    pub(crate) fn registry(&self) -> &dyn Registry {
        &*self.registry
    }

    /// Whether what is done here lasts.
    pub(crate) fn is_real(&self) -> bool {
        self.act.mode == Mode::Real
    }

    /// The revision that an entity must have to be changed, if the caller said so.
    pub(crate) fn expected(&self) -> Option<Revision> {
        self.act.expected
    }

    /// Makes changes together, and notes who made them.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Revision, StoreError> {
        // What keys are found by is nobody's business, and no change by itself.
        let is_change = |write: &&Write| !matches!(write, Write::Create(row) if row.id.kind() == Kind::KeyMark);
        let changes = writes.iter().filter(is_change).map(noted).collect();
        self.commit_as(writes, changes).await
    }

    /// Notes a change of something that the registry does not keep.
    pub(crate) async fn note(
        &self,
        change: &str,
        (kind, id): (&str, &str),
        now: Value,
    ) -> Result<Revision, StoreError> {
        let change = json!({ "change": change, "kind": kind, "id": id, "now": now });
        self.commit_as(Vec::new(), vec![change]).await
    }

    async fn commit_as(&self, writes: Vec<Write>, changes: Vec<Value>) -> Result<Revision, StoreError> {
        let note = json!({ "at": (self.clock)(), "actor": &*self.act.actor, "changes": changes });
        self.registry.commit(Commit { writes, note: Some(note.to_string()), mode: self.act.mode }).await
    }

    pub(crate) async fn create<T: Entity>(&self, entity: T) -> Result<At<T>, StoreError> {
        let revision = self.commit(vec![Write::Create(Row::of(&entity))]).await?;
        Ok(At { entity, revision, used: None })
    }

    pub(crate) async fn get<T: Entity>(&self, id: &T::Id) -> Result<At<T>, StoreError>
    where
        for<'a> EntityId: From<&'a T::Id>,
    {
        let id = EntityId::from(id);
        let stored = self.registry.find(&id).await?;
        at(&stored.ok_or(StoreError::NotFound(id))?)
    }

    /// Says whether there is one, as an error if there is none.
    pub(crate) async fn expect(&self, id: impl Into<EntityId>) -> Result<(), StoreError> {
        let id = id.into();
        self.registry.find(&id).await?.map(drop).ok_or(StoreError::NotFound(id))
    }

    pub(crate) async fn list<T: Entity>(&self, listing: Listing<'_>) -> Result<Vec<At<T>>, StoreError> {
        self.registry.list(listing).await?.iter().map(at).collect()
    }

    /// Changes an entity, and answers it as it is then; tried again if somebody else changes it at the same time.
    pub(crate) async fn change<T: Entity>(&self, id: &T::Id, change: impl Fn(&mut T)) -> Result<At<T>, StoreError>
    where
        for<'a> EntityId: From<&'a T::Id>,
    {
        let mut tries = TRIES;
        loop {
            let At { mut entity, revision, used } = self.get::<T>(id).await?;
            change(&mut entity);
            tries -= 1;
            let expected = self.act.expected.unwrap_or(revision);
            match self.commit(vec![Write::Replace(Row::of(&entity), Some(expected))]).await {
                Ok(revision) => return Ok(At { entity, revision, used }),
                Err(StoreError::Changed(_)) if 0 < tries && self.act.expected.is_none() => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) async fn delete(&self, id: impl Into<EntityId>) -> Result<Revision, StoreError> {
        self.commit(vec![Write::Delete(id.into(), self.act.expected)]).await
    }
}

/// A change as the audit log has it. Hashes of secrets are left out.
fn noted(write: &Write) -> Value {
    let (change, id, row) = match write {
        Write::Create(row) => ("create", &row.id, Some(row)),
        Write::Replace(row, _) => ("replace", &row.id, Some(row)),
        Write::Delete(id, _) => ("delete", id, None),
    };
    let mut now: Value = row.and_then(|row| serde_json::from_str(&row.body).ok()).unwrap_or_default();
    if let Some(members) = now.as_object_mut() {
        members.remove("hash");
    }
    json!({ "change": change, "kind": id.kind(), "id": id.path(), "now": now })
}

fn at<T: Entity>(stored: &Stored) -> Result<At<T>, StoreError> {
    Ok(At { entity: stored.entity()?, revision: stored.revision, used: stored.used })
}
