//! A registry in memory: for tests, for trying things out, and the plainest reading of the promise.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    App, AppId, Change, Changed, Company, CompanyName, EntityId, Key, KeyId, Product, ProductName, Registry, Revision,
    StoreError, Subscription, SubscriptionId, SubscriptionState, UnixMicros,
};

/// A registry that is gone when the process is.
#[derive(Default)]
pub struct InMemory {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    revision: Revision,
    companies: Table<CompanyName, Company>,
    apps: Table<AppId, App>,
    products: Table<ProductName, Product>,
    subscriptions: Table<SubscriptionId, Subscription>,
    keys: Table<KeyId, Key>,
    gone: BTreeMap<EntityId, Revision>,
}

/// Rows with the revision at which each came to be as it is.
type Table<I, T> = BTreeMap<I, (Revision, T)>;

impl Tables {
    fn next(&mut self) -> Revision {
        self.revision.0 += 1;
        self.revision
    }

    /// Makes room for a new row, or says that its place is taken.
    fn vacant(&mut self, id: EntityId, is_taken: bool) -> Result<Revision, StoreError> {
        if is_taken {
            return Err(StoreError::Exists(id));
        }
        self.gone.remove(&id);
        Ok(self.next())
    }

    fn bury(&mut self, id: EntityId) {
        let revision = self.next();
        self.gone.insert(id, revision);
    }

    fn bury_app(&mut self, id: &AppId) {
        let subscriptions = ids(&self.subscriptions, |subscription| subscription.id.app == *id);
        for subscription in subscriptions {
            self.subscriptions.remove(&subscription);
            self.bury(EntityId::Subscription(subscription));
        }
        for key in ids(&self.keys, |key| key.app == *id) {
            self.keys.remove(&key);
            self.bury(EntityId::Key(key));
        }
        self.apps.remove(id);
        self.bury(id.into());
    }

    fn change_key(&mut self, id: &KeyId, change: impl FnOnce(&mut Key)) -> Result<Key, StoreError> {
        let next = Revision(self.revision.0 + 1);
        let (revision, key) = self.keys.get_mut(id).ok_or_else(|| StoreError::not_found(id))?;
        change(key);
        *revision = next;
        self.revision = next;
        Ok(key.clone())
    }
}

fn ids<I: Clone, T>(table: &Table<I, T>, wanted: impl Fn(&T) -> bool) -> Vec<I> {
    table.iter().filter(|(_, (_, row))| wanted(row)).map(|(id, _)| id.clone()).collect()
}

fn found<I: Ord, T: Clone>(table: &Table<I, T>, id: &I) -> Result<T, StoreError>
where
    for<'a> EntityId: From<&'a I>,
{
    table.get(id).map(|(_, row)| row.clone()).ok_or_else(|| StoreError::not_found(id))
}

fn page<I: Ord, T: Clone>(table: &Table<I, T>, after: Option<&I>, limit: usize, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let after = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = table.range((after, Bound::Unbounded)).map(|(_, (_, row))| row);
    rows.filter(|row| wanted(row)).take(limit).cloned().collect()
}

