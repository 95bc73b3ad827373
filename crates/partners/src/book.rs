//! The index's own notes, from which it makes what requests see: apps, their subscriptions, products.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use pipeline::Caller;
use problem::Pointer;
use store::{
    AppId, Changed, Entity, EntityId, Key, KeyId, Kind, ManagedBy, ProductName, Revision, Row, Subscription,
    SubscriptionId, SubscriptionState,
};

use crate::facts::NEVER;
use crate::product::compiled;
use crate::{AppFacts, Grants, KeyFacts, Pepper, Product};

/// Who changes what requests see holds this.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) revision: Revision,
    apps: HashMap<AppId, App>,
    /// All keys by their ids, to find those that change.
    keys: HashTable<Arc<KeyFacts>>,
    hasher: DefaultHashBuilder,
    of_file: BTreeMap<ProductName, Arc<Product>>,
    of_store: BTreeMap<ProductName, Arc<Product>>,
    /// Apps and products whose grants must be made anew.
    stale_apps: BTreeSet<AppId>,
    stale_products: BTreeSet<ProductName>,
}

struct App {
    facts: Arc<AppFacts>,
    subscriptions: BTreeMap<ProductName, SubscriptionState>,
}

impl Book {
    /// Notes what the configuration file has now.
    pub(crate) fn set_file_products(&mut self, products: Vec<Product>) {
        let products = products.into_iter().map(|product| (product.name.clone(), Arc::new(product)));
        let before = std::mem::replace(&mut self.of_file, products.collect());
        self.stale_products.extend(before.into_keys());
        self.stale_products.extend(self.of_file.keys().cloned());
    }

    /// Forgets all that came from the store. Requests that hold a key still find that it opens nothing.
    pub(crate) fn forget_store(&mut self) {
        self.keys = HashTable::new();
        for app in std::mem::take(&mut self.apps).into_values() {
            app.facts.grants.store(Arc::default());
        }
        self.stale_products.extend(std::mem::take(&mut self.of_store).into_keys());
        self.revision = Revision(0);
    }

    /// How many keys there are, dead ones too.
    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// Keeps what is known of a key now, or that there is none; returns what was known before, and what is known now.
    pub(crate) fn keep(
        &mut self,
        id: KeyId,
        facts: Option<KeyFacts>,
    ) -> (Option<Arc<KeyFacts>>, Option<Arc<KeyFacts>>) {
        let hash = self.hasher.hash_one(id);
        let before = self.keys.find_entry(hash, |facts| facts.id == id).ok().map(|entry| entry.remove().0);
        let Some(mut facts) = facts else { return (before, None) };
        if let Some(before) = &before {
            *facts.used.get_mut() = before.used.load(Ordering::Relaxed).max(*facts.used.get_mut());
        }
        let facts = Arc::new(facts);
        self.keys.insert_unique(hash, facts.clone(), |facts| self.hasher.hash_one(facts.id));
        (before, Some(facts))
    }

    /// Notes a change; returns a key that changed, for the index to place.
    pub(crate) fn note(&mut self, now: Changed, pepper: &Pepper) -> Option<(KeyId, Option<KeyFacts>)> {
        let row = match now {
            Changed::Gone(id) => return self.note_gone(&id),
            Changed::Is(row) => row,
        };
        match row.id.kind() {
            // Companies and apps matter by what belongs to them; tokens and replies are no partner's business.
            Kind::Company
            | Kind::App
            | Kind::Token
            | Kind::Reply
            | Kind::Developer
            | Kind::Contract
            | Kind::Webhook
            | Kind::Progress
            | Kind::Delivery => None,
            Kind::Product => {
                self.note_product(read(&row)?);
                None
            }
            Kind::Subscription => {
                let subscription: Subscription = read(&row)?;
                self.subscribe(subscription.id, subscription.state);
                None
            }
            Kind::Key => {
                let Some(key) = read::<Key>(&row) else { return Some((row.id.path().parse().ok()?, None)) };
                let app = self.app(&key.app);
                Some((key.id, facts(&key, &app.facts, pepper)))
            }
        }
    }

    fn note_product(&mut self, product: store::Product) {
        let store::Product { name, operations, quota, .. } = product;
        let operations = match compiled(&operations, &Pointer::default()) {
            Ok(operations) => operations,
            Err(findings) => {
                // It was compiled before it was stored, so another version of this program wrote it.
                tracing::warn!(product = %name, ?findings, "a stored product cannot be read and opens nothing");
                Vec::new()
            }
        };
        let product = Product { name: name.clone(), operations, quota, managed_by: ManagedBy::Api };
        self.of_store.insert(name.clone(), Arc::new(product));
        self.stale_products.insert(name);
    }

