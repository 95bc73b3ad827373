//! Entities in tables.

use async_trait::async_trait;
use rusqlite::{Transaction, params};
use store::{
    App, AppId, Change, Company, CompanyName, EntityId, Key, KeyId, Product, ProductName, Registry, Revision,
    StoreError, Subscription, SubscriptionId, SubscriptionState, UnixMicros,
};

use crate::rows::{bury, changed, many, next_revision, one, signed, unbury};
use crate::trouble::Trouble;
use crate::{SqliteStore, changes};

#[async_trait]
impl Registry for SqliteStore {
    async fn create_company(&self, company: &Company) -> Result<(), StoreError> {
        let company = company.clone();
        self.write(move |transaction| {
            const SQL: &str = "INSERT OR IGNORE INTO companies VALUES (?, ?, ?, ?)";
            let (name, created) = (company.name.as_str(), signed(company.created.0));
            insert(transaction, &(&company.name).into(), |revision| {
                changed(transaction, SQL, params![name, company.title, created, revision])
            })
        })
        .await
    }

    async fn company(&self, name: &CompanyName) -> Result<Company, StoreError> {
        let name = name.clone();
        self.read(move |transaction| company(transaction, &name)).await
    }

    async fn companies(&self, after: Option<&CompanyName>, limit: usize) -> Result<Vec<Company>, StoreError> {
        const TAIL: &str = "WHERE ? < name ORDER BY name LIMIT ?";
        let after = after.map(ToString::to_string).unwrap_or_default();
        self.read(move |transaction| many(transaction, TAIL, params![after, rows(limit)])).await
    }

    async fn delete_company(&self, name: &CompanyName) -> Result<(), StoreError> {
        let name = name.clone();
        self.write(move |transaction| {
            company(transaction, &name)?;
            let apps: Vec<App> = many(transaction, "WHERE company = ?", [name.as_str()])?;
            for app in apps {
                delete_app(transaction, &app.id)?;
            }
            changed(transaction, "DELETE FROM companies WHERE name = ?", [name.as_str()])?;
            bury(transaction, &(&name).into())
        })
        .await
    }

    async fn create_app(&self, app: &App) -> Result<(), StoreError> {
        let app = app.clone();
        self.write(move |transaction| {
            const SQL: &str = "INSERT OR IGNORE INTO apps VALUES (?, ?, ?, ?, ?)";
            company(transaction, &app.id.company)?;
            let (of, name) = (app.id.company.as_str(), app.id.app.as_str());
            insert(transaction, &(&app.id).into(), |revision| {
                changed(transaction, SQL, params![of, name, app.title, signed(app.created.0), revision])
            })
        })
        .await
    }

    async fn app(&self, id: &AppId) -> Result<App, StoreError> {
        let id = id.clone();
        self.read(move |transaction| app(transaction, &id)).await
    }

