//! Access keys: what programs sign their requests with that were made for AWS. Their secrets are kept sealed, because whoever
//! verifies a signature needs them.

use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use secrets::Vault;
use serde::{Deserialize, Serialize};

/// A key that programs sign requests with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// By which requests name it.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// How far it goes.
    pub reach: Reach,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    secret: String,
}

/// How far an access key goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Rooms are looked at and changed.
    #[default]
    Operator,
    /// Rooms are looked at.
    Auditor,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// Another one is called that.
    #[error("there is an access key of this name already")]
    NameTaken,
    /// So many are enough.
    #[error("there are {MOST} access keys already")]
    TooMany,
    /// Keys cannot be read or kept.
    #[error("access keys cannot be read or kept: {0}")]
    Vault(#[from] secrets::Error),
    /// What is kept are no keys.
    #[error("the access keys that were kept cannot be read")]
    Damaged,
    /// Whoever looked broke off.
    #[error("access keys could not be read")]
    BrokenOff,
}

/// All access keys of a store.
pub struct AccessKeys {
    vault: Arc<Vault>,
    /// As they were at a time in seconds.
    known: Mutex<Option<(u64, Arc<[AccessKey]>)>>,
}

impl AccessKey {
    /// What signatures are made with.
    pub fn expose(&self) -> &str {
        &self.secret
    }

    fn new(name: &str, reach: Reach, now: u64) -> Result<Self, NotMade> {
        let (mut id, mut secret) = ([0; 18], [0; 30]);
        rand::fill(&mut id)
            .and_then(|()| rand::fill(&mut secret))
            .map_err(|_unspecified| secrets::Error::NoRandomness)?;
        let letters =
            id.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32))).map(|letter| char::from(*letter));
        let (id, secret) = ("VK".chars().chain(letters).collect(), STANDARD.encode(secret));
        Ok(Self { id, name: name.to_owned(), reach, created: now, secret })
    }
}

impl AccessKeys {
    /// Those that are sealed in this vault.
    pub fn kept_in(vault: Arc<Vault>) -> Self {
        Self { vault, known: Mutex::default() }
    }

    /// All of them, in the order of making. It blocks.
    pub fn all(&self) -> Result<Vec<AccessKey>, NotMade> {
        read(self.vault.get(KEPT)?.as_deref())
    }

    /// Makes one. It blocks.
    pub fn create(&self, name: &str, reach: Reach, now: u64) -> Result<AccessKey, NotMade> {
        let made = AccessKey::new(name, reach, now)?;
        self.change(|keys| {
            if keys.iter().any(|key| key.name == name) {
                return Err(NotMade::NameTaken);
            }
            if keys.len() >= MOST {
                return Err(NotMade::TooMany);
            }
            keys.push(made.clone());
            Ok(made)
        })
    }

    /// Has one sign nothing any more; whether there was one of this name. It blocks.
    pub fn revoke(&self, name: &str) -> Result<bool, NotMade> {
        self.change(|keys| {
            let before = keys.len();
            keys.retain(|key| key.name != name);
            Ok(keys.len() < before)
        })
    }

    /// The key of this id, as it was a second ago at most, at a time in seconds.
    pub async fn find(self: &Arc<Self>, id: &str, now: u64) -> Result<Option<AccessKey>, NotMade> {
        let found = |keys: &[AccessKey]| keys.iter().find(|key| key.id == id).cloned();
        if let Some((at, keys)) = &*self.known.lock()
            && *at == now
        {
            return Ok(found(keys));
        }
        let this = self.clone();
        let keys: Arc<[AccessKey]> =
            tokio::task::spawn_blocking(move || this.all()).await.map_err(|_panic| NotMade::BrokenOff)??.into();
        *self.known.lock() = Some((now, keys.clone()));
        Ok(found(&keys))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<AccessKey>) -> Result<T, NotMade>) -> Result<T, NotMade> {
        let changed = self.vault.update(KEPT, |kept| {
            let mut keys = read(kept.as_deref())?;
            let changed = change(&mut keys)?;
            Ok::<_, NotMade>((changed, Some(serde_json::to_vec(&keys).unwrap_or_default())))
        })?;
        *self.known.lock() = None;
        Ok(changed)
    }
}

fn read(kept: Option<&[u8]>) -> Result<Vec<AccessKey>, NotMade> {
    kept.map_or_else(|| Ok(Vec::new()), |kept| serde_json::from_slice(kept).map_err(|_error| NotMade::Damaged))
}

/// The name under which they are in the vault.
const KEPT: &str = "room-access-keys";
/// Letters of an id.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// How many there are at most.
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use secrets::Masters;

    use super::*;

    #[tokio::test]
    async fn a_key_is_found_until_it_is_revoked_and_kept_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path(), Masters::File(folder.path().join("master.key"))).unwrap();
        let keys = Arc::new(AccessKeys::kept_in(Arc::new(vault)));
        let made = keys.create("ci", Reach::Operator, 5).unwrap();
        assert!(made.id.starts_with("VK") && made.id.len() == 20 && made.expose().len() == 40, "{}", made.id);
        assert!(matches!(keys.create("ci", Reach::Auditor, 6), Err(NotMade::NameTaken)));
        assert!(keys.find(&made.id, 6).await.unwrap() == Some(made.clone()));
        assert!(keys.find("VKOTHER", 6).await.unwrap().is_none());
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let content = std::fs::read(file.unwrap().path()).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&content).contains(made.expose()), "the secret is readable");
        }

        assert!(keys.revoke("ci").unwrap() && !keys.revoke("ci").unwrap());
        assert!(keys.find(&made.id, 6).await.unwrap().is_none());
    }
}
