//! The promise of a store of entities.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    App, AppId, Company, CompanyName, EntityId, Key, KeyId, Product, ProductName, StoreError, Subscription,
    SubscriptionId, SubscriptionState, UnixMicros,
};

/// How far a store has come: it grows with every change of an entity, and never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

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
    /// A company as it is now.
    Company(Company),
    /// An app as it is now.
    App(App),
    /// A product as it is now.
    Product(Product),
    /// A subscription as it is now.
    Subscription(Subscription),
    /// A key as it is now.
    Key(Key),
    /// There is no such entity any more.
    Gone(EntityId),
}

/// Keeps companies, apps, products, subscriptions and keys.
///
/// A change that was answered is durable and visible to every reader. Lists are sorted by id; those
/// that may grow are read a page at a time, from after the last one seen.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Adds a company.
    async fn create_company(&self, company: &Company) -> Result<(), StoreError>;
    /// Finds a company.
    async fn company(&self, name: &CompanyName) -> Result<Company, StoreError>;
    /// Lists companies.
    async fn companies(&self, after: Option<&CompanyName>, limit: usize) -> Result<Vec<Company>, StoreError>;
    /// Deletes a company with its apps, their subscriptions and keys.
    async fn delete_company(&self, name: &CompanyName) -> Result<(), StoreError>;

    /// Adds an app to a company.
    async fn create_app(&self, app: &App) -> Result<(), StoreError>;
    /// Finds an app.
    async fn app(&self, id: &AppId) -> Result<App, StoreError>;
    /// Lists a company's apps, after the one named `after.app`.
    async fn apps(&self, company: &CompanyName, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, StoreError>;
    /// Deletes an app with its subscriptions and keys.
    async fn delete_app(&self, id: &AppId) -> Result<(), StoreError>;

    /// Adds a product.
    async fn create_product(&self, product: &Product) -> Result<(), StoreError>;
    /// Finds a product.
    async fn product(&self, name: &ProductName) -> Result<Product, StoreError>;
    /// Lists products.
    async fn products(&self, after: Option<&ProductName>, limit: usize) -> Result<Vec<Product>, StoreError>;
    /// Changes a product's operations, quota and manager.
    async fn replace_product(&self, product: &Product) -> Result<(), StoreError>;
    /// Deletes a product that no app is subscribed to.
    async fn delete_product(&self, name: &ProductName) -> Result<(), StoreError>;

    /// Adds a subscription to an app. Whether there is such a product is not checked here: the
    /// configuration file may have it.
    async fn create_subscription(&self, subscription: &Subscription) -> Result<(), StoreError>;
    /// Finds a subscription.
    async fn subscription(&self, id: &SubscriptionId) -> Result<Subscription, StoreError>;
    /// Lists an app's subscriptions.
    async fn subscriptions(&self, app: &AppId) -> Result<Vec<Subscription>, StoreError>;
    /// Lists every app's subscriptions in this state.
    async fn subscriptions_in(
        &self,
        state: SubscriptionState,
        after: Option<&SubscriptionId>,
        limit: usize,
    ) -> Result<Vec<Subscription>, StoreError>;
    /// Decides about a subscription; returns it as it is then.
    async fn set_subscription_state(
        &self,
        id: &SubscriptionId,
        state: SubscriptionState,
        at: UnixMicros,
    ) -> Result<Subscription, StoreError>;
    /// Deletes a subscription.
    async fn delete_subscription(&self, id: &SubscriptionId) -> Result<(), StoreError>;

    /// Adds a key to an app.
    async fn create_key(&self, key: &Key) -> Result<(), StoreError>;
    /// Finds a key.
    async fn key(&self, id: &KeyId) -> Result<Key, StoreError>;
    /// Lists an app's keys, dead ones too.
    async fn keys(&self, app: &AppId) -> Result<Vec<Key>, StoreError>;
    /// Revokes a key; one that is revoked already keeps its time.
    async fn revoke_key(&self, id: &KeyId, at: UnixMicros) -> Result<Key, StoreError>;
    /// Says when a key stops working by itself.
    async fn set_key_expiry(&self, id: &KeyId, expires: Option<UnixMicros>) -> Result<Key, StoreError>;
    /// Notes when keys were last used. Keys that are not there are passed over, time never goes back,
    /// and the revision stays: no index needs to know.
    async fn touch_keys(&self, used: &[(KeyId, UnixMicros)]) -> Result<(), StoreError>;

    /// The revision of the latest change.
    async fn revision(&self) -> Result<Revision, StoreError>;
    /// What has changed since a revision, oldest first, at most `limit` changes.
    ///
    /// An entity that changed several times comes once, as it is now. From revision 0 on this is
    /// everything there is. An answer shorter than `limit` is the end.
    async fn changes_since(&self, since: Revision, limit: usize) -> Result<Vec<Change>, StoreError>;
}
