//! The use cases: what an operator does with companies, apps, products, subscriptions and keys.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use store::{
    App, AppId, Company, CompanyName, Entity, EntityId, Environment, Key, KeyId, Kind, Listing, ManagedBy, Noted,
    Product, ProductName, Registry, Revision, Row, Subscription, SubscriptionId, SubscriptionState, UnixMicros, Write,
};

use crate::input::{Checking, NewApp, NewCompany, NewKey, NewProduct};
use crate::key::NoRandomness;
use crate::records::{Act, At, Records};
use crate::{Error, Index, KeyState, Secret, Unknown, key};

/// Keys of an app that work at the same time.
const MOST_KEYS: usize = 100;

/// Tells the time, so that a test can say what time it is.
pub type Clock = Arc<dyn Fn() -> UnixMicros + Send + Sync>;

/// Changes partners, and sees to it that this process knows at once.
#[derive(Clone)]
pub struct Partners {
    pub(crate) records: Records,
    index: Arc<Index>,
    clock: Clock,
}

/// A key that was just made, with its secret: the only time that anybody sees it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The key as it is kept.
    pub key: At<Key>,
    /// The whole key, to be shown once.
    pub secret: Secret,
}

/// What a key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whoami {
    /// Which key.
    pub key: KeyId,
    /// The app that it identifies.
    pub app: AppId,
    /// What it is for.
    pub environment: Environment,
    /// Whether it works.
    pub state: KeyState,
    /// When it stops working by itself.
    pub expires: Option<UnixMicros>,
    /// What it may do.
    pub scopes: Vec<Arc<str>>,
    /// The products it opens.
    pub products: Vec<ProductName>,
    /// The products that wait for approval.
    pub pending: Vec<ProductName>,
}

impl Partners {
    /// The use cases over a registry, telling an index.
    pub fn new(registry: Arc<dyn Registry>, index: Arc<Index>, clock: Clock) -> Self {
        Self { records: Records::new(registry, clock.clone()), index, clock }
    }

    /// The same use cases in somebody's name.
    #[must_use]
    pub fn acting(&self, act: Act) -> Self {
        Self { records: self.records.acting(act), ..self.clone() }
    }

    /// Whether what is done here lasts, and is not a rehearsal.
    pub fn is_real(&self) -> bool {
        self.records.is_real()
    }

    /// Writes into the audit log what was done that is no change of an entity.
    pub async fn note(&self, changes: serde_json::Value) -> Result<(), Error> {
        Ok(self.records.note(changes).await?)
    }

    /// Entries of the audit log after the one of this number, oldest first.
    pub async fn noted(&self, after: u64, limit: usize) -> Result<Vec<Noted>, Error> {
        Ok(self.records.registry().noted(after, limit).await?)
    }

    /// The index that is told.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Makes a company.
    pub async fn create_company(&self, new: NewCompany) -> Result<At<Company>, Error> {
        let mut checking = Checking::default();
        let name = checking.name("name", &new.name);
        let title = checking.title(new.title, &new.name);
        let name = checking.done(name)?;
        let company = Company { name, title, created: self.now() };
        let company = self.records.create(company).await?;
        self.tell().await;
        Ok(company)
    }

    /// Finds a company.
    pub async fn company(&self, name: &CompanyName) -> Result<At<Company>, Error> {
        Ok(self.records.get::<Company>(name).await?)
    }

    /// Lists companies, a page at a time.
    pub async fn companies(&self, after: Option<&CompanyName>, limit: usize) -> Result<Vec<Company>, Error> {
        let after = after.map(CompanyName::as_str);
        self.list(Listing { after, limit, ..Listing::of(Kind::Company) }).await
    }

    /// Deletes a company with all that it has; its keys die at once.
    pub async fn delete_company(&self, name: &CompanyName) -> Result<(), Error> {
        self.records.delete(name).await?;
        self.tell().await;
        Ok(())
    }

    /// Makes an app of a company.
    pub async fn create_app(&self, company: &CompanyName, new: NewApp) -> Result<At<App>, Error> {
        let mut checking = Checking::default();
        let name = checking.name("name", &new.name);
        let title = checking.title(new.title, &new.name);
        let id = AppId { company: company.clone(), app: checking.done(name)? };
        let app = App { id, title, created: self.now() };
        let app = self.records.create(app).await?;
        self.tell().await;
        Ok(app)
    }

