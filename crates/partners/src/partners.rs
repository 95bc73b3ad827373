//! The use cases: what an operator does with companies, apps, products, subscriptions and keys.

use std::sync::Arc;

use store::{
    App, AppId, Company, CompanyName, Entity, EntityId, Kind, Listing, ManagedBy, Noted, Product, ProductName,
    Registry, Revision, Subscription, SubscriptionId, SubscriptionState, UnixMicros,
};

use crate::input::{Checking, NewApp, NewCompany, NewProduct};
use crate::records::{Act, At, Records};
use crate::{Error, Index};

/// Tells the time, so that a test can say what time it is.
pub type Clock = Arc<dyn Fn() -> UnixMicros + Send + Sync>;

/// Changes partners, and sees to it that this process knows at once.
#[derive(Clone)]
pub struct Partners {
    pub(crate) records: Records,
    pub(crate) index: Arc<Index>,
    clock: Clock,
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

    /// Entries of the audit log after the one of this number, oldest first.
    pub async fn noted(&self, after: u64, limit: usize) -> Result<Vec<Noted>, Error> {
        Ok(self.records.registry().noted(after, limit).await?)
    }

    /// Notes in the audit log what became of something that is kept elsewhere.
    pub async fn note(&self, change: &str, (kind, id): (&str, &str), now: serde_json::Value) -> Result<(), Error> {
        self.records.note(change, (kind, id), now).await?;
        Ok(())
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

    pub(crate) async fn list<T: Entity>(&self, listing: Listing<'_>) -> Result<Vec<T>, Error> {
        Ok(self.records.list(listing).await?.into_iter().map(|at| at.entity).collect())
    }

    pub(crate) async fn of_app<T: Entity>(&self, app: &AppId, kind: Kind) -> Result<Vec<T>, Error> {
        self.records.expect(app).await?;
        self.list(Listing { parent: Some(&app.into()), ..Listing::of(kind) }).await
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
