//! Authorities that the gateway makes: their keys sealed in the store, their certificates where others find them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use authority::{Authority, Kept};
use aws_lc_rs::rand;
use model::authorities::CertificateAuthority;
use secrets::Vault;

use super::MICROS;
use crate::clock::now;

/// Why an authority is not what the document says.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotThere {
    #[error("{0}")]
    Vault(#[from] secrets::Error),
    #[error("{0}")]
    Authority(#[from] authority::Error),
    #[error("what was kept of it cannot be read: {0}")]
    Kept(#[from] serde_json::Error),
    #[error("{0} cannot be used: {1}")]
    File(PathBuf, std::io::Error),
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// Where the keys are of authorities that the gateway makes.
pub(super) struct Keeper {
    pub(super) vault: Arc<Vault>,
    pub(super) folder: PathBuf,
}

/// An authority, and earlier certificates of its key that are valid still.
pub(super) type Renewed = (Authority, Vec<String>);

impl Keeper {
    /// An authority whose key is in the vault; made, if it is not there.
    pub(super) fn kept(&self, name: &str, settings: &CertificateAuthority) -> Result<Renewed, NotThere> {
        let kept = self.vault.update(&place(name), |kept| {
            if let Some(kept) = kept {
                return Ok((serde_json::from_slice::<Kept>(&kept)?, None));
            }
            let (serial, from, until) = span(settings)?;
            let made = Authority::make(settings.common_name.as_deref().unwrap_or(name), serial, from, until)?;
            let content = serde_json::to_vec(&made)?;
            Ok::<_, NotThere>((made, Some(content)))
        })?;
        self.published(name, kept)
    }

    /// An authority with a new certificate.
    pub(super) fn renewed(&self, name: &str, settings: &CertificateAuthority) -> Result<Renewed, NotThere> {
        let kept = self.vault.update(&place(name), |kept| {
            let kept: Kept = serde_json::from_slice(&kept.unwrap_or_default())?;
            let (serial, from, until) = span(settings)?;
            let renewed = Authority::renew(&kept, serial, from, until)?;
            let content = serde_json::to_vec(&renewed)?;
            Ok::<_, NotThere>((renewed, Some(content)))
        })?;
        self.published(name, kept)
    }

    fn published(&self, name: &str, kept: Kept) -> Result<Renewed, NotThere> {
        let all = kept.certificate.clone() + &kept.before.concat();
        self.publish(name, &all)?;
        Ok((Authority::read(&kept.certificate, &kept.key)?, kept.before))
    }

    /// Puts the certificates, which are no secret, where listeners and operators find them.
    fn publish(&self, name: &str, certificate: &str) -> Result<(), NotThere> {
        let file = file(&self.folder, name);
        if fs::read_to_string(&file).is_ok_and(|known| known == certificate) {
            return Ok(());
        }
        let written = fs::create_dir_all(&self.folder).and_then(|()| {
            let new = file.with_extension("new");
            fs::write(&new, certificate)?;
            fs::rename(&new, &file)
        });
        written.map_err(|error| NotThere::File(file, error))
    }
}

/// Where an authority is in the vault.
fn place(name: &str) -> String {
    format!("authority-{name}")
}

/// A serial number for a certificate, and from when until when it is valid.
fn span(settings: &CertificateAuthority) -> Result<([u8; 16], u64, u64), NotThere> {
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_unspecified| NotThere::NoRandomness)?;
    let from = now().0 / MICROS;
    Ok((serial, from, from + settings.lasts.duration().as_secs()))
}

/// Where the certificates of an authority are in a folder.
pub(super) fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.pem"))
}
