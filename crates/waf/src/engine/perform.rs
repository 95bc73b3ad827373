//! What a match changes in the transaction.

use std::sync::Arc;

use super::kept::{Collection, Difference, Entry, Place};
use super::state::{Named, Transaction};
use crate::action::{Change, Control, Effect, Initialised};
use crate::operator::integer;
use crate::rules::RuleAt;
use crate::settings::{Beyond, Engine};
use crate::template::Template;
use crate::values::ValueId;
use crate::variable::Variable;

impl Transaction {
    pub(super) fn perform(&mut self, effect: &Effect, at: RuleAt) {
        match effect {
            Effect::Set { slot, change } => {
                self.touched |= self.rules.index.is_on_course(*slot);
                let old = self.variables.get(slot.0 as usize).copied().flatten();
                let new = self.changed(old, change, at);
                if let Some(place) = self.variables.get_mut(slot.0 as usize) {
                    *place = new;
                }
            }
            Effect::SetNamed { collection, name, change } => self.set_named(*collection, name, change, at),
            Effect::Expire { collection, name, after } => self.expire(*collection, name, after, at),
            Effect::Deprecate { collection, name, by, every } => self.deprecate(*collection, name, (*by, *every), at),
            Effect::Initialise { collection, key } => self.initialise(*collection, key, at),
            Effect::SetEnv { name, value } => self.set_env(name, value.as_ref(), at),
            Effect::Control(control) => self.control(control),
            Effect::Mask(masked) => {
                if !self.masked.contains(masked) {
                    self.masked.push(masked.clone());
                }
            }
        }
    }

    /// The value that a change makes of another one.
    fn changed(&mut self, old: Option<ValueId>, change: &Change, at: RuleAt) -> Option<ValueId> {
        match change {
            Change::Unset => None,
            Change::To(text) => Some(self.expand(text, Some(at))),
            Change::Up(text) | Change::Down(text) => {
                let by = self.expand(text, Some(at));
                let number = |value: ValueId| integer(self.values.bytes(value));
                let new = change.counted(old.map_or(0, number), number(by));
                Some(self.values.intern_number(new))
            }
        }
    }

    fn set_named(&mut self, collection: Variable, name: &Template, change: &Change, at: RuleAt) {
        let name = self.expand(name, Some(at));
        if collection == Variable::Tx {
            return self.set_by_name(name, change, at);
        }
        let Some(index) = self.collection(collection) else { return };
        let found = self.entry(index, name);
        let old = found.map(|entry| entry.value);
        let new = self.changed(old, change, at);
        // Names are equal in any case, and the first one stays. So does when the value is gone.
        let name = found.map_or(name, |entry| entry.name);
        let difference = self.difference(name, old, new, change);
        let Some((_, kept)) = self.collections.get_mut(index) else { return };
        let waiting = kept.timer(&self.values, self.values.bytes(name)).filter(|_| old.is_none());
        let expires = found.and_then(|entry| entry.expires).or(waiting);
        kept.entries.retain(|entry| entry.name != name);
        kept.changes.push(difference);
        if let Some(value) = new {
            kept.entries.push(Entry { name, value, expires });
            let name = self.values.bytes(name).to_vec();
            kept.changes.extend(waiting.map(|at| Difference::Expires { name, at }));
        }
    }

    fn set_by_name(&mut self, name: ValueId, change: &Change, at: RuleAt) {
        if let Some(slot) = self.rules.slots.find(self.values.bytes(name)) {
            return self.perform(&Effect::Set { slot, change: change.clone() }, at);
        }
        let position = self
            .others
            .iter()
            .position(|other| self.values.bytes(other.name).eq_ignore_ascii_case(self.values.bytes(name)));
        let old = position.and_then(|position| self.others.get(position)).map(|other| other.value);
        let new = self.changed(old, change, at);
        if let Some(position) = position {
            self.others.remove(position);
        }
        self.others.extend(new.map(|value| Named::new(&self.values, name, value)));
    }

