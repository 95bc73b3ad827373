//! The master keys: those that wrap data keys.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::envelope::SealingKey;
use crate::private_file::{place, read, replace};

/// Where master keys come from. The first one wraps; all of them open.
#[derive(Clone)]
pub enum Masters {
    /// A file with a key in base64 on each line, made at first use.
    File(PathBuf),
    /// Keys in base64, as the configuration gives them.
    Given(Vec<String>),
}

impl Masters {
    /// The keys, the one in use first.
    pub(crate) fn keys(&self) -> Result<Vec<SealingKey>, Error> {
        let keys = match self {
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

    /// The file to put a new key into, if this gateway may make one itself.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Given(_) => None,
        }
    }
}

/// Whether a text is a master key.
pub fn is_master_key(text: &str) -> bool {
    SealingKey::from_base64(text).is_some()
}

/// Writes these keys into the file in place of those in it.
pub(crate) fn write(path: &Path, keys: &[SealingKey]) -> Result<(), Error> {
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