#[async_trait]
impl Registry for InMemory {
    async fn create_company(&self, company: &Company) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        let is_taken = tables.companies.contains_key(&company.name);
        let revision = tables.vacant((&company.name).into(), is_taken)?;
        tables.companies.insert(company.name.clone(), (revision, company.clone()));
        Ok(())
    }

    async fn company(&self, name: &CompanyName) -> Result<Company, StoreError> {
        found(&self.tables.lock().companies, name)
    }

    async fn companies(&self, after: Option<&CompanyName>, limit: usize) -> Result<Vec<Company>, StoreError> {
        Ok(page(&self.tables.lock().companies, after, limit, |_| true))
    }

    async fn delete_company(&self, name: &CompanyName) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        found(&tables.companies, name)?;
        for app in ids(&tables.apps, |app| app.id.company == *name) {
            tables.bury_app(&app);
        }
        tables.companies.remove(name);
        tables.bury(name.into());
        Ok(())
    }

    async fn create_app(&self, app: &App) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        found(&tables.companies, &app.id.company)?;
        let is_taken = tables.apps.contains_key(&app.id);
        let revision = tables.vacant((&app.id).into(), is_taken)?;
        tables.apps.insert(app.id.clone(), (revision, app.clone()));
        Ok(())
    }

    async fn app(&self, id: &AppId) -> Result<App, StoreError> {
        found(&self.tables.lock().apps, id)
    }

    async fn apps(&self, company: &CompanyName, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError> {
        let tables = self.tables.lock();
        found(&tables.companies, company)?;
        Ok(page(&tables.apps, after, limit, |app| app.id.company == *company))
    }

    async fn delete_app(&self, id: &AppId) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        found(&tables.apps, id)?;
        tables.bury_app(id);
        Ok(())
    }

    async fn create_product(&self, product: &Product) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        let is_taken = tables.products.contains_key(&product.name);
        let revision = tables.vacant((&product.name).into(), is_taken)?;
        tables.products.insert(product.name.clone(), (revision, product.clone()));
        Ok(())
    }

    async fn product(&self, name: &ProductName) -> Result<Product, StoreError> {
        found(&self.tables.lock().products, name)
    }

    async fn products(&self, after: Option<&ProductName>, limit: usize) -> Result<Vec<Product>, StoreError> {
        Ok(page(&self.tables.lock().products, after, limit, |_| true))
    }

    async fn replace_product(&self, product: &Product) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        let created = found(&tables.products, &product.name)?.created;
        let revision = tables.next();
        tables.products.insert(product.name.clone(), (revision, Product { created, ..product.clone() }));
        Ok(())
    }

    async fn delete_product(&self, name: &ProductName) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        found(&tables.products, name)?;
        if tables.subscriptions.keys().any(|id| id.product == *name) {
            return Err(StoreError::InUse(name.into()));
        }
        tables.products.remove(name);
        tables.bury(name.into());
        Ok(())
    }

    async fn create_subscription(&self, subscription: &Subscription) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        found(&tables.apps, &subscription.id.app)?;
        let is_taken = tables.subscriptions.contains_key(&subscription.id);
        let revision = tables.vacant((&subscription.id).into(), is_taken)?;
        tables.subscriptions.insert(subscription.id.clone(), (revision, subscription.clone()));
        Ok(())
    }

    async fn subscription(&self, id: &SubscriptionId) -> Result<Subscription, StoreError> {
        found(&self.tables.lock().subscriptions, id)
    }

    async fn subscriptions(&self, app: &AppId) -> Result<Vec<Subscription>, StoreError> {
        let tables = self.tables.lock();
        found(&tables.apps, app)?;
        Ok(page(&tables.subscriptions, None, usize::MAX, |subscription| subscription.id.app == *app))
    }

    async fn subscriptions_in(
        &self,
        state: SubscriptionState,
        after: Option<&SubscriptionId>,
        limit: usize,
    ) -> Result<Vec<Subscription>, StoreError> {
        Ok(page(&self.tables.lock().subscriptions, after, limit, |subscription| subscription.state == state))
    }

    async fn set_subscription_state(
        &self,
        id: &SubscriptionId,
        state: SubscriptionState,
        at: UnixMicros,
    ) -> Result<Subscription, StoreError> {
        let mut tables = self.tables.lock();
        let changed = Subscription { state, changed: at, ..found(&tables.subscriptions, id)? };
        let revision = tables.next();
        tables.subscriptions.insert(id.clone(), (revision, changed.clone()));
        Ok(changed)
    }

    async fn delete_subscription(&self, id: &SubscriptionId) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        tables.subscriptions.remove(id).ok_or_else(|| StoreError::not_found(id))?;
        tables.bury(id.into());
        Ok(())
    }

    async fn create_key(&self, key: &Key) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        found(&tables.apps, &key.app)?;
        let is_taken = tables.keys.contains_key(&key.id);
        let revision = tables.vacant((&key.id).into(), is_taken)?;
        tables.keys.insert(key.id, (revision, key.clone()));
        Ok(())
    }

    async fn key(&self, id: &KeyId) -> Result<Key, StoreError> {
        found(&self.tables.lock().keys, id)
    }

    async fn keys(&self, app: &AppId) -> Result<Vec<Key>, StoreError> {
        let tables = self.tables.lock();
        found(&tables.apps, app)?;
        Ok(page(&tables.keys, None, usize::MAX, |key| key.app == *app))
    }

    async fn revoke_key(&self, id: &KeyId, at: UnixMicros) -> Result<Key, StoreError> {
        self.tables.lock().change_key(id, |key| key.revoked = key.revoked.or(Some(at)))
    }

    async fn set_key_expiry(&self, id: &KeyId, expires: Option<UnixMicros>) -> Result<Key, StoreError> {
        self.tables.lock().change_key(id, |key| key.expires = expires)
    }

    async fn touch_keys(&self, used: &[(KeyId, UnixMicros)]) -> Result<(), StoreError> {
        let mut tables = self.tables.lock();
        for (id, at) in used {
            if let Some((_, key)) = tables.keys.get_mut(id) {
                key.last_used = key.last_used.max(Some(*at));
            }
        }
        Ok(())
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.tables.lock().revision)
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        let tables = self.tables.lock();
        if tables.revision <= since {
            return Ok(Vec::new());
        }
        let mut changes = Vec::new();
        collect(&mut changes, since, &tables.companies, Changed::Company);
        collect(&mut changes, since, &tables.apps, Changed::App);
        collect(&mut changes, since, &tables.products, Changed::Product);
        collect(&mut changes, since, &tables.subscriptions, Changed::Subscription);
        collect(&mut changes, since, &tables.keys, Changed::Key);
        let gone = tables.gone.iter().filter(|(_, revision)| since < **revision);
        changes.extend(gone.map(|(id, &revision)| Change { revision, now: Changed::Gone(id.clone()) }));
        changes.sort_by_key(|change| change.revision);
        changes.truncate(limit);
        Ok(changes)
    }
}

fn collect<I, T: Clone>(changes: &mut Vec<Change>, since: Revision, table: &Table<I, T>, now: impl Fn(T) -> Changed) {
    let rows = table.values().filter(|(revision, _)| since < *revision);
    changes.extend(rows.map(|(revision, row)| Change { revision: *revision, now: now(row.clone()) }));
}

#[cfg(test)]
mod tests {
    crate::registry_suite!(in_memory, Box::new(crate::InMemory::default()));
}
