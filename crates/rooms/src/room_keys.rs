//! The keys of a room, as those ask for them who sign and verify.

use std::sync::Arc;

use serde_json::Value;
use signing::Signer;

use crate::keys::{Keys, NoKeys, Rotated};
use crate::{KeptRoom, Trouble};

impl KeptRoom {
    /// What signs its tokens, and verifies them.
    pub async fn signer(&self, now: u64) -> Result<Arc<Signer>, Trouble> {
        if let Some(signer) = self.keys().at_hand() {
            return Ok(signer);
        }
        let until = self.tokens_until();
        Ok(self.beside_traffic(move |keys| keys.signer(now, until)).await?)
    }

    /// What a token says, if this room signed it, whatever it is by now.
    pub(crate) async fn verified(&self, token: &str, now: u64) -> Result<Option<Vec<u8>>, Trouble> {
        if let Some(claims) = self.signer(now).await?.verified(token) {
            return Ok(Some(claims));
        }
        // Another node may have exchanged the keys a moment ago.
        if !self.is_shared() || !self.keys().may_look(now) {
            return Ok(None);
        }
        let until = self.tokens_until();
        self.beside_traffic(move |keys| keys.look_again(now, until)).await?;
        Ok(self.keys().at_hand().and_then(|signer| signer.verified(token)))
    }

    /// Signs with a key that somebody else made from now on: a private RSA key as a JWK. Returns its public half.
    pub async fn import_key(&self, jwk: Value, now: u64) -> Result<Value, NoKeys> {
        let signer = self.beside_traffic(move |keys| keys.import(&jwk, now)).await?;
        Ok(signer.public_key(now).unwrap_or_default())
    }

    /// Makes another key, which is published from now on and signs after so many seconds. What was signed before stays valid for
    /// as long as it is.
    pub async fn rotate_key(&self, now: u64, after: u64) -> Result<Rotated, NoKeys> {
        // So that there is an old one, which tokens may have been signed with by now.
        let until = self.tokens_until();
        self.beside_traffic(move |keys| {
            keys.signer(now, until)?;
            keys.rotate(now, now.saturating_add(after))
        })
        .await
    }

    /// Looks now and then whether another node has exchanged the keys. It blocks.
    pub(crate) fn tend_keys(&self, now: u64) {
        if !now.is_multiple_of(LOOK)
            || !self.is_shared()
            || self.keys().at_hand().is_none()
            || !self.keys().may_look(now)
        {
            return;
        }
        if let Err(cause) = self.keys().look_again(now, self.tokens_until()) {
            tracing::warn!(room = &**self.name(), %cause, "keys of a waiting room could not be read again");
        }
    }

    /// When the last token that was issued expires, or later.
    fn tokens_until(&self) -> u64 {
        let last = self.look(|room| room.line().tokens.iter().map(|token| token.expires).max().unwrap_or(0));
        last.map_or(u64::MAX, u64::from)
    }

    async fn beside_traffic<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keys) -> Result<T, NoKeys> + Send + 'static,
    ) -> Result<T, NoKeys> {
        let keys = self.keys().clone();
        tokio::task::spawn_blocking(move || work(&keys)).await.unwrap_or(Err(NoKeys::BrokenOff))
    }
}

/// Seconds between two looks at the keys.
const LOOK: u64 = 10;
