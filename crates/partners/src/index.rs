//! The index: what a request asks about a key, answered from memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use store::{
    CertificateId, CertificateName, Change, Changed, EntityId, Kind, Nodes, ProductName, Registry, Revision,
    StoreError, UnixMicros,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::book::{Book, Moved};
use crate::facts::{CertificateFacts, Found, KeyFacts, RuleFacts, Tie};
use crate::pepper::DIGEST;
use crate::shards::Shards;
use crate::{Malformed, Pepper, Product, key};

/// Changes read from the store at a time.
const PAGE: usize = 20_000;

/// A digest that no key has, for keys that are not there.
const NO_DIGEST: [u8; DIGEST] = [0; DIGEST];

/// All keys, certificates and products, in memory.
pub struct Index {
    pepper: Pepper,
    keys: Shards<KeyFacts>,
    certificates: Shards<CertificateFacts>,
    rules: ArcSwap<HashMap<CertificateName, Arc<RuleFacts>>>,
    products: ArcSwap<HashMap<ProductName, Arc<Product>>>,
    apis: ArcSwapOption<Vec<String>>,
    book: Mutex<Book>,
    /// One reader of the store at a time, so that changes are taken in order.
    reading: AsyncMutex<()>,
    foreign: AtomicU64,
    /// Changes of certificates so far.
    certificate_changes: AtomicU64,
}

/// Why a key was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is not even a key of this gateway.
    Malformed(Malformed),
    /// There is no such key, or its secret is another one. Which of them, nobody learns.
    NoSuchKey,
}

impl Index {
    /// An index that knows nothing yet: see [`Self::refresh`].
    pub fn new(pepper: Pepper) -> Self {
        Self {
            pepper,
            keys: Shards::new(),
            certificates: Shards::new(),
            rules: ArcSwap::default(),
            products: ArcSwap::default(),
            apis: ArcSwapOption::empty(),
            book: Mutex::default(),
            reading: AsyncMutex::default(),
            foreign: AtomicU64::new(0),
            certificate_changes: AtomicU64::new(0),
        }
    }

    /// Finds the key that was presented and proves its secret. Takes no lock and allocates nothing.
    pub fn find(&self, presented: &str) -> Result<Found, Unknown> {
        let presented = key::read(presented).map_err(Unknown::Malformed)?;
        let facts = self.keys.find(presented.id);
        // A key that is not there costs as much as one that is.
        let digest = facts.as_ref().map_or(&NO_DIGEST, |facts| &facts.digest);
        let is_proven = self.pepper.matches(presented.hashed, digest);
        match facts {
            Some(facts) if is_proven => Ok(Found(facts)),
            _ => Err(Unknown::NoSuchKey),
        }
    }

    /// Finds the certificate with this fingerprint. Takes no lock and allocates nothing.
    pub fn certificate(&self, sha256: &[u8; 32]) -> Option<Arc<CertificateFacts>> {
        self.certificates.find(CertificateId(*sha256))
    }

    /// Whether apps are known by names in certificates at all.
    pub fn has_certificate_rules(&self) -> bool {
        !self.rules.load().is_empty()
    }

    /// Finds the app that is known by one of these names in a certificate: the first that there is.
    pub fn certificate_rule(&self, names: &[String]) -> Option<Arc<RuleFacts>> {
        let rules = self.rules.load();
        names.iter().find_map(|name| rules.get(name.as_str()).cloned())
    }

    /// The product of this name, the configuration file's or the store's.
    pub fn product(&self, name: &str) -> Option<Arc<Product>> {
        self.products.load().get(name).cloned()
    }

    /// All products, sorted by name.
    pub fn products(&self) -> Vec<Arc<Product>> {
        let mut products: Vec<_> = self.products.load().values().cloned().collect();
        products.sort_by(|one, other| one.name.cmp(&other.name));
        products
    }

    /// How many keys there are, dead ones too.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many keys the last changes had whose hashes cannot be checked, such as those of a lost pepper.
    pub fn foreign_keys(&self) -> u64 {
        self.foreign.load(Ordering::Relaxed)
    }

    /// How many changes of certificates there were so far, for whoever wants to know whether there was another one.
    pub fn certificate_changes(&self) -> u64 {
        self.certificate_changes.load(Ordering::Relaxed)
    }

    /// How far this index has followed the store.
    pub fn revision(&self) -> Revision {
        self.book.lock().revision
    }

    /// Takes the products that the configuration file has now, and forgets those it had before.
    pub fn set_file_products(&self, products: Vec<Product>) {
        let mut book = self.book.lock();
        book.set_file_products(products);
        self.settle(&mut book);
    }

    /// Takes the names of the APIs that the configuration has now: operations are of one of them.
    pub fn set_apis(&self, apis: Vec<String>) {
        self.apis.store(Some(Arc::new(apis)));
    }

    /// The names of the APIs, if they were told.
    pub(crate) fn apis(&self) -> Option<Arc<Vec<String>>> {
        self.apis.load_full()
    }

    /// Reads what has changed in the store since last time; the first time, everything.
    ///
    /// Returns how many changes there were. After an error the index stands where it stood, and serves on.
    pub async fn refresh(&self, registry: &dyn Registry) -> Result<usize, StoreError> {
        let _one_at_a_time = self.reading.lock().await;
        let mut count = 0;
        loop {
            let since = self.revision();
            let changes = registry.changes_since(since, PAGE).await?;
            if changes.is_empty() {
                return if registry.revision().await? < since { self.start_again(registry).await } else { Ok(count) };
            }
            count += changes.len();
            self.apply(changes);
        }
    }

