//! The index's own notes, from which it makes what requests see: apps, their subscriptions, products.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use pipeline::{Caller, Life, Over};
use problem::Pointer;
use store::{
    AppId, Certificate, CertificateId, CertificateName, CertificateRule, Changed, Entity, EntityId, Key, KeyId, Kind,
    ManagedBy, ProductName, Revision, Row, Subscription, SubscriptionId, SubscriptionState,
};

use crate::facts::{CertificateFacts, RuleFacts, Tie, Times};
use crate::product::compiled;
use crate::{AppFacts, Granted, Grants, KeyFacts, Pepper, Product};

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
    /// By which names in certificates apps are known.
    pub(crate) rules: HashMap<CertificateName, Arc<RuleFacts>>,
    /// Apps and products whose grants must be made anew.
    stale_apps: BTreeSet<AppId>,
    stale_products: BTreeSet<ProductName>,
}

/// A credential that changed, and what requests need of it now.
pub(crate) enum Moved {
    Key(KeyId, Option<KeyFacts>),
    Certificate(CertificateId, Option<CertificateFacts>),
}

struct App {
    facts: Arc<AppFacts>,
    /// Sorted by product. There are few of them, and very many apps.
    subscriptions: Vec<(ProductName, Subscribed)>,
}

impl App {
    fn subscribed(&self, product: &ProductName) -> Option<&Subscribed> {
        self.subscriptions.iter().find(|(known, _)| known == product).map(|(_, subscribed)| subscribed)
    }
}

/// A subscription, and what requests depend on that it let in. After it was stopped it begins another life.
struct Subscribed {
    state: SubscriptionState,
    life: Arc<Life>,
}

/// What requests depend on that subscriptions let in.
pub(crate) type SubscriptionLives = Vec<(SubscriptionId, Arc<Life>)>;

impl Book {
    /// Notes what the configuration file has now.
    pub(crate) fn set_file_products(&mut self, products: Vec<Product>) {
        let products = products.into_iter().map(|product| (product.name.clone(), Arc::new(product)));
        let before = std::mem::replace(&mut self.of_file, products.collect());
        self.stale_products.extend(before.into_keys());
        self.stale_products.extend(self.of_file.keys().cloned());
    }

    /// Forgets all that came from the store, but for credentials. Requests that hold a key still find that it opens nothing;
    /// what those under way depend on comes back, see [`Self::settle_lives`].
    pub(crate) fn forget_store(&mut self) -> SubscriptionLives {
        let mut lives = Vec::new();
        for (id, app) in std::mem::take(&mut self.apps) {
            app.facts.grants.store(Arc::default());
            let approved =
                app.subscriptions.into_iter().filter(|(_, subscribed)| subscribed.state == SubscriptionState::Approved);
            lives.extend(
                approved.map(|(product, Subscribed { life, .. })| (SubscriptionId { app: id.clone(), product }, life)),
            );
        }
        self.stale_products.extend(std::mem::take(&mut self.of_store).into_keys());
        self.revision = Revision(0);
        lives
    }

    /// Ends the lives of subscriptions of before that are not there, or not approved, any more.
    pub(crate) fn settle_lives(&self, before: SubscriptionLives) {
        for (id, life) in before {
            let now = self.apps.get(&id.app).and_then(|app| app.subscribed(&id.product));
            match now.map(|subscribed| subscribed.state) {
                Some(SubscriptionState::Approved) => {}
                Some(_) => life.end(Over::Suspended),
                None => life.end(Over::Deleted),
            }
        }
    }

    /// How many keys there are, dead ones too.
    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// Keeps what is known of a key now, or that there is none; returns what was known before, and what is known now.
    ///
    /// What is known now takes over from what was known before, so that requests under way learn of what has changed.
    pub(crate) fn keep(
        &mut self,
        id: KeyId,
        facts: Option<KeyFacts>,
    ) -> (Option<Arc<KeyFacts>>, Option<Arc<KeyFacts>>) {
        let hash = self.hasher.hash_one(id);
        let before = self.keys.find_entry(hash, |facts| facts.id == id).ok().map(|entry| entry.remove().0);
        let Some(mut facts) = facts else {
            if let Some(before) = &before {
                before.tie.end();
            }
            return (before, None);
        };
        if let Some(before) = &before {
            facts.tie.succeed(&before.tie);
        }
        let facts = Arc::new(facts);
        self.keys.insert_unique(hash, facts.clone(), |facts| self.hasher.hash_one(facts.id));
        (before, Some(facts))
    }