    /// Finds an app.
    pub async fn app(&self, id: &AppId) -> Result<At<App>, Error> {
        Ok(self.records.get::<App>(id).await?)
    }

    /// Lists a company's apps, a page at a time.
    pub async fn apps(&self, company: &CompanyName, after: Option<&AppId>, limit: usize) -> Result<Vec<App>, Error> {
        self.records.expect(company).await?;
        let (parent, after) = (EntityId::from(company), after.map(ToString::to_string));
        let listing = Listing { parent: Some(&parent), after: after.as_deref(), limit, ..Listing::of(Kind::App) };
        self.list(listing).await
    }

    /// Deletes an app with its subscriptions and keys, which die at once.
    pub async fn delete_app(&self, id: &AppId) -> Result<(), Error> {
        self.records.delete(id).await?;
        self.tell().await;
        Ok(())
    }

    /// Makes a product.
    pub async fn create_product(&self, new: NewProduct) -> Result<At<Product>, Error> {
        let product = self.checked_product(new)?;
        let product = self.records.create(product).await?;
        self.tell().await;
        Ok(product)
    }

    /// Finds a product, the configuration file's or the store's.
    ///
    /// One of the file has no revision: it is changed there.
    pub async fn product(&self, name: &ProductName) -> Result<At<Product>, Error> {
        match self.of_file(name) {
            Some(entity) => Ok(At { entity, revision: Revision(0), used: None }),
            None => Ok(self.records.get::<Product>(name).await?),
        }
    }

    /// Lists products, the configuration file's and the store's, a page at a time.
    pub async fn products(&self, after: Option<&ProductName>, limit: usize) -> Result<Vec<Product>, Error> {
        let listing = Listing { after: after.map(ProductName::as_str), limit, ..Listing::of(Kind::Product) };
        let mut products: Vec<Product> = self.list(listing).await?;
        let of_file = self.index.products().into_iter().filter(|product| product.managed_by == ManagedBy::File);
        for product in of_file.filter(|product| after.is_none_or(|after| *after < product.name)) {
            products.retain(|hidden| hidden.name != product.name);
            products.push(written(&product));
        }
        products.sort_by(|one, other| one.name.cmp(&other.name));
        products.truncate(limit);
        Ok(products)
    }

    /// Changes a product's operations and quota.
    pub async fn replace_product(&self, new: NewProduct) -> Result<At<Product>, Error> {
        let new = self.checked_product(new)?;
        let change = |product: &mut Product| *product = Product { created: product.created, ..new.clone() };
        let product = self.records.change(&new.name, change).await?;
        self.tell().await;
        Ok(product)
    }

    /// Deletes a product that no app is subscribed to.
    pub async fn delete_product(&self, name: &ProductName) -> Result<(), Error> {
        self.refuse_of_file(name)?;
        self.records.delete(name).await?;
        self.tell().await;
        Ok(())
    }

    /// Subscribes an app to a product; `state` is [`SubscriptionState::Pending`] where somebody has yet to approve.
    pub async fn subscribe(
        &self,
        app: &AppId,
        product: &ProductName,
        state: SubscriptionState,
    ) -> Result<At<Subscription>, Error> {
        self.product(product).await?;
        let now = self.now();
        let id = SubscriptionId { app: app.clone(), product: product.clone() };
        let subscription = Subscription { id, state, created: now, changed: now };
        let subscription = self.records.create(subscription).await?;
        self.tell().await;
        Ok(subscription)
    }

    /// Finds a subscription.
    pub async fn subscription(&self, id: &SubscriptionId) -> Result<At<Subscription>, Error> {
        Ok(self.records.get::<Subscription>(id).await?)
    }

    /// Lists an app's subscriptions.
    pub async fn subscriptions(&self, app: &AppId) -> Result<Vec<Subscription>, Error> {
        self.of_app(app, Kind::Subscription).await
    }

