//! What outlives a change of configuration, and what the process lends to policies.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// State that survives a reload by its name: counters, pools, sessions.
#[derive(Default)]
pub struct Kept {
    entries: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
}

impl Kept {
    /// The `T` of this name, made now if there is none.
    pub fn keep<T: Send + Sync + 'static>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let mut entries = self.entries.lock();
        let key = (TypeId::of::<T>(), name.to_owned());
        if let Some(Ok(kept)) = entries.get(&key).map(|entry| entry.clone().downcast()) {
            return kept;
        }
        let made = Arc::new(make());
        entries.insert(key, made.clone());
        made
    }

    /// The `T` of this name, if there is one.
    pub fn find<T: Send + Sync + 'static>(&self, name: &str) -> Option<Arc<T>> {
        let key = (TypeId::of::<T>(), name.to_owned());
        self.entries.lock().get(&key)?.clone().downcast().ok()
    }

    /// Lets go of everything that no snapshot uses any more.
    pub fn sweep(&self) {
        self.entries.lock().retain(|_, entry| Arc::strong_count(entry) > 1);
    }
}

/// What the process lends to policies when they are compiled, by type: an index of keys, a clock, a journal.
#[derive(Default)]
pub struct Services {
    entries: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Services {
    /// Lends `service` to every policy that asks for a `T`.
    #[must_use]
    pub fn with<T: ?Sized + Send + Sync + 'static>(mut self, service: Arc<T>) -> Self {
        self.add(service);
        self
    }

    /// As [`Self::with`].
    pub(crate) fn add<T: ?Sized + Send + Sync + 'static>(&mut self, service: Arc<T>) {
        self.entries.insert(TypeId::of::<T>(), Box::new(service));
    }

    /// The `T` of this process, if it has one.
    pub fn find<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.entries.get(&TypeId::of::<T>())?.downcast_ref::<Arc<T>>().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_survives_by_name_until_nobody_uses_it() {
        let kept = Kept::default();
        let first = kept.keep("orders", || 1_u32);

        kept.sweep();
        assert_eq!(*kept.keep("orders", || 2_u32), 1);

        drop(first);
        kept.sweep();
        assert_eq!(*kept.keep("orders", || 3_u32), 3);
    }

    #[test]
    fn a_service_is_found_by_its_type_even_behind_a_trait() {
        let services = Services::default().with::<dyn Fn() -> u8 + Send + Sync>(Arc::new(|| 7));

        assert_eq!(services.find::<dyn Fn() -> u8 + Send + Sync>().unwrap()(), 7);
        assert!(services.find::<String>().is_none());
    }
}
