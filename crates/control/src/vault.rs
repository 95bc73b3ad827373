//! Where secrets are kept that must not be read from a disk or a backup.

use std::path::Path;

use model::keys::Encryption;
use secrets::{Error, Masters, Vault};

/// The vault of a store's folder, made if it is not there.
pub fn vault(folder: &Path, encryption: &Encryption) -> Result<Vault, Error> {
    let masters = match &encryption.master_keys {
        Some(keys) => Masters::Given(keys.clone()),
        None => Masters::File(folder.join("master.key")),
    };
    Vault::open(&folder.join("secrets"), masters)
}
