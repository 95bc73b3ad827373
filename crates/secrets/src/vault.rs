//! Sealed secrets, and the ring of data keys that they are sealed with.

use std::collections::HashMap;
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::envelope::SealingKey;
use crate::masters::Masters;
use crate::shelf::{Folder, Held, Shelf};

/// Sealed secrets.
pub struct Vault {
    shelf: Box<dyn Shelf>,
    masters: Masters,
    /// Data keys that somebody else opened, by their ids.
    opened: Mutex<HashMap<String, SealingKey>>,
}

/// The data keys as they are kept, the one in use first.
#[derive(Default, Serialize, Deserialize)]
struct Keyring {
    keys: Vec<Wrapped>,
}

/// A data key, sealed with a master key.
#[derive(Serialize, Deserialize)]
pub(crate) struct Wrapped {
    /// A hash of the key.
    pub(crate) id: String,
    /// Which master key it was.
    pub(crate) master: String,
    pub(crate) sealed: String,
}

/// A secret as it is kept.
#[derive(Serialize, Deserialize)]
struct Item {
    key: String,
    sealed: String,
}

impl Vault {
    /// Opens the vault in a folder, and makes what is missing: the folder, a master key's file, a data key.
    pub fn open(folder: &Path, masters: Masters) -> Result<Self, Error> {
        Self::on(Box::new(Folder::open(folder).map_err(Error::Shelf)?), masters)
    }

    /// Opens the vault on a shelf, and makes what is missing: a master key's file, a data key.
    pub fn on(shelf: Box<dyn Shelf>, masters: Masters) -> Result<Self, Error> {
        let vault = Self { shelf, masters, opened: Mutex::default() };
        let lock = vault.lock()?;
        let mut keyring = vault.keyring()?;
        if keyring.keys.is_empty() {
            vault.add_key(&mut keyring)?;
        } else {
            // Whether the master keys fit is better known at the start than when a secret is wanted.
            for wrapped in &keyring.keys {
                vault.opened(wrapped)?;
            }
        }
        drop(lock);
        Ok(vault)
    }

