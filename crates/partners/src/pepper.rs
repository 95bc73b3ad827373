//! The pepper: what the hashes of secrets are keyed with, and what no copy of the store reveals.

use std::fmt;

use aws_lc_rs::{hmac, rand};
use secrets::Vault;
use store::KeyHash;

use crate::imported::is_imported;

/// What it is called in the vault.
const NAME: &str = "pepper";

/// Bytes of a pepper.
const LENGTH: usize = 32;

/// Bytes of a digest.
pub(crate) const DIGEST: usize = 32;

/// What the index finds a key by: the first half of a digest, which nobody can guess either, and which a million keys need
/// less memory for.
pub(crate) type Mark = [u8; DIGEST / 2];

/// The key of all hashes of secrets, ready for use.
pub struct Pepper {
    key: hmac::Key,
    algorithm: String,
}

/// Why there is no pepper.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// The vault cannot be used.
    #[error(transparent)]
    Vault(#[from] secrets::Error),
    /// The vault holds something else.
    #[error("the vault holds no pepper under this name: that would be {LENGTH} bytes")]
    NotOne,
    /// There is no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl Pepper {
    /// The pepper that is kept in a vault; made, if there is none.
    pub fn load_or_create(vault: &Vault) -> Result<Self, PepperError> {
        let content = vault.update(NAME, |kept| {
            if let Some(pepper) = kept {
                return Ok((pepper, None));
            }
            let mut pepper = [0; LENGTH];
            rand::fill(&mut pepper).map_err(|_unspecified| PepperError::NoRandomness)?;
            Ok::<_, PepperError>((pepper.to_vec(), Some(pepper.to_vec())))
        })?;
        Ok(Self::new(content.as_slice().try_into().map_err(|_other_size| PepperError::NotOne)?))
    }

    /// A pepper that is kept elsewhere.
    pub fn new(pepper: &[u8; LENGTH]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, pepper);
        // The tag says which pepper, so that keys hashed with a lost one are noticed and not just wrong.
        let named = hmac::sign(&key, b"the name of this pepper");
        let name = named.as_ref().first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
        Self { key, algorithm: format!("hmac-sha256/{name:08x}") }
    }

    /// The tag of hashes made with this pepper.
    #[cfg(test)]
    fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The hash to keep of a secret.
    pub fn hash(&self, secret: &[u8]) -> KeyHash {
        KeyHash { algorithm: self.algorithm.clone(), digest: hmac::sign(&self.key, secret).as_ref().to_vec() }
    }

    /// What the index finds a secret by that this gateway hashes.
    pub(crate) fn mark(&self, secret: &[u8]) -> Mark {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(secret);
        first_half(context.sign().as_ref())
    }

    /// What the index finds a secret by that was hashed elsewhere.
    ///
    /// It is hashed again with the pepper: whoever chooses a secret can choose its SHA-256, and could otherwise learn from
    /// the time of a search how the hashes of others begin.
    pub(crate) fn mark_of_hash(&self, algorithm: &str, hash: &[u8; DIGEST]) -> Mark {
        let mut context = hmac::Context::with_key(&self.key);
        // No header has a zero byte, so nobody can present this text.
        for part in [b"imported\0", algorithm.as_bytes(), b"\0", hash] {
            context.update(part);
        }
        first_half(context.sign().as_ref())
    }

    /// What the index finds a key by whose hash is kept; nothing, if it is of another pepper or of an algorithm not known.
    pub(crate) fn place(&self, kept: &KeyHash) -> Option<Mark> {
        let digest: &[u8; DIGEST] = kept.digest.as_slice().try_into().ok()?;
        if kept.algorithm == self.algorithm {
            return Some(first_half(digest));
        }
        is_imported(&kept.algorithm).then(|| self.mark_of_hash(&kept.algorithm, digest))
    }
}

fn first_half(digest: &[u8]) -> Mark {
    digest.first_chunk().copied().unwrap_or_default()
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({})", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use secrets::Masters;
    use tempfile::TempDir;

    use super::*;

    fn vault(folder: &TempDir) -> Vault {
        Vault::open(&folder.path().join("secrets"), Masters::File(folder.path().join("master.key"))).unwrap()
    }

    #[test]
    fn a_pepper_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = Pepper::load_or_create(&vault(&folder)).unwrap();
        let second = Pepper::load_or_create(&vault(&folder)).unwrap();
        assert_eq!(first.algorithm(), second.algorithm());
    }

    #[test]
    fn something_of_another_size_is_no_pepper_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(&folder);
        for content in [&b""[..], b"short", &[7; 33]] {
            vault.update::<_, secrets::Error>(NAME, |_| Ok(((), Some(content.to_vec())))).unwrap();
            assert!(matches!(Pepper::load_or_create(&vault), Err(PepperError::NotOne)));
            assert_eq!(vault.get(NAME).unwrap().unwrap(), content);
        }
    }

    #[test]
    fn a_hash_is_of_its_secret_and_pepper_only() {
        let (pepper, other) = (Pepper::new(&[1; 32]), Pepper::new(&[2; 32]));
        let hash = pepper.hash(b"secret");

        assert_eq!(pepper.place(&hash), Some(pepper.mark(b"secret")));
        assert_ne!(pepper.mark(b"Secret"), pepper.mark(b"secret"));
        assert_eq!(other.place(&hash), None);
        assert_eq!(hash.algorithm, pepper.algorithm());
    }

    #[test]
    fn a_hash_made_elsewhere_is_found_by_a_digest_that_only_the_pepper_gives() {
        let (pepper, other) = (Pepper::new(&[1; 32]), Pepper::new(&[2; 32]));
        let of = |algorithm: &str| KeyHash { algorithm: algorithm.to_owned(), digest: vec![7; 32] };

        let found = pepper.place(&of("sha-256")).unwrap();

        assert_eq!(found, pepper.mark_of_hash("sha-256", &[7; 32]));
        assert_ne!(found, [7; 16]);
        assert_ne!(Some(found), other.place(&of("sha-256")));
        assert_ne!(Some(found), pepper.place(&of("hmac-sha-256:legacy")));
        assert_eq!(pepper.place(&of("md5")), None);
    }
}