    fn difference(&self, name: ValueId, old: Option<ValueId>, new: Option<ValueId>, change: &Change) -> Difference {
        let name = self.values.bytes(name).to_vec();
        let number = |value: Option<ValueId>| value.map_or(0, |value| integer(self.values.bytes(value)));
        match (change, new) {
            (Change::Unset, _) | (_, None) => Difference::Unset { name },
            (Change::To(_), Some(value)) => Difference::Set { name, value: self.values.bytes(value).to_vec() },
            (Change::Up(_) | Change::Down(_), Some(_)) => Difference::Added { name, by: number(new) - number(old) },
        }
    }

    /// The place of a collection that was initialised.
    fn collection(&self, collection: Variable) -> Option<usize> {
        let wanted = Initialised::of(collection)?;
        self.collections.iter().position(|(which, _)| *which == wanted)
    }

    /// A value in a collection.
    fn entry(&mut self, collection: usize, name: ValueId) -> Option<Entry> {
        let (now, Self { values, collections, .. }) = (self.environment.now.seconds, self);
        let (_, kept) = collections.get_mut(collection)?;
        kept.find(values, values.bytes(name), now).copied()
    }

    fn expire(&mut self, collection: Variable, name: &Template, after: &Template, at: RuleAt) {
        let name = self.expand(name, Some(at));
        let after = self.expand(after, Some(at));
        let after = u64::try_from(integer(self.values.bytes(after))).unwrap_or(0);
        let now = self.environment.now.seconds;
        let expires = now.saturating_add(after);
        let Some(index) = self.collection(collection) else { return };
        let Self { values, collections, .. } = self;
        let Some((_, kept)) = collections.get_mut(index) else { return };
        match kept.find(values, values.bytes(name), now) {
            Some(entry) => {
                entry.expires = Some(expires);
                let name = values.bytes(entry.name).to_vec();
                kept.changes.push(Difference::Expires { name, at: expires });
            }
            // It holds once the value is there.
            None => kept.timers.push((name, expires)),
        }
    }

    /// Lowers a value for the time that has passed since the collection was last changed, before this transaction.
    fn deprecate(&mut self, collection: Variable, name: &Template, (by, every): (u32, u32), at: RuleAt) {
        let name = self.expand(name, Some(at));
        let now = self.environment.now.seconds;
        let Some(index) = self.collection(collection) else { return };
        let Some(entry) = self.entry(index, name) else { return };
        let Some(updated) = self.collections.get(index).and_then(|(_, kept)| kept.updated) else { return };
        let value = integer(self.values.bytes(entry.value));
        let periods = now.saturating_sub(updated) / u64::from(every.max(1));
        let loss = i64::try_from(periods.saturating_mul(u64::from(by))).unwrap_or(i64::MAX).min(value);
        if loss <= 0 {
            return;
        }
        let left = self.values.intern_number(u64::try_from(value - loss).unwrap_or(0));
        let Self { values, collections, .. } = self;
        let Some((_, kept)) = collections.get_mut(index) else { return };
        kept.changes.push(Difference::Added { name: values.bytes(entry.name).to_vec(), by: -loss });
        if let Some(lowered) = kept.find(values, values.bytes(entry.name), now) {
            lowered.value = left;
        }
    }

    fn initialise(&mut self, collection: Initialised, key: &Template, at: RuleAt) {
        let key = self.expand(key, Some(at));
        match collection {
            Initialised::Session => self.set_id(Variable::Sessionid, key),
            Initialised::User => self.set_id(Variable::Userid, key),
            Initialised::Ip | Initialised::Global | Initialised::Resource => {}
        }
        if self.collections.iter().any(|(which, _)| *which == collection) {
            return;
        }
        let kept = match &self.environment.persistence {
            Some(persistence) => persistence.load(&self.place(collection, key)),
            None => Vec::new(),
        };
        let updated = kept.iter().map(|one| one.changed).max();
        let is_set = |wanted: &[u8]| kept.iter().any(|one| one.name.eq_ignore_ascii_case(wanted));
        let timeout = Some(self.rules.settings().collection_timeout).filter(|_| !is_set(TIMEOUT));
        let members = [
            (&b"KEY"[..], Some(self.values.bytes(key).to_vec())),
            (&b"IS_NEW"[..], Some(vec![b'0' + u8::from(kept.is_empty())])),
            (TIMEOUT, timeout.map(|seconds| seconds.to_string().into_bytes())),
            (&b"LAST_UPDATE_TIME"[..], updated.map(|seconds| seconds.to_string().into_bytes())),
        ];
        let members = members.into_iter().filter_map(|(name, value)| Some((name.to_vec(), value?, None)));
        let kept = kept.into_iter().map(|one| (one.name, one.value, one.expires));
        let entries = members.chain(kept).map(|(name, value, expires)| {
            let (name, value) = (self.values.intern(&name), self.values.intern(&value));
            Entry { name, value, expires }
        });
        let entries = entries.collect();
        self.collections.push((collection, Collection { key, entries, updated, ..Collection::default() }));
    }