    /// The secret of this name, if there is one.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let damaged = || Error::Damaged(name.to_owned());
        // A key that was rotated between the two reads is not in the ring any more; the secret then has another.
        for _ in 0..3 {
            let Some(content) = self.shelf.read(name).map_err(Error::Shelf)? else { return Ok(None) };
            let item: Item = serde_json::from_slice(&content).map_err(|_error| damaged())?;
            if let Some(key) = self.key(&self.keyring()?, &item.key)? {
                let content = key.open(&item.sealed, &purpose(name));
                return content.map(Some).ok_or_else(damaged);
            }
        }
        Err(damaged())
    }

    /// Changes the secret of this name; no other process does so at the same time. What is returned is kept, if anything is.
    pub fn update<T, E: From<Error>>(
        &self,
        name: &str,
        change: impl FnOnce(Option<Vec<u8>>) -> Result<(T, Option<Vec<u8>>), E>,
    ) -> Result<T, E> {
        let _lock = self.lock()?;
        let (result, content) = change(self.get(name)?)?;
        if let Some(content) = content {
            let key = self.current(&self.keyring()?)?;
            self.write(name, &key, &content)?;
        }
        Ok(result)
    }

    /// Seals everything with a new data key and forgets the others; returns how many secrets there are.
    pub fn rotate_data_key(&self) -> Result<usize, Error> {
        let _lock = self.lock()?;
        let mut keyring = self.keyring()?;
        let key = self.add_key(&mut keyring)?;
        let names = self.names()?;
        for name in &names {
            if let Some(content) = self.get(name)? {
                self.write(name, &key, &content)?;
            }
        }
        keyring.keys.truncate(1);
        self.write_keyring(&keyring)?;
        Ok(names.len())
    }

    /// Wraps the data keys with another master key: a new one, or the first of those that the configuration gives.
    ///
    /// Whenever it is cut short, what is there can still be opened, and it can be done again.
    pub fn rotate_master_key(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.masters.renew()?;
        self.wrap_all_again()
    }

    /// Wraps the data keys with the master key that is in use.
    pub fn wrap_again(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.wrap_all_again()
    }

    fn wrap_all_again(&self) -> Result<(), Error> {
        let mut keyring = self.keyring()?;
        for wrapped in &mut keyring.keys {
            *wrapped = self.masters.wrap_again(wrapped)?;
        }
        self.write_keyring(&keyring)?;
        self.masters.forget_others()
    }

    /// The names of all secrets.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let mut names = self.shelf.names().map_err(Error::Shelf)?;
        names.retain(|name| name != KEYRING);
        Ok(names)
    }

    fn write(&self, name: &str, key: &SealingKey, content: &[u8]) -> Result<(), Error> {
        let item = Item { key: key.id(), sealed: key.seal(content, &purpose(name))? };
        self.shelf.write(name, &serde_json::to_vec(&item).unwrap_or_default()).map_err(Error::Shelf)
    }

    fn keyring(&self) -> Result<Keyring, Error> {
        match self.shelf.read(KEYRING).map_err(Error::Shelf)? {
            Some(content) => serde_json::from_slice(&content).map_err(|_error| Error::Damaged(KEYRING.to_owned())),
            None => Ok(Keyring::default()),
        }
    }

    fn write_keyring(&self, keyring: &Keyring) -> Result<(), Error> {
        let content = serde_json::to_vec(keyring).unwrap_or_default();
        self.shelf.write(KEYRING, &content).map_err(Error::Shelf)
    }

    /// Makes a data key that is used from now on.
    fn add_key(&self, keyring: &mut Keyring) -> Result<SealingKey, Error> {
        let key = SealingKey::generate()?;
        keyring.keys.insert(0, self.masters.wrap(&key)?);
        self.write_keyring(keyring)?;
        Ok(key)
    }

    fn current(&self, keyring: &Keyring) -> Result<SealingKey, Error> {
        self.opened(keyring.keys.first().ok_or_else(|| Error::Damaged(KEYRING.to_owned()))?)
    }

    fn key(&self, keyring: &Keyring, id: &str) -> Result<Option<SealingKey>, Error> {
        let wrapped = keyring.keys.iter().find(|wrapped| wrapped.id == id);
        wrapped.map(|wrapped| self.opened(wrapped)).transpose()
    }

    /// Opens a data key. One that somebody else opens is remembered: it stays of use while that one is away.
    fn opened(&self, wrapped: &Wrapped) -> Result<SealingKey, Error> {
        let Masters::Elsewhere(..) = &self.masters else { return self.masters.open(wrapped) };
        let known = self.opened.lock().get(&wrapped.id).cloned();
        if let Some(key) = known {
            return Ok(key);
        }
        let key = self.masters.open(wrapped)?;
        self.opened.lock().insert(wrapped.id.clone(), key.clone());
        Ok(key)
    }

    /// Others that change something wait until what is returned is dropped.
    fn lock(&self) -> Result<Box<dyn Held + '_>, Error> {
        self.shelf.lock().map_err(Error::Shelf)
    }
}

fn purpose(name: &str) -> String {
    format!("vestibule secret {name}")
}

