//! One sealed text: AES-256-GCM with a nonce of its own, bound to what it is for.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;

/// Bytes of a key.
const LENGTH: usize = 32;

/// A key that seals and opens.
#[derive(Clone)]
pub struct SealingKey([u8; LENGTH]);

impl SealingKey {
    /// A new key, of chance.
    pub fn generate() -> Result<Self, Error> {
        let mut key = [0; LENGTH];
        rand::fill(&mut key).map_err(|_unspecified| Error::NoRandomness)?;
        Ok(Self(key))
    }

    /// The key of these bytes, if they are as many as a key has.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn from_base64(text: &str) -> Option<Self> {
        Self::from_bytes(&STANDARD.decode(text.trim()).ok()?)
    }

    pub(crate) fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Its bytes, to be kept.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Names the key without saying anything about it.
    pub(crate) fn id(&self) -> String {
        let hash = digest(&SHA256, &[b"the name of this key".as_slice(), &self.0].concat());
        let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
        format!("{:016x}", u64::from_be_bytes(first))
    }

    /// Seals a text for a purpose: nonce, ciphertext and tag in base64.
    pub fn seal(&self, content: &[u8], purpose: &str) -> Result<String, Error> {
        let key = self.cipher()?;
        let mut sealed = content.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed);
        let nonce = nonce.map_err(|_unspecified| Error::NoRandomness)?;
        Ok(STANDARD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed with this key for this purpose, and nothing else.
    pub fn open(&self, sealed: &str, purpose: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let mut content = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = self.cipher().ok()?.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut content).ok()?.len();
        content.truncate(length);
        Some(content)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, Error> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.0).map_err(|_unspecified| Error::NoRandomness)
    }
}

impl Drop for SealingKey {
    fn drop(&mut self) {
        self.0 = [0; LENGTH];
        // So that the compiler does not leave the write out as one that nobody reads.
        std::hint::black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_and_only_for_the_same_purpose() {
        let (key, other) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        let sealed = key.seal(b"secret", "a").unwrap();

        assert_eq!(key.open(&sealed, "a").unwrap(), b"secret");
        assert_eq!(key.open(&sealed, "b"), None);
        assert_eq!(other.open(&sealed, "a"), None);
        assert_ne!(key.seal(b"secret", "a").unwrap(), sealed, "each has a nonce of its own");
        for broken in ["", "AAAA", &sealed.replacen(char::is_alphanumeric, "", 4), &format!("AAAA{sealed}")] {
            assert_eq!(key.open(broken, "a"), None);
        }
    }
}