    fn subscribe(&mut self, id: SubscriptionId, state: SubscriptionState) {
        self.app(&id.app).subscriptions.insert(id.product, state);
        self.stale_apps.insert(id.app);
    }

    fn note_gone(&mut self, id: &EntityId) -> Option<(KeyId, Option<KeyFacts>)> {
        match id.kind() {
            Kind::Company
            | Kind::Token
            | Kind::Reply
            | Kind::Developer
            | Kind::Contract
            | Kind::Webhook
            | Kind::Progress
            | Kind::Delivery => {}
            Kind::App => {
                if let Some(app) = id.path().parse().ok().and_then(|id: AppId| self.apps.remove(&id)) {
                    // A request may hold one of its keys still.
                    app.facts.grants.store(Arc::default());
                }
            }
            Kind::Product => {
                let name: ProductName = id.path().parse().ok()?;
                self.of_store.remove(&name);
                self.stale_products.insert(name);
            }
            Kind::Subscription => {
                let id: SubscriptionId = id.path().parse().ok()?;
                if let Some(app) = self.apps.get_mut(&id.app) {
                    app.subscriptions.remove(&id.product);
                    self.stale_apps.insert(id.app);
                }
            }
            Kind::Key => return Some((id.path().parse().ok()?, None)),
        }
        None
    }

    /// Makes grants anew where something has changed; returns the products if any of them has.
    pub(crate) fn settle(&mut self) -> Option<HashMap<ProductName, Arc<Product>>> {
        let products = std::mem::take(&mut self.stale_products);
        let apps = std::mem::take(&mut self.stale_apps);
        let renew = |app: &App| app.facts.grants.store(Arc::new(self.grants(app)));
        apps.iter().filter_map(|id| self.apps.get(id)).for_each(renew);
        // Products change seldom: only then are all apps looked at.
        if !products.is_empty() {
            let uses_any = |app: &&App| app.subscriptions.keys().any(|name| products.contains(name));
            self.apps.values().filter(uses_any).for_each(renew);
        }
        (!products.is_empty()).then(|| {
            let by_name = |(name, product): (&ProductName, &Arc<Product>)| (name.clone(), product.clone());
            // The file comes last, so that it wins.
            self.of_store.iter().chain(&self.of_file).map(by_name).collect()
        })
    }

    fn grants(&self, app: &App) -> Grants {
        let in_state = |wanted| {
            let names = app.subscriptions.iter().filter(move |(_, state)| **state == wanted).map(|(name, _)| name);
            names.filter_map(|name| self.of_file.get(name).or_else(|| self.of_store.get(name))).cloned().collect()
        };
        Grants { approved: in_state(SubscriptionState::Approved), pending: in_state(SubscriptionState::Pending) }
    }

    /// The app's page; changes may come in any order, so the first mention makes it.
    fn app(&mut self, id: &AppId) -> &mut App {
        self.apps.entry(id.clone()).or_insert_with(|| App {
            facts: Arc::new(AppFacts { id: id.clone(), grants: ArcSwap::default() }),
            subscriptions: BTreeMap::new(),
        })
    }
}

/// An entity of the store; none if another version of this program wrote it, which opens nothing here.
fn read<T: Entity>(row: &Row) -> Option<T> {
    row.entity().inspect_err(|error| tracing::warn!(%error, "it opens nothing")).ok()
}

/// What requests need of a key; nothing, if its hash is of a kind or pepper that is not known here.
fn facts(key: &Key, app: &Arc<AppFacts>, pepper: &Pepper) -> Option<KeyFacts> {
    let digest = pepper.place(&key.hash)?;
    let micros = |at: Option<store::UnixMicros>| at.map_or(NEVER, |at| at.0);
    let caller = Caller {
        by: "api-key",
        credential: key.id.as_str().into(),
        company: Some(app.id.company.shared().clone()),
        app: Some(app.id.app.shared().clone()),
        scopes: key.scopes.iter().map(|scope| scope.as_str().into()).collect(),
    };
    Some(KeyFacts {
        id: key.id,
        environment: key.environment,
        imported: key.imported,
        rotated: key.is_rotated(),
        digest,
        caller: Arc::new(caller),
        app: app.clone(),
        expires: micros(key.expires),
        revoked: micros(key.revoked),
        used: AtomicU64::new(key.last_used.unwrap_or_default().0),
    })
}
