//! The keys that sign a room's tokens: made when the first one is needed, and kept sealed.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use secrets::Vault;
use serde_json::Value;
use signing::{Algorithm, Ring, Schedule, Signer};

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
