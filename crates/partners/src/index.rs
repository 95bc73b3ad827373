//! The index: what a request asks about a key, answered from memory.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use store::{
    AppId, CertificateId, CertificateName, Change, Changed, EntityId, KeyHash, KeyMarkId, Kind, Listing, Nodes,
    ProductName, Registry, Revision, StoreError, UnixMicros,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::book::{Book, Moved};
use crate::certificate_table::Certificates;
use crate::facts::{CertificateFacts, Found, KeyState, RuleFacts, Tie};
use crate::imported::{self, Peppers};
use crate::key::Presented;
use crate::key_table::{Keys, Move, Moves};
use crate::pepper::Mark;
use crate::{Malformed, Pepper, Product, key};

/// Changes read from the store at a time.
const PAGE: usize = 20_000;

/// Rows of a first reading at a time: few, because each is much larger than what is kept of it.
const FIRST_PAGE: usize = 2_000;

/// Keys of a first reading that are placed together: often enough for memory, and seldom enough for the copies of shards.
const PLACED: usize = 200_000;

/// All keys, certificates and products, in memory.
pub struct Index {
    pepper: Pepper,
    /// Those of other programs, whose keys were imported.
    peppers: ArcSwap<Peppers>,
    keys: Keys,
    certificates: Certificates,
    rules: ArcSwap<HashMap<CertificateName, Arc<RuleFacts>>>,
    products: ArcSwap<HashMap<ProductName, Arc<Product>>>,
    apis: ArcSwapOption<Vec<String>>,
    book: Mutex<Book>,
    /// One reader of the store at a time, so that changes are taken in order; and at which revision a first reading began
    /// that came to no end.
    reading: AsyncMutex<Option<Revision>>,
    /// Changes of certificates so far.
    certificate_changes: AtomicU64,
}

