//! The index: what a request asks about a key, answered from memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use hashbrown::{HashMap, HashTable};
use parking_lot::Mutex;
use store::{
    Change, Changed, EntityId, KeyHash, KeyId, Kind, Listing, ProductName, Registry, Revision, StoreError, UnixMicros,
};
use tokio::sync::Mutex as AsyncMutex;

use crate::book::Book;
use crate::facts::{Found, KeyFacts};
use crate::imported::{self, Peppers};
use crate::key::Presented;
use crate::pepper::DIGEST;
use crate::{Malformed, Pepper, Product, key};

/// A change copies its shard, so shards are small; a request reads one without a lock.
const SHARDS: usize = 256;

/// Changes read from the store at a time.
const PAGE: usize = 20_000;

/// Keys of a first reading that are placed together: often enough for memory, and seldom enough for the copies of shards.
const PLACED: usize = 200_000;

/// Keys by their digests, which are as good as random, so that they need no other hash.
type Shard = HashTable<Arc<KeyFacts>>;

/// All keys and products, in memory.
pub struct Index {
    pepper: Pepper,
    /// Those of other programs, whose keys were imported.
    peppers: ArcSwap<Peppers>,
    /// Whether there are keys that were made elsewhere.
    imported: AtomicBool,
    shards: Box<[ArcSwap<Shard>]>,
    products: ArcSwap<HashMap<ProductName, Arc<Product>>>,
    apis: ArcSwapOption<Vec<String>>,
    book: Mutex<Book>,
    /// One reader of the store at a time, so that changes are taken in order.
    reading: AsyncMutex<()>,
    foreign: AtomicU64,
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
            imported: AtomicBool::new(false),
            shards: std::iter::repeat_with(ArcSwap::default).take(SHARDS).collect(),
            products: ArcSwap::default(),
            apis: ArcSwapOption::empty(),
            book: Mutex::default(),
            reading: AsyncMutex::default(),
            foreign: AtomicU64::new(0),
        }
    }

    /// Finds the key that was presented and proves its secret. Takes no lock and allocates nothing.
    ///
    /// It is found by the hash of its secret, never by its id: a wrong secret of a key that is there takes the same steps as
    /// a key that is not, and what a search tells about hashes is of no use without the pepper.
    pub fn find(&self, presented: &str) -> Result<Found, Unknown> {
        match key::read(presented) {
            Ok(Presented { id, hashed }) => {
                self.having(&self.pepper.digest(hashed), Some(id)).ok_or(Unknown::NoSuchKey)
            }
            Err(how) if key::is_ours(presented) => Err(Unknown::Malformed(how)),
            Err(how) => self.find_imported(presented.as_bytes(), how),
        }
    }

    /// Finds a key that another program made, by each way of hashing that such keys came with.
    fn find_imported(&self, text: &[u8], how: Malformed) -> Result<Found, Unknown> {
        if !self.imported.load(Ordering::Relaxed) || !imported::LENGTHS.contains(&text.len()) {
            return Err(Unknown::Malformed(how));
        }
        let having = |digest: &[u8; DIGEST]| self.having(digest, None);
        let found = having(&self.pepper.digest(text));
        let found = found.or_else(|| having(&imported::by_sha_256(&self.pepper, text)));
        found.or_else(|| self.peppers.load().find(&self.pepper, text, having)).ok_or(Unknown::NoSuchKey)
    }

    /// The key with this digest: one of ours with this id, or without an id one that was imported.
    fn having(&self, digest: &[u8; DIGEST], id: Option<KeyId>) -> Option<Found> {
        let shard = self.shards.get(place(digest))?.load();
        let is_it = |facts: &Arc<KeyFacts>| {
            facts.digest == *digest && id.map_or(facts.imported, |id| !facts.imported && facts.id == id)
        };
        shard.find(hash_of(digest), is_it).cloned().map(Found)
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
        self.foreign.load(Ordering::Relaxed)
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

    /// Whether a key with this hash is there.
    pub(crate) fn has(&self, hash: &KeyHash) -> bool {
        self.pepper.place(hash).is_some_and(|digest| self.having(&digest, None).is_some())
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
        let mut count = if self.revision() == Revision(0) { self.load(registry).await? } else { 0 };
        let mut moves = Moves::of(self);
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

    /// Takes the time of each key's last use out of the index, for [`Registry::touch`].
    pub fn uses_since(&self, since: UnixMicros) -> Vec<(EntityId, UnixMicros)> {
        let mut uses = Vec::new();
        for shard in &self.shards {
            let shard = shard.load();
            let last = shard.iter().map(|facts| (facts.id, UnixMicros(facts.used.load(Ordering::Relaxed))));
            uses.extend(last.filter(|(_, at)| since < *at).map(|(id, at)| (id.into(), at)));
        }
        uses
    }

    pub(crate) fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// Reads everything that requests need, kind by kind in the order in which a store has it: in the order of changes, a
    /// large one is read all over the place. What changes meanwhile is read afterwards.
    async fn load(&self, registry: &dyn Registry) -> Result<usize, StoreError> {
        let (revision, mut count, mut moves) = (registry.revision().await?, 0, Moves::of(self));
        for kind in [Kind::Product, Kind::Subscription, Kind::Key] {
            let mut after: Option<String> = None;
            loop {
                let listing = Listing { after: after.as_deref(), limit: PAGE, ..Listing::of(kind) };
                let page = registry.list(listing).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.row.id.path().to_owned());
                count += page.len();
                let rows = page.into_iter().map(|stored| Changed::Is(stored.row));
                self.note(&mut self.book.lock(), rows, &mut moves);
                if PLACED <= moves.count {
                    moves = Moves::of(self);
                }
            }
        }
        drop(moves);
        self.book.lock().revision = revision;
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
        let (count, mut moves) = (changes.len(), Moves::of(self));
        let mut book = self.book.lock();
        book.forget_store();
        for shard in &self.shards {
            shard.store(Arc::default());
        }
        self.note_changes(&mut book, changes, &mut moves);
        Ok(count)
    }

    fn note_changes(&self, book: &mut Book, changes: Vec<Change>, moves: &mut Moves<'_>) {
        let last = changes.last().map(|change| change.revision);
        self.note(book, changes.into_iter().map(|change| change.now), moves);
        book.revision = last.unwrap_or(book.revision);
    }

    /// Has the book note what is now, and collects what that does to shards.
    fn note(&self, book: &mut Book, changes: impl Iterator<Item = Changed>, moves: &mut Moves<'_>) {
        for now in changes {
            let is_key = matches!(&now, Changed::Is(row) if row.id.kind() == Kind::Key);
            let Some((id, facts)) = book.note(now, &self.pepper) else { continue };
            moves.foreign += u64::from(is_key && facts.is_none());
            let (before, now) = book.keep(id, facts);
            for (placing, facts) in [(Move::Out, before), (Move::In, now)] {
                if let Some(facts) = facts {
                    moves.add(placing, facts);
                }
            }
        }
        self.settle(book);
    }

    fn settle(&self, book: &mut Book) {
        if let Some(products) = book.settle() {
            self.products.store(Arc::new(products));
        }
    }
}

