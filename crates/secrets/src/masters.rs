//! The master keys: those that wrap data keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::envelope::SealingKey;
use crate::private_file::{place, read, replace};
use crate::shelf::Trouble;
use crate::{Error, vault::Wrapped};

/// Where master keys come from.
#[derive(Clone)]
pub enum Masters {
    /// A file with a key in base64 on each line, made at first use. The first one wraps; all of them open.
    File(PathBuf),
    /// Keys in base64, as the configuration gives them. The first one wraps; all of them open.
    Given(Vec<String>),
    /// A key that never comes here: who has it wraps and opens. The others open what they wrapped before.
    Elsewhere(Arc<dyn Keeper>, Option<Box<Self>>),
}

/// Who has a master key, and wraps and opens data keys with it. Each function may block, within a limit of time.
pub trait Keeper: Send + Sync {
    /// What the key is called; no other master key is called so.
    fn name(&self) -> String;
    /// Wraps a data key.
    fn wrap(&self, key: &[u8]) -> Result<String, Trouble>;
    /// Opens a data key.
    fn open(&self, wrapped: &str) -> Result<Vec<u8>, Trouble>;
    /// Makes a new version of the master key, which wraps from now on. Those before still open.
    fn renew(&self) -> Result<(), Trouble>;
    /// Wraps with the newest version what an older one wrapped.
    fn wrap_again(&self, wrapped: &str) -> Result<String, Trouble>;
}

impl Masters {
    /// Wraps a data key with the master key in use.
    pub(crate) fn wrap(&self, key: &SealingKey) -> Result<Wrapped, Error> {
        match self {
            Self::File(_) | Self::Given(_) => wrap(key, self.keys()?.first().ok_or(Error::NoMasterKey)?),
            Self::Elsewhere(keeper, _) => {
                let sealed = keeper.wrap(key.bytes()).map_err(Error::Elsewhere)?;
                Ok(Wrapped { id: key.id(), master: keeper.name(), sealed })
            }
        }
    }

    /// Opens a data key with whichever master key wrapped it.
    pub(crate) fn open(&self, wrapped: &Wrapped) -> Result<SealingKey, Error> {
        match self {
            Self::File(_) | Self::Given(_) => open(wrapped, &self.keys()?),
            Self::Elsewhere(keeper, _) if wrapped.master == keeper.name() => {
                let bytes = keeper.open(&wrapped.sealed).map_err(Error::Elsewhere)?;
                // Its id is a hash of the key, so that one cannot be given out for another.
                let key = SealingKey::from_bytes(&bytes).filter(|key| key.id() == wrapped.id);
                key.ok_or_else(|| wrong(wrapped))
            }
            Self::Elsewhere(_, Some(before)) => before.open(wrapped),
            Self::Elsewhere(_, None) => Err(wrong(wrapped)),
        }
    }

    /// The keys, the one in use first.
    fn keys(&self) -> Result<Vec<SealingKey>, Error> {
        let keys = match self {
            Self::Elsewhere(..) => None,
            Self::Given(keys) => parsed(keys.iter().map(String::as_str)),
            Self::File(path) => {
                let content = if let Some(content) = read(path, LONGEST)? {
                    content
                } else {
                    place(path, line(&SealingKey::generate()?).as_bytes())?;
                    // Another process may have been faster: what is in the file counts.
                    read(path, LONGEST)?.unwrap_or_default()
                };
                let text = std::str::from_utf8(&content).map_err(|_not_text| Error::NoMasterKey)?;
                parsed(text.lines().filter(|line| !line.trim().is_empty()))
            }
        };
        keys.filter(|keys| !keys.is_empty()).ok_or(Error::NoMasterKey)
    }

    /// Puts a new key before those of a file, or has a keeper make one. Keys that were given stay as they are.
    pub(crate) fn renew(&self) -> Result<(), Error> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Elsewhere(keeper, _) => keeper.renew().map_err(Error::Elsewhere),
            Self::File(path) => {
                let mut keys = self.keys()?;
                keys.insert(0, SealingKey::generate()?);
                write(path, &keys)
            }
        }
    }

    /// Wraps a data key with the master key in use, whichever wrapped it before.
    pub(crate) fn wrap_again(&self, wrapped: &Wrapped) -> Result<Wrapped, Error> {
        match self {
            Self::Elsewhere(keeper, _) if wrapped.master == keeper.name() => {
                let sealed = keeper.wrap_again(&wrapped.sealed).map_err(Error::Elsewhere)?;
                Ok(Wrapped { id: wrapped.id.clone(), master: wrapped.master.clone(), sealed })
            }
            Self::File(_) | Self::Given(_) | Self::Elsewhere(..) => self.wrap(&self.open(wrapped)?),
        }
    }

    /// Takes all keys but the first out of a file: nothing is wrapped with them any more.
    pub(crate) fn forget_others(&self) -> Result<(), Error> {
        match self {
            Self::File(path) => write(path, self.keys()?.get(..1).unwrap_or_default()),
            Self::Given(_) | Self::Elsewhere(..) => Ok(()),
        }
    }
}

/// Whether a text is a master key.
pub fn is_master_key(text: &str) -> bool {
    SealingKey::from_base64(text).is_some()
}

fn wrap(key: &SealingKey, master: &SealingKey) -> Result<Wrapped, Error> {
    let id = key.id();
    let sealed = master.seal(key.bytes(), &key_purpose(&id))?;
    Ok(Wrapped { id, master: master.id(), sealed })
}

fn open(wrapped: &Wrapped, masters: &[SealingKey]) -> Result<SealingKey, Error> {
    let master = masters.iter().find(|master| master.id() == wrapped.master).ok_or_else(|| wrong(wrapped))?;
    let bytes = master.open(&wrapped.sealed, &key_purpose(&wrapped.id));
    bytes.and_then(|bytes| SealingKey::from_bytes(&bytes)).ok_or_else(|| wrong(wrapped))
}

fn wrong(wrapped: &Wrapped) -> Error {
    Error::WrongMasterKey(wrapped.id.clone(), wrapped.master.clone())
}

fn key_purpose(id: &str) -> String {
    format!("vestibule data key {id}")
}

/// Writes these keys into the file in place of those in it.
fn write(path: &Path, keys: &[SealingKey]) -> Result<(), Error> {
    let text: String = keys.iter().map(line).collect();
    Ok(replace(path, text.as_bytes())?)
}

fn line(key: &SealingKey) -> String {
    key.to_base64() + "\n"
}

fn parsed<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Vec<SealingKey>> {
    texts.map(SealingKey::from_base64).collect()
}

/// Bytes that are read of the file.
const LONGEST: u64 = 4096;
