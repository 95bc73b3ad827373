//! The pepper: what the hashes of secrets are keyed with, and what no copy of the store reveals.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use secrets::Vault;
use store::KeyHash;

/// What it is called in the vault.
const NAME: &str = "pepper";

/// Bytes of a pepper.
const LENGTH: usize = 32;

/// Bytes of a digest.
pub(crate) const DIGEST: usize = 32;

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
    pub(crate) fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The hash to keep of a secret.
    pub(crate) fn hash(&self, secret: &[u8]) -> KeyHash {
        KeyHash { algorithm: self.algorithm.clone(), digest: hmac::sign(&self.key, secret).as_ref().to_vec() }
    }

    /// Whether `digest` is that of `secret`, in a time that does not depend on where they part.
    pub(crate) fn matches(&self, secret: &[u8], digest: &[u8; DIGEST]) -> bool {
        verify_slices_are_equal(hmac::sign(&self.key, secret).as_ref(), digest).is_ok()
    }
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
    fn a_hash_matches_its_secret_and_pepper_only() {
        let (pepper, other) = (Pepper::new(&[1; 32]), Pepper::new(&[2; 32]));
        let hash = pepper.hash(b"secret");
        let digest: &[u8; DIGEST] = hash.digest.as_slice().try_into().unwrap();

        assert!(pepper.matches(b"secret", digest));
        assert!(!pepper.matches(b"Secret", digest));
        assert!(!other.matches(b"secret", digest));
        assert_ne!(pepper.algorithm(), other.algorithm());
        assert_eq!(hash.algorithm, pepper.algorithm());
    }
}
