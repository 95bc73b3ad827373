//! The keys that sign a room's tokens: made when the first one is needed, and kept sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use secrets::Vault;
use serde_json::Value;
use signing::{Algorithm, Ring, Schedule, Signer};
use tokio::sync::Semaphore;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum NoKeys {
    /// They cannot be read or kept.
    #[error("keys of a room cannot be read or kept")]
    Vault(#[from] secrets::Error),
    /// They cannot be made, or used.
    #[error(transparent)]
    Signing(#[from] signing::Error),
    /// Whoever made them broke off.
    #[error("keys of a room could not be made")]
    BrokenOff,
}

/// How many signatures are made at a time: each takes a core for a moment, and whoever has a token may ask for it again and
/// again.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Semaphore>);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))))
    }

    /// Has work done beside traffic once it is its turn. None: it broke off.
    pub(crate) async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = self.0.clone().acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.ok()
    }
}

/// The keys of a room.
pub(crate) struct Keys {
    vault: Arc<Vault>,
    name: String,
    signer: ArcSwapOption<Signer>,
    /// What was kept when it was looked at last.
    seen: Mutex<Vec<u8>>,
    /// When that was, in seconds since 1970.
    looked: AtomicU64,
}

/// A key that was made to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Its name.
    pub id: String,
    /// When it begins to sign, in seconds since 1970.
    pub from: u64,
    /// All public keys of the room that verifiers may need.
    pub public_keys: Vec<Value>,
}

impl Keys {
    pub(crate) fn of(vault: Arc<Vault>, room: &str) -> Self {
        Self {
            vault,
            name: format!("room-{room}"),
            signer: ArcSwapOption::empty(),
            seen: Mutex::default(),
            looked: AtomicU64::new(0),
        }
    }

    /// What signs. It is made if need be, which takes a moment that no thread of traffic should wait for. Keys whose tokens may
    /// hold until a time stay until then.
    pub(crate) fn signer(&self, now: u64, tokens_until: u64) -> Result<Arc<Signer>, NoKeys> {
        if let Some(signer) = self.at_hand() {
            return Ok(signer);
        }
        self.read_anew(now, tokens_until)
    }

    /// What signs, if it is at hand.
    pub(crate) fn at_hand(&self) -> Option<Arc<Signer>> {
        self.signer.load_full()
    }

    /// Whether it is time to look whether another node has exchanged the keys: once a second at most.
    pub(crate) fn may_look(&self, now: u64) -> bool {
        self.looked.swap(now, Ordering::Relaxed) != now
    }

    /// Looks whether another node has exchanged the keys. It blocks.
    pub(crate) fn look_again(&self, now: u64, tokens_until: u64) -> Result<(), NoKeys> {
        let is_changed = self.vault.get(&self.name)?.is_some_and(|kept| kept != *self.seen.lock());
        if is_changed {
            self.read_anew(now, tokens_until)?;
        }
        Ok(())
    }

    /// Signs with a key that somebody else made from now on.
    pub(crate) fn import(&self, jwk: &Value, now: u64) -> Result<Arc<Signer>, NoKeys> {
        let (ring, kept) = self.vault.update(&self.name, |kept| {
            let (ring, kept) = Ring::with_imported(kept.as_deref(), jwk, now)?;
            Ok::<_, NoKeys>(((ring, kept.clone()), Some(kept)))
        })?;
        Ok(self.use_from_now_on(ring, kept))
    }

    /// Makes another key, which signs from a time on.
    pub(crate) fn rotate(&self, now: u64, from: u64) -> Result<Rotated, NoKeys> {
        let (ring, kept) = self.vault.update(&self.name, |kept| {
            let (ring, kept) = Ring::rotated(kept.as_deref(), Algorithm::Rs256, now, from)?;
            Ok::<_, NoKeys>(((ring, kept.clone()), Some(kept)))
        })?;
        let id = ring.last().map(|(id, _)| id.to_owned()).unwrap_or_default();
        let signer = self.use_from_now_on(ring, kept);
        Ok(Rotated { id, from, public_keys: signer.public_keys() })
    }

    fn read_anew(&self, now: u64, tokens_until: u64) -> Result<Arc<Signer>, NoKeys> {
        let overlap = if tokens_until > now { AS_LONG_AS_NEEDED } else { OVERLAP };
        // Keys stay until another one is made or imported; those before it, as long as tokens of theirs may be around.
        let schedule = Schedule { rotate: u64::MAX, overlap };
        let (ring, kept) = self.vault.update(&self.name, |kept| {
            let (ring, changed) = Ring::tended(kept.as_deref(), Algorithm::Rs256, schedule, now)?;
            Ok::<_, NoKeys>(((ring, changed.clone().or(kept).unwrap_or_default()), changed))
        })?;
        Ok(self.use_from_now_on(ring, kept))
    }

    fn use_from_now_on(&self, ring: Ring, kept: Vec<u8>) -> Arc<Signer> {
        let signer = Arc::new(Signer::new(ring));
        *self.seen.lock() = kept;
        self.signer.store(Some(signer.clone()));
        signer
    }
}

/// Seconds for which keys stay at least that sign no more.
const OVERLAP: u64 = 30 * 24 * 60 * 60;
/// Longer than any token holds.
const AS_LONG_AS_NEEDED: u64 = 100 * 365 * 24 * 60 * 60;