    async fn apps(&self, of: &CompanyName, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError> {
        const TAIL: &str = "WHERE company = ? AND ? < name ORDER BY name LIMIT ?";
        let (of, after) = (of.clone(), after.map(|after| after.app.to_string()).unwrap_or_default());
        self.read(move |transaction| {
            company(transaction, &of)?;
            many(transaction, TAIL, params![of.as_str(), after, rows(limit)])
        })
        .await
    }

    async fn delete_app(&self, id: &AppId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(move |transaction| {
            app(transaction, &id)?;
            delete_app(transaction, &id)
        })
        .await
    }

    async fn create_product(&self, product: &Product) -> Result<(), StoreError> {
        let product = product.clone();
        self.write(move |transaction| {
            insert(transaction, &(&product.name).into(), |revision| {
                const SQL: &str = "INSERT OR IGNORE INTO products VALUES (?, ?, ?, ?, ?, ?, ?)";
                write_product(transaction, SQL, &product, revision)
            })
        })
        .await
    }

    async fn product(&self, name: &ProductName) -> Result<Product, StoreError> {
        let name = name.clone();
        self.read(move |transaction| product(transaction, &name)).await
    }

    async fn products(&self, after: Option<&ProductName>, limit: usize) -> Result<Vec<Product>, StoreError> {
        const TAIL: &str = "WHERE ? < name ORDER BY name LIMIT ?";
        let after = after.map(ToString::to_string).unwrap_or_default();
        self.read(move |transaction| many(transaction, TAIL, params![after, rows(limit)])).await
    }

    async fn replace_product(&self, product: &Product) -> Result<(), StoreError> {
        let new = product.clone();
        self.write(move |transaction| {
            const SQL: &str = "UPDATE products SET operations = ?2, quota_requests = ?3, quota_per = ?4, \
                               managed_by = ?5, revision = ?7 WHERE name = ?1 AND ?6 IS NOT NULL";
            let revision = next_revision(transaction)?;
            existing(write_product(transaction, SQL, &new, revision)?, &new.name)
        })
        .await
    }

    async fn delete_product(&self, name: &ProductName) -> Result<(), StoreError> {
        let name = name.clone();
        self.write(move |transaction| {
            product(transaction, &name)?;
            let users: Vec<Subscription> = many(transaction, "WHERE product = ? LIMIT 1", [name.as_str()])?;
            if !users.is_empty() {
                return Err(StoreError::InUse((&name).into()).into());
            }
            changed(transaction, "DELETE FROM products WHERE name = ?", [name.as_str()])?;
            bury(transaction, &(&name).into())
        })
        .await
    }

    async fn create_subscription(&self, subscription: &Subscription) -> Result<(), StoreError> {
        let new = subscription.clone();
        self.write(move |transaction| {
            const SQL: &str = "INSERT OR IGNORE INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?)";
            app(transaction, &new.id.app)?;
            let [company, app, product] = parts(&new.id);
            let (state, created, at) = (new.state.as_str(), signed(new.created.0), signed(new.changed.0));
            insert(transaction, &(&new.id).into(), |revision| {
                changed(transaction, SQL, params![company, app, product, state, created, at, revision])
            })
        })
        .await
    }

    async fn subscription(&self, id: &SubscriptionId) -> Result<Subscription, StoreError> {
        let id = id.clone();
        self.read(move |transaction| subscription(transaction, &id)).await
    }

    async fn subscriptions(&self, id: &AppId) -> Result<Vec<Subscription>, StoreError> {
        const TAIL: &str = "WHERE company = ? AND app = ? ORDER BY product";
        let id = id.clone();
        self.read(move |transaction| {
            app(transaction, &id)?;
            many(transaction, TAIL, [id.company.as_str(), id.app.as_str()])
        })
        .await
    }

    async fn subscriptions_in(
        &self,
        state: SubscriptionState,
        after: Option<&SubscriptionId>,
        limit: usize,
    ) -> Result<Vec<Subscription>, StoreError> {
        const TAIL: &str = "WHERE state = ? AND (?, ?, ?) < (company, app, product) \
                            ORDER BY company, app, product LIMIT ?";
        let after = after.cloned();
        self.read(move |transaction| {
            let [company, app, product] = after.as_ref().map_or([""; 3], parts);
            many(transaction, TAIL, params![state.as_str(), company, app, product, rows(limit)])
        })
        .await
    }

    async fn set_subscription_state(
        &self,
        id: &SubscriptionId,
        state: SubscriptionState,
        at: UnixMicros,
    ) -> Result<Subscription, StoreError> {
        let id = id.clone();
        self.write(move |transaction| {
            const SQL: &str = "UPDATE subscriptions SET state = ?, changed = ?, revision = ? \
                               WHERE company = ? AND app = ? AND product = ?";
            let revision = next_revision(transaction)?;
            let [company, app, product] = parts(&id);
            changed(transaction, SQL, params![state.as_str(), signed(at.0), revision, company, app, product])?;
            subscription(transaction, &id)
        })
        .await
    }

    async fn delete_subscription(&self, id: &SubscriptionId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(move |transaction| {
            const SQL: &str = "DELETE FROM subscriptions WHERE company = ? AND app = ? AND product = ?";
            existing(changed(transaction, SQL, parts(&id))?, &id)?;
            bury(transaction, &(&id).into())
        })
        .await
    }

    async fn create_key(&self, key: &Key) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(move |transaction| {
            app(transaction, &key.app)?;
            insert(transaction, &(&key.id).into(), |revision| insert_key(transaction, &key, revision))
        })
        .await
    }

    async fn key(&self, id: &KeyId) -> Result<Key, StoreError> {
        let id = *id;
        self.read(move |transaction| key(transaction, id)).await
    }

    async fn keys(&self, id: &AppId) -> Result<Vec<Key>, StoreError> {
        const TAIL: &str = "WHERE company = ? AND app = ? ORDER BY id";
        let id = id.clone();
        self.read(move |transaction| {
            app(transaction, &id)?;
            many(transaction, TAIL, [id.company.as_str(), id.app.as_str()])
        })
        .await
    }

    async fn revoke_key(&self, id: &KeyId, at: UnixMicros) -> Result<Key, StoreError> {
        const SQL: &str = "UPDATE keys SET revoked = coalesce(revoked, ?), revision = ? WHERE id = ?";
        change_key(self, *id, SQL, Some(signed(at.0))).await
    }

    async fn set_key_expiry(&self, id: &KeyId, expires: Option<UnixMicros>) -> Result<Key, StoreError> {
        const SQL: &str = "UPDATE keys SET expires = ?, revision = ? WHERE id = ?";
        change_key(self, *id, SQL, expires.map(|expires| signed(expires.0))).await
    }