    fn place(&self, collection: Initialised, key: ValueId) -> Place<'_> {
        let application = Some(&*self.rules.settings().application);
        let (name, application) = match collection {
            Initialised::Ip => ("ip", None),
            Initialised::Global => ("global", None),
            Initialised::Resource => ("resource", application),
            Initialised::Session => ("session", application),
            Initialised::User => ("user", application),
        };
        Place { application, collection: name, key: self.values.bytes(key) }
    }

    /// Gives what changed in collections to whoever keeps them. Called once, after the phase of logging.
    pub fn finish(&mut self) {
        let collections = std::mem::take(&mut self.collections);
        let Some(persistence) = self.environment.persistence.clone() else { return };
        let set = self.rules.settings().collection_timeout;
        for (which, mut collection) in collections.into_iter().filter(|(_, collection)| !collection.changes.is_empty())
        {
            let timeout =
                collection.find(&self.values, TIMEOUT, 0).map(|entry| integer(self.values.bytes(entry.value)));
            let timeout = timeout.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(set);
            persistence.store(&self.place(which, collection.key), &collection.changes, timeout);
        }
    }

    fn set_env(&mut self, name: &Template, value: Option<&Template>, at: RuleAt) {
        let name = self.expand(name, Some(at));
        // `!name` takes it away.
        let unset = self.values.bytes(name).strip_prefix(b"!").map(<[u8]>::to_vec);
        let name = unset.as_deref().map_or(name, |name| self.values.intern(name));
        self.env.retain(|set| set.name != name);
        if unset.is_none() {
            let value = match value {
                Some(value) => self.expand(value, Some(at)),
                None => self.values.intern(b"1"),
            };
            self.env.push(Named::new(&self.values, name, value));
        }
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::Engine(engine) => self.control.engine = *engine,
            Control::RequestBodyAccess(access) => self.control.request_body = *access,
            Control::ResponseBodyAccess(access) => self.control.response_body = *access,
            Control::ForceRequestBodyVariable(force) => self.control.force_request_body = *force,
            Control::RequestBodyProcessor(processor) => self.process_with(*processor),
            Control::RequestBodyLimit(limit) => self.control.request_limit = *limit,
            Control::ResponseBodyLimit(limit) => self.control.response_limit = *limit,
            Control::Audit(audit) => self.control.audit = *audit,
            Control::AuditParts(parts) => self.change_audit_parts(parts),
            Control::RemoveRules(_, chains) => self.control.removed.add(chains),
            Control::RemoveTargets(_, removal) => {
                // Each value that a rule matches says it again.
                if !self.control.removals.iter().any(|known| Arc::ptr_eq(known, removal)) {
                    self.control.removals.push(removal.clone());
                }
            }
            Control::Nothing => {}
        }
    }

    fn change_audit_parts(&mut self, written: &str) {
        let current = self.audit_parts();
        let parts: String = match (written.strip_prefix('+'), written.strip_prefix('-')) {
            (Some(more), _) => current.chars().chain(more.chars()).collect(),
            (None, Some(less)) => current.chars().filter(|part| !less.contains(*part)).collect(),
            (None, None) => written.to_owned(),
        };
        self.control.audit_parts = Some(parts.into());
    }

    /// What happens to a body beyond its limit; while only looking on, nothing is refused.
    pub(super) fn beyond(&self, set: Beyond) -> Beyond {
        if self.control.engine == Engine::On { set } else { Beyond::ProcessPartial }
    }
}

/// The member of a collection that says for how long it is kept when nobody changes it any more.
const TIMEOUT: &[u8] = b"TIMEOUT";
