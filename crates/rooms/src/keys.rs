//! The keys that sign a room's tokens: made when the first one is needed, and kept sealed.

use std::sync::Arc;
use std::thread::available_parallelism;

use arc_swap::ArcSwapOption;
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
}

impl Keys {
    pub(crate) fn of(vault: Arc<Vault>, room: &str) -> Self {
        Self { vault, name: format!("room-{room}"), signer: ArcSwapOption::empty() }
    }

    /// What signs. It is made if need be, which takes a moment that no thread of traffic should wait for.
    pub(crate) fn signer(&self, now: u64) -> Result<Arc<Signer>, NoKeys> {
        if let Some(signer) = self.at_hand() {
            return Ok(signer);
        }
        let ring = self.vault.update(&self.name, |kept| {
            Ok::<_, NoKeys>(Ring::tended(kept.as_deref(), Algorithm::Rs256, SCHEDULE, now)?)
        })?;
        Ok(self.use_from_now_on(ring))
    }

    /// What signs, if it is at hand.
    pub(crate) fn at_hand(&self) -> Option<Arc<Signer>> {
        self.signer.load_full()
    }

    /// Signs with a key that somebody else made from now on.
    pub(crate) fn import(&self, jwk: &Value, now: u64) -> Result<Arc<Signer>, NoKeys> {
        let ring = self.vault.update(&self.name, |kept| {
            let (ring, kept) = Ring::with_imported(kept.as_deref(), jwk, now)?;
            Ok::<_, NoKeys>((ring, Some(kept)))
        })?;
        Ok(self.use_from_now_on(ring))
    }

    fn use_from_now_on(&self, ring: Ring) -> Arc<Signer> {
        let signer = Arc::new(Signer::new(ring));
        self.signer.store(Some(signer.clone()));
        signer
    }
}

/// Keys stay until another one is imported; those before it, as long as tokens of theirs may be around.
const SCHEDULE: Schedule = Schedule { rotate: u64::MAX, overlap: 30 * 24 * 60 * 60 };