    async fn touch_keys(&self, used: &[(KeyId, UnixMicros)]) -> Result<(), StoreError> {
        let used = used.to_vec();
        self.write(move |transaction| {
            const SQL: &str = "UPDATE keys SET last_used = max(coalesce(last_used, 0), ?) WHERE id = ?";
            for (id, at) in &used {
                changed(transaction, SQL, params![signed(at.0), id.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.read(changes::revision).await
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.read(move |transaction| changes::since(transaction, since, limit)).await
    }
}

/// Inserts a row with the next revision, or says that its place is taken.
fn insert(
    transaction: &Transaction<'_>,
    id: &EntityId,
    write: impl FnOnce(i64) -> Result<bool, Trouble>,
) -> Result<(), Trouble> {
    let revision = next_revision(transaction)?;
    if !write(revision)? {
        return Err(StoreError::Exists(id.clone()).into());
    }
    unbury(transaction, id)
}

fn existing(there_was_one: bool, id: impl Into<EntityId>) -> Result<(), Trouble> {
    if there_was_one { Ok(()) } else { Err(StoreError::not_found(id).into()) }
}

fn company(transaction: &Transaction<'_>, name: &CompanyName) -> Result<Company, Trouble> {
    one(transaction, "WHERE name = ?", [name.as_str()], name)
}

fn app(transaction: &Transaction<'_>, id: &AppId) -> Result<App, Trouble> {
    one(transaction, "WHERE company = ? AND name = ?", [id.company.as_str(), id.app.as_str()], id)
}

fn product(transaction: &Transaction<'_>, name: &ProductName) -> Result<Product, Trouble> {
    one(transaction, "WHERE name = ?", [name.as_str()], name)
}

fn subscription(transaction: &Transaction<'_>, id: &SubscriptionId) -> Result<Subscription, Trouble> {
    one(transaction, "WHERE company = ? AND app = ? AND product = ?", parts(id), id)
}

fn key(transaction: &Transaction<'_>, id: KeyId) -> Result<Key, Trouble> {
    one(transaction, "WHERE id = ?", [id.as_str()], &id)
}

/// Deletes an app and what belongs to it; each of them is gone for followers.
fn delete_app(transaction: &Transaction<'_>, id: &AppId) -> Result<(), Trouble> {
    let app = [id.company.as_str(), id.app.as_str()];
    let subscriptions: Vec<Subscription> = many(transaction, "WHERE company = ? AND app = ?", app)?;
    let keys: Vec<Key> = many(transaction, "WHERE company = ? AND app = ?", app)?;
    changed(transaction, "DELETE FROM subscriptions WHERE company = ? AND app = ?", app)?;
    changed(transaction, "DELETE FROM keys WHERE company = ? AND app = ?", app)?;
    changed(transaction, "DELETE FROM apps WHERE company = ? AND name = ?", app)?;
    let subscriptions = subscriptions.iter().map(|subscription| EntityId::from(&subscription.id));
    let keys = keys.iter().map(|key| EntityId::from(&key.id));
    for gone in subscriptions.chain(keys).chain([id.into()]) {
        bury(transaction, &gone)?;
    }
    Ok(())
}

fn write_product(transaction: &Transaction<'_>, sql: &str, product: &Product, revision: i64) -> Result<bool, Trouble> {
    let Product { name, operations, quota, managed_by, created } = product;
    let operations = serde_json::to_string(operations)?;
    let requests = quota.map(|quota| signed(quota.requests));
    let per = quota.map(|quota| serde_json::to_string(&quota.per)).transpose()?;
    let (managed_by, created) = (managed_by.as_str(), signed(created.0));
    changed(transaction, sql, params![name.as_str(), operations, requests, per, managed_by, created, revision])
}

fn insert_key(transaction: &Transaction<'_>, key: &Key, revision: i64) -> Result<bool, Trouble> {
    let sql = "INSERT OR IGNORE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let moment = |at: Option<UnixMicros>| at.map(|at| signed(at.0));
    let values = params![
        key.id.as_str(),
        key.app.company.as_str(),
        key.app.app.as_str(),
        key.environment.as_str(),
        key.hash.algorithm,
        key.hash.digest,
        serde_json::to_string(&key.scopes)?,
        key.prefix,
        key.last_four,
        signed(key.created.0),
        moment(key.expires),
        moment(key.revoked),
        moment(key.last_used),
        revision,
    ];
    changed(transaction, sql, values)
}

async fn change_key(store: &SqliteStore, id: KeyId, sql: &'static str, value: Option<i64>) -> Result<Key, StoreError> {
    store
        .write(move |transaction| {
            let revision = next_revision(transaction)?;
            changed(transaction, sql, params![value, revision, id.as_str()])?;
            key(transaction, id)
        })
        .await
}

fn parts(id: &SubscriptionId) -> [&str; 3] {
    [id.app.company.as_str(), id.app.app.as_str(), id.product.as_str()]
}

/// A limit as `SQLite` has it.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
