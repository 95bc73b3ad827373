//! The promise of a store of entities.

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::{Entity, EntityId, Kind, StoreError, UnixMicros};

/// How far a store has come: it grows with every change of an entity, and never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// An entity in the form that every store keeps: what it is called, how it hangs together with others, and a body that
/// no store looks into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which one.
    pub id: EntityId,
    /// With what it is deleted, and without what it cannot be.
    pub parent: Option<EntityId>,
    /// What cannot be deleted while it is there. It need not be there: the configuration file may have it.
    pub refers_to: Vec<EntityId>,
    /// A word by which it can be found beside its id, such as its state or its fingerprint.
    pub label: Option<String>,
    /// All there is to say about it, in JSON.
    pub body: String,
}

/// A row, and what the store knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What was written.
    pub row: Row,
    /// The revision at which it came to be so.
    pub revision: Revision,
    /// When it was last used, within a minute or so: see [`Registry::touch`].
    pub used: Option<UnixMicros>,
}

/// One change among those that are made together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Adds an entity.
    Create(Row),
    /// Writes an entity anew, if it is still as it was at this revision.
    Replace(Row, Option<Revision>),
    /// Deletes an entity and everything whose parent it is, if it is still as it was at this revision.
    Delete(EntityId, Option<Revision>),
}

/// Whether changes are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    #[default]
    Real,
    /// They are tried, and taken back: the answer is the one that they would have had.
    Rehearsal,
}

/// Changes that are made together, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The changes, in their order.
    pub writes: Vec<Write>,
    /// What the audit log says about them, in JSON.
    pub note: Option<String>,
    /// Whether they are made.
    pub mode: Mode,
}

/// What is to be listed. What is `None` is not asked about.
#[derive(Clone, Debug)]
pub struct Listing<'a> {
    /// Only entities of this kind.
    pub kind: Kind,
    /// Only those that belong to this one.
    pub parent: Option<&'a EntityId>,
    /// Only those with this label.
    pub label: Option<&'a str>,
    /// Only those whose path comes after this one.
    pub after: Option<&'a str>,
    /// At most so many.
    pub limit: usize,
}

impl Listing<'_> {
    /// All entities of a kind.
    pub fn of(kind: Kind) -> Self {
        Self { kind, parent: None, label: None, after: None, limit: usize::MAX }
    }
}

/// What an entity is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The revision at which it came to be so.
    pub revision: Revision,
    /// What it is now.
    pub now: Changed,
}

/// The present state of an entity that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is so.
    Is(Row),
    /// There is no such entity any more.
    Gone(EntityId),
}

impl Kind {
    /// Whether followers are told when one of them is gone. Collections come and go with every client, and their end is
    /// known before: what a store kept of those that were would grow for ever.
    pub fn is_missed(self) -> bool {
        self != Self::Collection
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Its number: the first is 1, and none is left out.
    pub number: u64,
    /// What it says, in JSON.
    pub body: String,
    /// See [`chained`].
    pub hash: [u8; 32],
}

/// The hash of an entry of the audit log: SHA-256 over the hash of the entry before it (for the first one, 32 zeros) and
/// its body. Nothing before an entry can be changed without changing its hash.
pub fn chained(before: &[u8; 32], body: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(before);
    context.update(body.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Keeps entities, tells followers what has changed, and keeps the audit log.
///
/// What was answered is durable and visible to every reader. Lists are sorted by path, byte by byte.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Makes changes, all of them or none. Answers the revision of the last one.
    ///
    /// # Errors
    ///
    /// - [`StoreError::Exists`]: an entity to be added is there.
    /// - [`StoreError::NotFound`]: an entity to be changed, or the parent of one to be added, is not.
    /// - [`StoreError::Changed`]: an entity is not any more as it was.
    /// - [`StoreError::InUse`]: another one refers to an entity to be deleted, and is not deleted with it.
    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError>;
    /// Finds an entity.
    async fn find(&self, id: &EntityId) -> Result<Option<Stored>, StoreError>;
    /// Lists entities.
    async fn list(&self, listing: Listing<'_>) -> Result<Vec<Stored>, StoreError>;
    /// Notes when entities were last used. Those that are not there are passed over, time never goes back, and the
    /// revision stays: no follower needs to know.
    async fn touch(&self, used: &[(EntityId, UnixMicros)]) -> Result<(), StoreError>;

    /// The revision of the latest change.
    async fn revision(&self) -> Result<Revision, StoreError>;
    /// What has changed since a revision, oldest first, at most `limit` changes.
    ///
    /// An entity that changed several times comes once, as it is now, and one that is gone comes as such unless nobody
    /// misses its kind ([`Kind::is_missed`]). From revision 0 on this is everything there is. An answer shorter than
    /// `limit` is the end.
    async fn changes_since(&self, since: Revision, limit: usize) -> Result<Vec<Change>, StoreError>;

    /// Entries of the audit log after the one of this number, oldest first.
    async fn noted(&self, after: u64, limit: usize) -> Result<Vec<Noted>, StoreError>;
}

impl Stored {
    /// The entity that was written.
    pub fn entity<T: Entity>(&self) -> Result<T, StoreError> {
        self.row.entity()
    }
}

impl Row {
    /// An entity as stores keep it.
    pub fn of<T: Entity>(entity: &T) -> Self {
        Self {
            id: entity.entity_id(),
            parent: entity.parent(),
            refers_to: entity.refers_to(),
            label: entity.label(),
            body: serde_json::to_string(entity).unwrap_or_default(),
        }
    }

    /// The entity that was written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`]: another version of this program wrote it.
    pub fn entity<T: Entity>(&self) -> Result<T, StoreError> {
        serde_json::from_str(&self.body).map_err(|error| StoreError::Unreadable(self.id.clone(), error))
    }
}

impl Commit {
    /// One change by itself.
    pub fn of(write: Write) -> Self {
        Self { writes: vec![write], ..Self::default() }
    }
}