/// A credential that stops working by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// Which one: a key or a certificate.
    pub id: EntityId,
    /// Whose it is.
    pub app: AppId,
    /// When it stops working.
    pub at: UnixMicros,
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
            peppers: ArcSwap::default(),
            keys: Keys::new(),
            certificates: Certificates::new(),
            rules: ArcSwap::default(),
            products: ArcSwap::default(),
            apis: ArcSwapOption::empty(),
            book: Mutex::default(),
            reading: AsyncMutex::default(),
            certificate_changes: AtomicU64::new(0),
        }
    }

    /// Finds the key that was presented and proves its secret. Takes no lock and allocates nothing.
    ///
    /// It is found by the hash of its secret, never by its id: a wrong secret of a key that is there takes the same steps as
    /// a key that is not, and what a search tells about hashes is of no use without the pepper.
    pub fn find(&self, presented: &str) -> Result<Found, Unknown> {
        match key::read(presented) {
            Ok(Presented { id, hashed }) => {
                self.keys.having(&self.pepper.mark(hashed), Some(id)).ok_or(Unknown::NoSuchKey)
            }
            Err(how) if key::is_ours(presented) => Err(Unknown::Malformed(how)),
            Err(how) => self.find_imported(presented.as_bytes(), how),
        }
    }

    /// Finds a key that another program made, by each way of hashing that such keys came with.
    fn find_imported(&self, text: &[u8], how: Malformed) -> Result<Found, Unknown> {
        if !self.keys.has_imported() || !imported::LENGTHS.contains(&text.len()) {
            return Err(Unknown::Malformed(how));
        }
        let having = |mark: &Mark| self.keys.having(mark, None);
        let found = having(&self.pepper.mark(text));
        let found = found.or_else(|| having(&imported::by_sha_256(&self.pepper, text)));
        found.or_else(|| self.peppers.load().find(&self.pepper, text, having)).ok_or(Unknown::NoSuchKey)
    }

    /// Finds the certificate with this fingerprint. Takes no lock and allocates nothing.
    pub fn certificate(&self, sha256: &[u8; 32]) -> Option<Arc<CertificateFacts>> {
        self.certificates.find(CertificateId(*sha256))
    }

    /// Whether apps are known by names in certificates at all.
    pub fn has_certificate_rules(&self) -> bool {
        !self.rules.load().is_empty()
    }

    /// Finds the app that is known by one of these names in a certificate: the first that there is. `is_signed_by` is asked of
    /// rules about what one authority signed, with its key.
    pub fn certificate_rule(&self, names: &[String], is_signed_by: impl Fn(&[u8]) -> bool) -> Option<Arc<RuleFacts>> {
        let rules = self.rules.load();
        let mut found = names.iter().filter_map(|name| rules.get(name.as_str()));
        found.find(|rule| rule.issuer.as_deref().is_none_or(&is_signed_by)).cloned()
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
        self.book.lock().count()
    }

    /// How many keys the last changes had whose hashes cannot be checked, such as those of a lost pepper.
    pub fn foreign_keys(&self) -> u64 {
        self.keys.foreign()
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

    /// Takes the peppers that other programs hashed their keys with, by name: see `imported_keys` of documents.
    pub fn set_peppers<'a>(&self, peppers: impl IntoIterator<Item = (&'a String, &'a String)>) {
        self.peppers.store(Arc::new(Peppers::new(peppers)));
    }

    pub(crate) fn peppers(&self) -> Arc<Peppers> {
        self.peppers.load_full()
    }

    /// What a key with this hash is found by.
    pub(crate) fn mark(&self, hash: &KeyHash) -> Option<KeyMarkId> {
        self.pepper.place(hash).map(|mark| KeyMarkId(store::hex(&mark)))
    }

    /// Whether a key with this hash is there.
    pub(crate) fn has(&self, hash: &KeyHash) -> bool {
        self.pepper.place(hash).is_some_and(|mark| self.keys.having(&mark, None).is_some())
    }

    /// The names of the APIs, if they were told.
    pub(crate) fn apis(&self) -> Option<Arc<Vec<String>>> {
        self.apis.load_full()
    }

    /// Reads what has changed in the store since last time; the first time, everything.
    ///
    /// Returns how many changes there were. After an error the index stands where it stood, and serves on.
    pub async fn refresh(&self, registry: &dyn Registry) -> Result<usize, StoreError> {
        let mut begun = self.reading.lock().await;
        let mut count = if self.revision() == Revision(0) { self.load(registry, &mut begun).await? } else { 0 };
        let mut moves = Moves::of(&self.keys);
        loop {
            let since = self.revision();
            let changes = registry.changes_since(since, PAGE).await?;
            if changes.is_empty() {
                drop(moves);
                return if registry.revision().await? < since { self.start_again(registry).await } else { Ok(count) };
            }
            count += changes.len();
            self.note_changes(&mut self.book.lock(), changes, &mut moves);
        }
    }

    /// Keys that work and stop working by themselves within a time, but for those that have a successor; and certificates. Of
    /// each at most so many.
    pub fn expiring(&self, within: &Range<UnixMicros>, most: usize) -> Vec<Expiring> {
        let (mut keys, mut certificates) = (Vec::new(), Vec::new());
        let see = |expiring: &mut Vec<Expiring>, id: EntityId, tie: &Tie| {
            let expires = tie.expires().filter(|at| within.contains(at));
            let is_revoked = matches!(tie.state(within.start), KeyState::Revoked(_));
            if let Some(at) = expires.filter(|_| !is_revoked && expiring.len() < most) {
                expiring.push(Expiring { id, app: tie.app.id.clone(), at });
            }
        };
        self.keys.for_each(|facts| {
            if !facts.rotated {
                see(&mut keys, facts.id.into(), &facts.tie);
            }
        });
        self.certificates.for_each(|facts| see(&mut certificates, facts.id.into(), &facts.tie));
        keys.extend(certificates);
        keys
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

    /// Reads everything that requests need, kind by kind in the order in which a store has it: in the order of changes, a
    /// large one is read all over the place. What changes meanwhile is read afterwards, also what did so during a reading
    /// before that came to no end: something that it saw may be gone.
    async fn load(&self, registry: &dyn Registry, begun: &mut Option<Revision>) -> Result<usize, StoreError> {
        let revision = match *begun {
            Some(revision) => revision,
            None => registry.revision().await?,
        };
        *begun = Some(revision);
        let (mut count, mut moves) = (0, Moves::of(&self.keys));
        for kind in [Kind::Product, Kind::Subscription, Kind::Key, Kind::Certificate, Kind::CertificateRule] {
            let mut after: Option<String> = None;
            loop {
                let listing = Listing { after: after.as_deref(), limit: FIRST_PAGE, ..Listing::of(kind) };
                let page = registry.list(listing).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.row.id.path().to_owned());
                count += page.len();
                let rows = page.into_iter().map(|stored| Changed::Is(stored.row));
                self.note(&mut self.book.lock(), rows, &mut moves);
                if PLACED <= moves.count {
                    moves = Moves::of(&self.keys);
                }
            }
        }
        drop(moves);
        self.book.lock().revision = revision;
        *begun = None;
        Ok(count)
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
        let (count, mut moves) = (changes.len(), Moves::of(&self.keys));
        let there = || changes.iter().filter_map(|change| path_of(&change.now));
        let keys = there().filter_map(|(kind, path)| path.parse().ok().filter(|_| kind == Kind::Key)).collect();
        let certificates = there().filter_map(|(kind, path)| path.parse().ok().filter(|_| kind == Kind::Certificate));
        let certificates = certificates.collect();
        let rules: HashSet<_> =
            there().filter(|(kind, _)| *kind == Kind::CertificateRule).map(|(_, name)| name.to_owned()).collect();
        let mut book = self.book.lock();
        let before = book.forget_store();
        moves.add(Move::Out, book.keep_only(&keys));
        self.certificates.keep(&certificates);
        let gone = book.rules.extract_if(|name, _| !rules.contains(&name.0));
        gone.for_each(|(_, rule)| rule.tie.end());
        self.note_changes(&mut book, changes, &mut moves);
        self.rules.store(Arc::new(book.rules.clone()));
        book.settle_lives(before);
        Ok(count)
    }

    fn note_changes(&self, book: &mut Book, changes: Vec<Change>, moves: &mut Moves<'_>) {
        let last = changes.last().map(|change| change.revision);
        self.note(book, changes.into_iter().map(|change| change.now), moves);
        book.revision = last.unwrap_or(book.revision);
    }

    /// Has the book note what is now, and collects what that does to keys.
    fn note(&self, book: &mut Book, changes: impl Iterator<Item = Changed>, moves: &mut Moves<'_>) {
        let (mut certificates, mut has_rules) = (Vec::new(), false);
        for now in changes {
            has_rules |= kind_of(&now) == Kind::CertificateRule;
            let is_there = matches!(&now, Changed::Is(_));
            match book.note(now, &self.pepper) {
                Some(Moved::Key(id, facts)) => {
                    moves.foreign += u64::from(is_there && facts.is_none());
                    let (before, now) = book.keep(id, facts);
                    moves.add(Move::Out, before);
                    moves.add(Move::In, now);
                }
                Some(Moved::Certificate(id, facts)) => certificates.push((id, facts)),
                None => {}
            }
        }
        self.certificate_changes.fetch_add(certificates.len() as u64, Ordering::Relaxed);
        self.certificates.replace(certificates);
        if has_rules {
            self.rules.store(Arc::new(book.rules.clone()));
        }
        self.settle(book);
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