const KEYRING: &str = "keyring";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use tempfile::TempDir;

    use super::*;
    use crate::masters::Keeper;
    use crate::shelf::Trouble;

    fn in_file(folder: &TempDir) -> Masters {
        Masters::File(folder.path().join("master.key"))
    }

    fn open(folder: &TempDir, masters: Masters) -> Result<Vault, Error> {
        Vault::open(&folder.path().join("secrets"), masters)
    }

    fn put(vault: &Vault, name: &str, content: &[u8]) {
        vault.update::<_, Error>(name, |_| Ok(((), Some(content.to_vec())))).unwrap();
    }

    fn everything_in(folder: &Path) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.extend(everything_in(&path));
            } else {
                assert!(
                    path.ends_with("lock") || fs::metadata(&path).unwrap().permissions().mode() & 0o777 == 0o600,
                    "{path:?}"
                );
                all.extend(fs::read(path).unwrap());
            }
        }
        all
    }

    #[test]
    fn a_secret_is_kept_and_nowhere_to_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let vault = open(&folder, in_file(&folder)).unwrap();
        put(&vault, "a", b"plain text");

        assert_eq!(vault.get("a").unwrap().unwrap(), b"plain text");
        assert_eq!(vault.get("b").unwrap(), None);
        assert_eq!(open(&folder, in_file(&folder)).unwrap().get("a").unwrap().unwrap(), b"plain text");
        let all = everything_in(folder.path());
        assert!(!all.windows(10).any(|window| window == b"plain text"));
    }

    #[test]
    fn keys_are_rotated_while_another_process_reads_and_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (open(&folder, in_file(&folder)).unwrap(), open(&folder, in_file(&folder)).unwrap());
        let master = || fs::read(folder.path().join("master.key")).unwrap();
        let keyring = || fs::read(folder.path().join("secrets/keyring.sealed")).unwrap();
        put(&here, "a", b"1");
        put(&here, "b", b"2");

        let (old_master, old_keyring) = (master(), keyring());
        there.rotate_master_key().unwrap();
        assert_ne!((master(), keyring()), (old_master, old_keyring));
        assert_eq!(here.get("a").unwrap().unwrap(), b"1");
        put(&here, "a", b"3");

        let old_keyring = keyring();
        assert_eq!(there.rotate_data_key().unwrap(), 2);
        assert_ne!(keyring(), old_keyring);
        assert_eq!((here.get("a").unwrap().unwrap(), here.get("b").unwrap().unwrap()), (b"3".to_vec(), b"2".to_vec()));
        assert_eq!(String::from_utf8(master()).unwrap().lines().count(), 1);
        let kept: Keyring = serde_json::from_slice(&keyring()).unwrap();
        assert_eq!(kept.keys.len(), 1);
    }

    #[test]
    fn a_reader_never_misses_a_secret_while_keys_are_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let vault = open(&folder, in_file(&folder)).unwrap();
        put(&vault, "a", b"1");
        std::thread::scope(|scope| {
            let reads = scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(vault.get("a").unwrap().unwrap(), b"1");
                }
            });
            while !reads.is_finished() {
                vault.rotate_data_key().unwrap();
            }
        });
    }

    #[test]
    fn given_master_keys_are_changed_by_giving_the_new_one_first() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = [(); 2].map(|()| SealingKey::generate().unwrap().to_base64());
        let given = |keys: &[&String]| Masters::Given(keys.iter().map(|key| (*key).clone()).collect());
        put(&open(&folder, given(&[&old])).unwrap(), "a", b"1");

        assert!(matches!(open(&folder, given(&[&new])).err(), Some(Error::WrongMasterKey(..))));
        open(&folder, given(&[&new, &old])).unwrap().rotate_master_key().unwrap();

        assert_eq!(open(&folder, given(&[&new])).unwrap().get("a").unwrap().unwrap(), b"1");
        assert!(matches!(open(&folder, given(&[])).err(), Some(Error::NoMasterKey)));
        assert!(matches!(open(&folder, Masters::Given(vec!["short".into()])).err(), Some(Error::NoMasterKey)));
    }

    #[test]
    fn a_secret_that_was_changed_or_renamed_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let vault = open(&folder, in_file(&folder)).unwrap();
        put(&vault, "a", b"1");
        let file = |name: &str| folder.path().join("secrets").join(name);
        fs::copy(file("a.sealed"), file("b.sealed")).unwrap();

        assert!(matches!(vault.get("b"), Err(Error::Damaged(_))));
        fs::write(file("a.sealed"), "{}").unwrap();
        assert!(matches!(vault.get("a"), Err(Error::Damaged(_))));
    }

    /// Wraps by turning bytes around, as long as it is there.
    #[derive(Default)]
    struct Other {
        is_away: AtomicBool,
        version: AtomicU32,
        asked: AtomicU32,
    }

    impl Other {
        fn turned(&self, bytes: &[u8]) -> Result<Vec<u8>, Trouble> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_away.load(Ordering::Relaxed) {
                return Err("nobody answers".into());
            }
            Ok(bytes.iter().map(|byte| byte ^ 0x5a).collect())
        }
    }

    impl Keeper for Other {
        fn name(&self) -> String {
            "other".to_owned()
        }

        fn wrap(&self, key: &[u8]) -> Result<String, Trouble> {
            let turned: Vec<_> = self.turned(key)?.iter().map(ToString::to_string).collect();
            Ok(format!("{}:{}", self.version.load(Ordering::Relaxed), turned.join(" ")))
        }

        fn open(&self, wrapped: &str) -> Result<Vec<u8>, Trouble> {
            let (_, bytes) = wrapped.split_once(':').ok_or("damaged")?;
            self.turned(&bytes.split(' ').map(str::parse).collect::<Result<Vec<u8>, _>>()?)
        }

        fn renew(&self) -> Result<(), Trouble> {
            self.version.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn wrap_again(&self, wrapped: &str) -> Result<String, Trouble> {
            self.wrap(&self.open(wrapped)?)
        }
    }

    #[test]
    fn a_key_that_another_one_opened_stays_of_use_while_that_one_is_away() {
        let folder = tempfile::tempdir().unwrap();
        let other = Arc::new(Other::default());
        let elsewhere = || Masters::Elsewhere(other.clone(), None);
        let vault = open(&folder, elsewhere()).unwrap();
        put(&vault, "a", b"1");
        let again = open(&folder, elsewhere()).unwrap();

        other.is_away.store(true, Ordering::Relaxed);
        put(&again, "a", b"2");
        assert_eq!(again.get("a").unwrap().unwrap(), b"2");
        assert!(matches!(again.rotate_data_key(), Err(Error::Elsewhere(_))));
        assert!(matches!(open(&folder, elsewhere()).err(), Some(Error::Elsewhere(_))));

        other.is_away.store(false, Ordering::Relaxed);
        assert_eq!(again.rotate_data_key().unwrap(), 1);
        let asked = other.asked.load(Ordering::Relaxed);
        for _ in 0..3 {
            assert_eq!(vault.get("a").unwrap().unwrap(), b"2");
        }
        assert_eq!(other.asked.load(Ordering::Relaxed), asked + 1, "a new key is opened once");
    }

    #[test]
    fn data_keys_go_over_to_another_one_and_to_its_newest_version() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = || fs::read_to_string(folder.path().join("secrets/keyring.sealed")).unwrap();
        let other: Arc<dyn Keeper> = Arc::new(Other::default());
        put(&open(&folder, in_file(&folder)).unwrap(), "a", b"1");

        assert!(open(&folder, Masters::Elsewhere(other.clone(), None)).is_err());
        let before = Some(Box::new(in_file(&folder)));
        open(&folder, Masters::Elsewhere(other.clone(), before)).unwrap().wrap_again().unwrap();
        assert!(keyring().contains("\"0:"), "{}", keyring());
        assert!(matches!(open(&folder, in_file(&folder)).err(), Some(Error::WrongMasterKey(..))));

        let vault = open(&folder, Masters::Elsewhere(other, None)).unwrap();
        vault.rotate_master_key().unwrap();
        assert!(keyring().contains("\"1:"), "{}", keyring());
        assert_eq!(vault.get("a").unwrap().unwrap(), b"1");
    }
}