    /// Lists the subscriptions that wait for somebody's decision, a page at a time.
    pub async fn pending(&self, after: Option<&SubscriptionId>, limit: usize) -> Result<Vec<Subscription>, Error> {
        let after = after.map(ToString::to_string);
        let label = Some(SubscriptionState::Pending.as_str());
        self.list(Listing { label, after: after.as_deref(), limit, ..Listing::of(Kind::Subscription) }).await
    }

    /// Approves a subscription.
    pub async fn approve(&self, id: &SubscriptionId) -> Result<At<Subscription>, Error> {
        self.decide(id, SubscriptionState::Approved).await
    }

    /// Decides about a subscription.
    pub async fn decide(&self, id: &SubscriptionId, state: SubscriptionState) -> Result<At<Subscription>, Error> {
        let changed = self.now();
        let decide = |wish: &mut Subscription| (wish.state, wish.changed) = (state, changed);
        let subscription = self.records.change(id, decide).await?;
        self.tell().await;
        Ok(subscription)
    }

    /// Ends a subscription.
    pub async fn unsubscribe(&self, id: &SubscriptionId) -> Result<(), Error> {
        self.records.delete(id).await?;
        self.tell().await;
        Ok(())
    }

    /// Makes a key for an app. Its secret is in the answer and nowhere else, ever.
    pub async fn create_key(&self, app: &AppId, new: NewKey) -> Result<Issued, Error> {
        let mut checking = Checking::default();
        checking.scopes(&new.scopes);
        checking.expires(new.expires, self.now());
        checking.done(Some(()))?;
        self.refuse_many_keys(app).await?;
        self.issue(app, new).await
    }

    /// Lists an app's keys, dead ones too.
    pub async fn keys(&self, app: &AppId) -> Result<Vec<Key>, Error> {
        self.keys_of(app).await
    }

    /// Finds a key.
    pub async fn key(&self, id: &KeyId) -> Result<At<Key>, Error> {
        Ok(seen(self.records.get(id).await?))
    }

    /// Revokes a key: it opens nothing from now on.
    pub async fn revoke_key(&self, id: &KeyId) -> Result<At<Key>, Error> {
        let now = self.now();
        let key = self.records.change(id, |key: &mut Key| key.revoked = key.revoked.or(Some(now))).await?;
        self.tell().await;
        Ok(seen(key))
    }

    /// Makes a key like another one, which works on for `overlap` so that its users can change over.
    pub async fn rotate_key(&self, id: &KeyId, overlap: Duration) -> Result<Issued, Error> {
        let At { entity: old, revision, .. } = self.records.get::<Key>(id).await?;
        let revision = self.records.expected().unwrap_or(revision);
        let now = self.now();
        if old.revoked.is_some() || old.expires.is_some_and(|expires| expires <= now) {
            return Err(Error::KeyIsDead(old.id));
        }
        self.refuse_many_keys(&old.app).await?;
        let new = NewKey { environment: Some(old.environment), scopes: old.scopes.clone(), expires: None };
        let (key, secret) = self.mint(&old.app, new)?;
        let over = u64::try_from(overlap.as_micros()).map_or(now, |micros| UnixMicros(now.0.saturating_add(micros)));
        // An overlap never lengthens the life of a key.
        let expires = old.expires.map_or(over, |expires| expires.min(over));
        let old = Key { expires: Some(expires), ..old };
        // Both or neither: there is never a new key without an end of the old one.
        let writes = vec![Write::Replace(Row::of(&old), Some(revision)), Write::Create(Row::of(&key))];
        let revision = self.records.commit(writes).await?;
        self.tell().await;
        Ok(Issued { key: At { entity: key, revision, used: None }, secret })
    }

    /// What a key opens, as its holder may know.
    pub fn whoami(&self, presented: &str) -> Result<Whoami, Unknown> {
        let found = self.index.find(presented)?;
        let grants = found.app().grants();
        let name = |product: &Arc<crate::Product>| product.name.clone();
        Ok(Whoami {
            key: found.id(),
            app: found.app().id().clone(),
            environment: found.environment(),
            state: found.state(self.now()),
            expires: found.expires(),
            scopes: found.caller().scopes.clone(),
            products: grants.approved().map(name).collect(),
            pending: grants.pending().map(name).collect(),
        })
    }