    /// Takes the time of each credential's last use out of the index, for [`Registry::touch`].
    pub fn uses_since(&self, since: UnixMicros) -> Vec<(EntityId, UnixMicros)> {
        let mut uses = Vec::new();
        let mut see = |tie: &Tie, id: EntityId| {
            let at = tie.last_used();
            if since < at {
                uses.push((id, at));
            }
        };
        self.keys.for_each(|facts| see(&facts.tie, facts.id.into()));
        self.certificates.for_each(|facts| see(&facts.tie, facts.id.into()));
        uses
    }

    pub(crate) fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// The store went back, as after restoring a backup: nothing known of it holds any more.
    async fn start_again(&self, registry: &dyn Registry) -> Result<usize, StoreError> {
        tracing::warn!("the store is older than the index, which is made anew");
        let mut changes = Vec::new();
        loop {
            let since = changes.last().map_or(Revision(0), |change: &Change| change.revision);
            let page = registry.changes_since(since, PAGE).await?;
            if page.is_empty() {
                break;
            }
            changes.extend(page);
        }
        let count = changes.len();
        let there = || changes.iter().filter_map(|change| path_of(&change.now));
        let keys = there().filter_map(|(kind, path)| path.parse().ok().filter(|_| kind == Kind::Key)).collect();
        let certificates = there().filter_map(|(kind, path)| path.parse().ok().filter(|_| kind == Kind::Certificate));
        let certificates = certificates.collect();
        let mut book = self.book.lock();
        let before = book.forget_store();
        self.keys.keep(&keys);
        self.certificates.keep(&certificates);
        let rules: HashSet<_> =
            there().filter(|(kind, _)| *kind == Kind::CertificateRule).map(|(_, name)| name.to_owned()).collect();
        let gone = book.rules.extract_if(|name, _| !rules.contains(&name.0));
        gone.for_each(|(_, rule)| rule.tie.end());
        self.apply_to(&mut book, changes);
        self.rules.store(Arc::new(book.rules.clone()));
        book.settle_lives(before);
        Ok(count)
    }

    fn apply(&self, changes: Vec<Change>) {
        self.apply_to(&mut self.book.lock(), changes);
    }

    fn apply_to(&self, book: &mut Book, changes: Vec<Change>) {
        let (mut keys, mut certificates) = (Vec::new(), Vec::new());
        let mut foreign = 0;
        let mut has_rules = false;
        for Change { revision, now } in changes {
            has_rules |= kind_of(&now) == Kind::CertificateRule;
            book.revision = revision;
            let is_there = matches!(&now, Changed::Is(_));
            match book.note(now, self.pepper.algorithm()) {
                Some(Moved::Key(id, facts)) => {
                    foreign += u64::from(is_there && facts.is_none());
                    keys.push((id, facts));
                }
                Some(Moved::Certificate(id, facts)) => certificates.push((id, facts)),
                None => {}
            }
        }
        self.keys.replace(keys);
        self.certificate_changes.fetch_add(certificates.len() as u64, Ordering::Relaxed);
        self.certificates.replace(certificates);
        if has_rules {
            self.rules.store(Arc::new(book.rules.clone()));
        }
        self.settle(book);
        self.foreign.store(foreign, Ordering::Relaxed);
        if 0 < foreign {
            tracing::warn!(keys = foreign, "keys were hashed with another pepper or algorithm and open nothing");
        }
    }

    fn settle(&self, book: &mut Book) {
        if let Some(products) = book.settle() {
            self.products.store(Arc::new(products));
        }
    }
}

/// Keeps an index at the store's revision, for as long as it is polled: at once when others tell of a change, and otherwise so
/// often. Tells others, as the node of this name, how far it is.
pub async fn follow(index: &Index, registry: &dyn Registry, nodes: &dyn Nodes, name: &str, every: Duration) {
    let mut is_well = true;
    loop {
        // Either way it is looked; so whether anybody told of a change does not matter.
        let _told = tokio::time::timeout(every, nodes.changed()).await;
        let refreshed = index.refresh(registry).await;
        if refreshed.is_ok()
            && let Err(cause) = nodes.follows(name, index.revision()).await
        {
            tracing::debug!(%cause, "other nodes could not be told how far this one has followed");
        }
        match refreshed {
            Ok(_) if is_well => {}
            Ok(changes) => {
                tracing::info!(changes, "the index follows the store again");
                is_well = true;
            }
            Err(cause) if is_well => {
                tracing::warn!(%cause, "the index cannot follow the store; what it knows serves on");
                is_well = false;
            }
            Err(_) => {}
        }
    }
}

fn kind_of(now: &Changed) -> Kind {
    match now {
        Changed::Is(row) => row.id.kind(),
        Changed::Gone(id) => id.kind(),
    }
}

/// What a change is about, if that is there.
fn path_of(now: &Changed) -> Option<(Kind, &str)> {
    match now {
        Changed::Is(row) => Some((row.id.kind(), row.id.path())),
        Changed::Gone(_) => None,
    }
}
