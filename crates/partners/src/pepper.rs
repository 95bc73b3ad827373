//! The pepper: what the hashes of secrets are keyed with, and what no copy of the store reveals.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};
use store::KeyHash;

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
    /// The file cannot be read or made.
    #[error("the pepper in {0} cannot be read or made")]
    Io(PathBuf, #[source] io::Error),
    /// Others than its owner may read the file.
    #[error("the pepper in {0} has the mode {1:o}: others may read it; use 600")]
    Exposed(PathBuf, u32),
    /// The file holds something else.
    #[error("the file {0} holds no pepper: that would be {LENGTH} bytes")]
    NotOne(PathBuf),
    /// There is no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl Pepper {
    /// Reads the pepper of this gateway, and makes one at the first start.
    pub fn load_or_create(path: &Path) -> Result<Self, PepperError> {
        let failed = |cause| PepperError::Io(path.to_owned(), cause);
        match File::open(path) {
            Ok(file) => Self::load(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut pepper = [0; LENGTH];
                rand::fill(&mut pepper).map_err(|_unspecified| PepperError::NoRandomness)?;
                place(path, &pepper).map_err(failed)?;
                // Another process may have been faster: what is in the file counts.
                Self::load(path, File::open(path).map_err(failed)?)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A pepper that is kept elsewhere.
    pub fn new(pepper: &[u8; LENGTH]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, pepper);
        // The tag says which pepper, so that keys hashed with a lost one are noticed and not just wrong.
        let named = hmac::sign(&key, b"the name of this pepper");
        let name = named.as_ref().first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
        Self { key, algorithm: format!("hmac-sha256/{name:08x}") }
    }

    fn load(path: &Path, file: File) -> Result<Self, PepperError> {
        let failed = |cause| PepperError::Io(path.to_owned(), cause);
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(PepperError::Exposed(path.to_owned(), mode));
        }
        let mut bytes = Vec::new();
        file.take(LENGTH as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        match bytes.as_slice().try_into() {
            Ok(pepper) => Ok(Self::new(pepper)),
            Err(_) => Err(PepperError::NotOne(path.to_owned())),
        }
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

/// Puts a file into its place whole and durable, unless there is one already.
fn place(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unfinished = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    // A link, unlike a rename, fails if there is one: a pepper is never overwritten.
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => File::open(directory)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pepper_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pepper");

        let first = Pepper::load_or_create(&path).unwrap();
        let second = Pepper::load_or_create(&path).unwrap();

        assert_eq!(first.algorithm(), second.algorithm());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&path).unwrap().len(), LENGTH);
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_pepper_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pepper");
        Pepper::load_or_create(&path).unwrap();
        for (mode, is_fine) in [(0o640, false), (0o604, false), (0o620, false), (0o400, true), (0o600, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Pepper::load_or_create(&path).is_ok(), is_fine, "{mode:o}");
        }
    }

    #[test]
    fn a_file_of_another_size_is_no_pepper_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pepper");
        for content in [&b""[..], b"short", &[7; 33]] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(Pepper::load_or_create(&path), Err(PepperError::NotOne(_))));
            assert_eq!(fs::read(&path).unwrap(), content);
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