    async fn issue(&self, app: &AppId, new: NewKey) -> Result<Issued, Error> {
        let (key, secret) = self.mint(app, new)?;
        let key = self.records.create(key).await?;
        self.tell().await;
        Ok(Issued { key, secret })
    }

    /// A key that is kept nowhere yet.
    fn mint(&self, app: &AppId, new: NewKey) -> Result<(Key, Secret), Error> {
        let environment = new.environment.unwrap_or(Environment::Live);
        let mut fill = |bytes: &mut [u8]| rand::fill(bytes).map_err(|_unspecified| NoRandomness);
        let (id, secret) = key::mint(environment, &mut fill)?;
        let key = Key {
            id,
            app: app.clone(),
            environment,
            hash: self.index.pepper().hash(secret.hashed()),
            scopes: new.scopes,
            prefix: secret.prefix().to_owned(),
            last_four: secret.last_four().to_owned(),
            created: self.now(),
            expires: new.expires,
            revoked: None,
            last_used: None,
        };
        Ok((key, secret))
    }

    fn checked_product(&self, new: NewProduct) -> Result<Product, Error> {
        let mut checking = Checking::default();
        let name = checking.name("name", &new.name);
        checking.operations(&new.operations, self.index.apis().as_deref());
        checking.quota(new.quota);
        let name = checking.done(name)?;
        self.refuse_of_file(&name)?;
        let NewProduct { operations, quota, .. } = new;
        Ok(Product { name, operations, quota, managed_by: ManagedBy::Api, created: self.now() })
    }

    async fn refuse_many_keys(&self, app: &AppId) -> Result<(), Error> {
        let now = self.now();
        let keys = self.keys_of(app).await?;
        let is_alive = |key: &&Key| key.revoked.is_none() && key.expires.is_none_or(|expires| now < expires);
        if MOST_KEYS <= keys.iter().filter(is_alive).count() {
            return Err(Error::TooManyKeys { app: app.clone(), most: MOST_KEYS });
        }
        Ok(())
    }

    async fn list<T: Entity>(&self, listing: Listing<'_>) -> Result<Vec<T>, Error> {
        Ok(self.records.list(listing).await?.into_iter().map(|at| at.entity).collect())
    }

    async fn of_app<T: Entity>(&self, app: &AppId, kind: Kind) -> Result<Vec<T>, Error> {
        self.records.expect(app).await?;
        self.list(Listing { parent: Some(&app.into()), ..Listing::of(kind) }).await
    }

    async fn keys_of(&self, app: &AppId) -> Result<Vec<Key>, Error> {
        self.records.expect(app).await?;
        let keys = self.records.list(Listing { parent: Some(&app.into()), ..Listing::of(Kind::Key) }).await?;
        Ok(keys.into_iter().map(|key| seen(key).entity).collect())
    }

    fn refuse_of_file(&self, name: &ProductName) -> Result<(), Error> {
        match self.of_file(name) {
            Some(_) => Err(Error::ManagedByFile(name.clone())),
            None => Ok(()),
        }
    }

    fn of_file(&self, name: &ProductName) -> Option<Product> {
        let product = self.index.product(name.as_str())?;
        (product.managed_by == ManagedBy::File).then(|| written(&product))
    }

    /// Has the index read what was just written.
    pub(crate) async fn tell(&self) {
        if !self.records.is_real() {
            return;
        }
        if let Err(cause) = self.index.refresh(self.records.registry()).await {
            // The change is made all the same, and whoever follows the store will learn of it.
            tracing::warn!(%cause, "a change is stored, but this process learns of it later");
        }
    }

    pub(crate) fn now(&self) -> UnixMicros {
        (self.clock)()
    }
}

/// A key, and when it was last used.
fn seen(mut key: At<Key>) -> At<Key> {
    key.entity.last_used = key.used;
    key
}

/// A product of the configuration file in the form of the store's.
fn written(product: &crate::Product) -> Product {
    Product {
        name: product.name.clone(),
        operations: product.operations.iter().map(ToString::to_string).collect(),
        quota: product.quota,
        managed_by: product.managed_by,
        created: UnixMicros::default(),
    }
}
