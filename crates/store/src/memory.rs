//! A registry in memory: for tests, for trying things out, and the plainest reading of the promise.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    Change, Changed, Commit, EntityId, Listing, Mode, Noted, Registry, Revision, Row, StoreError, Stored, UnixMicros,
    Write, chained,
};

/// A registry that is gone when the process is.
#[derive(Default)]
pub struct InMemory {
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    revision: Revision,
    rows: BTreeMap<EntityId, Stored>,
    gone: BTreeMap<EntityId, Revision>,
    notes: Vec<Noted>,
}

impl State {
    fn next(&mut self) -> Revision {
        self.revision.0 += 1;
        self.revision
    }

    fn write(&mut self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Create(row) => {
                if self.rows.contains_key(&row.id) {
                    return Err(StoreError::Exists(row.id));
                }
                if let Some(parent) = &row.parent {
                    self.expect(parent, None)?;
                }
                self.gone.remove(&row.id);
                let revision = self.next();
                self.rows.insert(row.id.clone(), Stored { row, revision, used: None });
            }
            Write::Replace(row, at) => {
                let used = self.expect(&row.id, at)?.used;
                let revision = self.next();
                self.rows.insert(row.id.clone(), Stored { row, revision, used });
            }
            Write::Delete(id, at) => {
                self.expect(&id, at)?;
                self.delete(&id)?;
            }
        }
        Ok(())
    }

    fn expect(&self, id: &EntityId, at: Option<Revision>) -> Result<&Stored, StoreError> {
        let stored = self.rows.get(id).ok_or_else(|| StoreError::NotFound(id.clone()))?;
        match at {
            Some(at) if at != stored.revision => Err(StoreError::Changed(id.clone())),
            _ => Ok(stored),
        }
    }

    /// Deletes what belongs to it first.
    fn delete(&mut self, id: &EntityId) -> Result<(), StoreError> {
        let is_child = |stored: &&Stored| stored.row.parent.as_ref() == Some(id);
        let children: Vec<_> = self.rows.values().filter(is_child).map(|stored| stored.row.id.clone()).collect();
        for child in children {
            self.delete(&child)?;
        }
        if let Some(user) = self.rows.values().find(|stored| stored.row.refers_to.contains(id)) {
            return Err(StoreError::InUse { id: id.clone(), by: user.row.id.clone() });
        }
        self.rows.remove(id);
        let revision = self.next();
        if id.kind().is_missed() {
            self.gone.insert(id.clone(), revision);
        }
        Ok(())
    }

    fn note(&mut self, body: String) {
        let hash = chained(&self.notes.last().map_or([0; 32], |last| last.hash), &body);
        self.notes.push(Noted { number: self.notes.len() as u64 + 1, body, hash });
    }
}

#[async_trait]
impl Registry for InMemory {
    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        let mut state = self.state.lock();
        let mut changed = state.clone();
        for write in commit.writes {
            changed.write(write)?;
        }
        if let Some(note) = commit.note {
            changed.note(note);
        }
        let revision = changed.revision;
        if commit.mode == Mode::Real {
            *state = changed;
        }
        Ok(revision)
    }

    async fn find(&self, id: &EntityId) -> Result<Option<Stored>, StoreError> {
        Ok(self.state.lock().rows.get(id).cloned())
    }

    async fn list(&self, listing: Listing<'_>) -> Result<Vec<Stored>, StoreError> {
        let Listing { kind, parent, label, after, limit } = listing;
        let is_wanted = |stored: &&Stored| {
            let Row { id, parent: of, label: word, .. } = &stored.row;
            id.kind() == kind
                && parent.is_none_or(|parent| of.as_ref() == Some(parent))
                && label.is_none_or(|label| word.as_deref() == Some(label))
                && after.is_none_or(|after| after < id.path())
        };
        Ok(self.state.lock().rows.values().filter(is_wanted).take(limit).cloned().collect())
    }

    async fn touch(&self, used: &[(EntityId, UnixMicros)]) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        for (id, at) in used {
            if let Some(stored) = state.rows.get_mut(id) {
                stored.used = stored.used.max(Some(*at));
            }
        }
        Ok(())
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.state.lock().revision)
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        let state = self.state.lock();
        let rows = state.rows.values().filter(|stored| since < stored.revision);
        let rows = rows.map(|stored| Change { revision: stored.revision, now: Changed::Is(stored.row.clone()) });
        let gone = state.gone.iter().filter(|(_, revision)| since < **revision);
        let gone = gone.map(|(id, &revision)| Change { revision, now: Changed::Gone(id.clone()) });
        let mut changes: Vec<_> = rows.chain(gone).collect();
        changes.sort_by_key(|change| change.revision);
        changes.truncate(limit);
        Ok(changes)
    }

    async fn noted(&self, after: u64, limit: usize) -> Result<Vec<Noted>, StoreError> {
        let state = self.state.lock();
        Ok(state.notes.iter().filter(|note| after < note.number).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    crate::registry_suite!(in_memory, Box::new(crate::InMemory::default()));
}