    /// Forgets all keys but these; returns those that are gone.
    pub(crate) fn keep_only(&mut self, there: &HashSet<KeyId>) -> Vec<Arc<KeyFacts>> {
        let gone: Vec<_> = self.keys.extract_if(|facts| !there.contains(&facts.id)).collect();
        for facts in &gone {
            facts.tie.end();
        }
        gone
    }

    /// Notes a change; returns a credential that changed, for the index to place.
    pub(crate) fn note(&mut self, now: Changed, pepper: &Pepper) -> Option<Moved> {
        let row = match now {
            Changed::Gone(id) => return self.note_gone(&id),
            Changed::Is(row) => row,
        };
        match row.id.kind() {
            // Companies and apps matter by what belongs to them; tokens and replies are no partner's business.
            Kind::Company
            | Kind::App
            | Kind::Issuance
            | Kind::Token
            | Kind::Reply
            | Kind::Developer
            | Kind::Contract
            | Kind::Webhook
            | Kind::Progress
            | Kind::Delivery
            | Kind::Alert
            | Kind::Silence
            | Kind::Duty
            | Kind::Job
            | Kind::Run
            | Kind::Collection
            | Kind::KeyMark
            | Kind::Record => None,
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
                let Some(key) = read::<Key>(&row) else { return Some(Moved::Key(row.id.path().parse().ok()?, None)) };
                let app = self.app(&key.app);
                Some(Moved::Key(key.id, key_facts(&key, &app.facts, pepper)))
            }
            Kind::CertificateRule => {
                self.note_rule(read(&row)?);
                None
            }
            Kind::Certificate => {
                let Some(certificate) = read::<Certificate>(&row) else {
                    return Some(Moved::Certificate(row.id.path().parse().ok()?, None));
                };
                let app = self.app(&certificate.app);
                Some(Moved::Certificate(certificate.id, Some(certificate_facts(&certificate, &app.facts))))
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

    fn note_rule(&mut self, rule: CertificateRule) {
        let app = self.app(&rule.app).facts.clone();
        let caller = caller("client-certificate", &rule.name.0, &app, &rule.scopes);
        // What cannot be read signed nothing.
        let issuer = rule.issuer.as_ref().map(|issuer| STANDARD.decode(&issuer.key).unwrap_or_default());
        let mut facts = RuleFacts { tie: Tie::new(caller, app, Times::default()), issuer };
        if let Some(before) = self.rules.get(&rule.name) {
            facts.tie.succeed(&before.tie);
        }
        self.rules.insert(rule.name, Arc::new(facts));
    }

    fn subscribe(&mut self, id: SubscriptionId, state: SubscriptionState) {
        // One name for all who subscribed to it.
        let known = self.of_store.get_key_value(&id.product).or_else(|| self.of_file.get_key_value(&id.product));
        let product = known.map_or(id.product, |(name, _)| name.clone());
        let subscriptions = &mut self.app(&id.app).subscriptions;
        match subscriptions.binary_search_by(|(known, _)| known.cmp(&product)) {
            Ok(at) => {
                if let Some((_, known)) = subscriptions.get_mut(at).filter(|(_, known)| known.state != state) {
                    known.life.end(Over::Suspended);
                    *known = Subscribed { state, life: Arc::default() };
                }
            }
            Err(at) => {
                // As much as is needed: mostly it stays at one.
                subscriptions.reserve_exact(1);
                subscriptions.insert(at, (product, Subscribed { state, life: Arc::default() }));
            }
        }
        self.stale_apps.insert(id.app);
    }

    fn note_gone(&mut self, id: &EntityId) -> Option<Moved> {
        match id.kind() {
            Kind::Company
            | Kind::Issuance
            | Kind::Token
            | Kind::Reply
            | Kind::Developer
            | Kind::Contract
            | Kind::Webhook
            | Kind::Progress
            | Kind::Delivery
            | Kind::Alert
            | Kind::Silence
            | Kind::Duty
            | Kind::Job
            | Kind::Run
            | Kind::Collection
            | Kind::KeyMark
            | Kind::Record => {}
            Kind::App => {
                if let Some(app) = id.path().parse().ok().and_then(|id: AppId| self.apps.remove(&id)) {
                    // A request may hold one of its keys still.
                    app.facts.grants.store(Arc::default());
                    app.subscriptions.iter().for_each(|(_, subscribed)| subscribed.life.end(Over::Deleted));
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
                    let gone = app.subscriptions.extract_if(.., |(product, _)| *product == id.product);
                    gone.for_each(|(_, subscribed)| subscribed.life.end(Over::Deleted));
                    self.stale_apps.insert(id.app);
                }
            }
            Kind::CertificateRule => {
                if let Some(rule) = self.rules.remove(&CertificateName(id.path().to_owned())) {
                    rule.tie.end();
                }
            }
            Kind::Key => return Some(Moved::Key(id.path().parse().ok()?, None)),
            Kind::Certificate => return Some(Moved::Certificate(id.path().parse().ok()?, None)),
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
            let uses_any = |app: &&App| app.subscriptions.iter().any(|(name, _)| products.contains(name));
            self.apps.values().filter(uses_any).for_each(renew);
        }
        (!products.is_empty()).then(|| {
            let by_name = |(name, product): (&ProductName, &Arc<Product>)| (name.clone(), product.clone());
            // The file comes last, so that it wins.
            self.of_store.iter().chain(&self.of_file).map(by_name).collect()
        })
    }

    fn grants(&self, app: &App) -> Grants {
        let mut grants = Grants::default();
        for (name, subscribed) in &app.subscriptions {
            let Some(product) = self.of_file.get(name).or_else(|| self.of_store.get(name)).cloned() else { continue };
            match subscribed.state {
                SubscriptionState::Approved => {
                    grants.approved.push(Granted { product, life: subscribed.life.clone() });
                }
                SubscriptionState::Pending => grants.pending.push(product),
                SubscriptionState::Refused | SubscriptionState::Suspended => {}
            }
        }
        grants
    }

    /// The app's page; changes may come in any order, so the first mention makes it.
    fn app(&mut self, id: &AppId) -> &mut App {
        self.apps.entry(id.clone()).or_insert_with(|| App {
            facts: Arc::new(AppFacts { id: id.clone(), grants: ArcSwap::default() }),
            subscriptions: Vec::new(),
        })
    }
}

/// An entity of the store; none if another version of this program wrote it, which opens nothing here.
fn read<T: Entity>(row: &Row) -> Option<T> {
    row.entity().inspect_err(|error| tracing::warn!(%error, "it opens nothing")).ok()
}

/// What requests need of a key; nothing, if its hash is of a kind or pepper that is not known here.
fn key_facts(key: &Key, app: &Arc<AppFacts>, pepper: &Pepper) -> Option<KeyFacts> {
    let mark = pepper.place(&key.hash)?;
    let caller = caller("api-key", key.id.as_str(), app, &key.scopes);
    let times = Times { expires: key.expires, revoked: key.revoked, used: key.last_used };
    let tie = Tie::new(caller, app.clone(), times);
    let (environment, imported, rotated) = (key.environment, key.imported, key.is_rotated());
    Some(KeyFacts { id: key.id, environment, imported, rotated, mark, tie })
}

fn certificate_facts(certificate: &Certificate, app: &Arc<AppFacts>) -> CertificateFacts {
    let caller = caller("client-certificate", &certificate.id.to_string(), app, &certificate.scopes);
    let revoked = certificate.revoked.map(|revocation| revocation.at);
    let times = Times { expires: Some(certificate.expires), revoked, used: None };
    CertificateFacts { id: certificate.id, tie: Tie::new(caller, app.clone(), times) }
}

fn caller(by: &'static str, credential: &str, app: &AppFacts, scopes: &[String]) -> Caller {
    Caller {
        by,
        credential: credential.into(),
        company: Some(app.id.company.shared().clone()),
        app: Some(app.id.app.shared().clone()),
        scopes: scopes.iter().map(|scope| scope.as_str().into()).collect(),
    }
}