/// Keeps an index at the store's revision, for as long as it is polled.
pub async fn follow(index: &Index, registry: &dyn Registry, every: Duration) {
    let mut is_well = true;
    loop {
        tokio::time::sleep(every).await;
        match index.refresh(registry).await {
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

/// What changes do to shards. It is done once for all pages of changes, and when the reader is cut off among them, because
/// the book has them already.
struct Moves<'a> {
    index: &'a Index,
    of_shards: HashMap<usize, Vec<(Move, Arc<KeyFacts>)>>,
    count: usize,
    foreign: u64,
}

impl<'a> Moves<'a> {
    fn of(index: &'a Index) -> Self {
        Self { index, of_shards: HashMap::new(), count: 0, foreign: 0 }
    }

    fn add(&mut self, placing: Move, facts: Arc<KeyFacts>) {
        self.count += 1;
        self.of_shards.entry(place(&facts.digest)).or_default().push((placing, facts));
    }
}

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        if self.of_shards.is_empty() && self.foreign == 0 {
            return;
        }
        for (place, moves) in std::mem::take(&mut self.of_shards) {
            if moves.iter().any(|(_, facts)| facts.imported) {
                self.index.imported.store(true, Ordering::Relaxed);
            }
            if let Some(shard) = self.index.shards.get(place) {
                replace(shard, moves);
            }
        }
        self.index.foreign.store(self.foreign, Ordering::Relaxed);
        if 0 < self.foreign {
            tracing::warn!(keys = self.foreign, "keys were hashed with another pepper or algorithm and open nothing");
        }
    }
}

/// Whether a key leaves its shard or comes into it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Move {
    Out,
    In,
}

/// The shard of a digest.
fn place(digest: &[u8; DIGEST]) -> usize {
    let [first, ..] = digest;
    usize::from(*first) % SHARDS
}

/// The hash of a digest within its shard: digests are as good as random themselves.
fn hash_of(digest: &[u8; DIGEST]) -> u64 {
    digest.last_chunk().copied().map_or(0, u64::from_ne_bytes)
}

/// Swaps a shard for a copy in which keys came or went.
fn replace(shard: &ArcSwap<Shard>, moves: Vec<(Move, Arc<KeyFacts>)>) {
    let mut copy = Shard::clone(&shard.load());
    let of = |facts: &Arc<KeyFacts>| hash_of(&facts.digest);
    copy.reserve(moves.len(), of);
    for (placing, facts) in moves {
        match placing {
            Move::In => drop(copy.insert_unique(of(&facts), facts, of)),
            Move::Out => {
                if let Ok(entry) = copy.find_entry(of(&facts), |known| Arc::ptr_eq(known, &facts)) {
                    entry.remove();
                }
            }
        }
    }
    shard.store(Arc::new(copy));
}
