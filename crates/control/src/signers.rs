//! The keys of `signing`: made, kept sealed in the store, and exchanged when it is time.

use std::collections::HashMap;
use std::sync::Arc;

use model::Document;
use model::keys::{SigningAlgorithm, SigningKeys};
use parking_lot::Mutex;
use policies::backend_token::Signers;
use problem::{Finding, Pointer};
use secrets::Vault;
use signing::{Algorithm, Ring, Schedule, Signer};

use crate::clock::now;

/// Why keys are not what they should be by now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTended {
    /// The vault failed.
    #[error("{0}")]
    Vault(#[from] secrets::Error),
    /// The keys failed.
    #[error("{0}")]
    Keys(#[from] signing::Error),
}

/// Signers whose keys are kept in the store.
pub(crate) struct KeptSigners {
    vault: Arc<Vault>,
    /// All that there were, so that what still uses one has it tended too.
    known: Mutex<HashMap<String, Arc<Signer>>>,
    /// Those of the document that is compiled next or serves.
    named: Mutex<Vec<String>>,
}

impl KeptSigners {
    pub(crate) fn new(vault: Arc<Vault>) -> Self {
        Self { vault, known: Mutex::default(), named: Mutex::default() }
    }

    /// Has the keys of a document at hand before it is compiled; makes those that are new.
    pub(crate) fn prepare(&self, document: &Document) -> Result<(), Vec<Finding>> {
        let findings = check(document);
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut findings = Vec::new();
        for (name, keys) in &document.signing {
            if let Err(error) = self.tend(name, keys) {
                let at = Pointer::default().at("signing").at(name);
                findings.push(Finding::new(&at, format!("has keys that cannot be used: {error}")));
            }
        }
        *self.named.lock() = document.signing.keys().cloned().collect();
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Does what is due by now for all keys of a document.
    pub(crate) fn tend_all(&self, document: &Document) {
        for (name, keys) in &document.signing {
            if let Err(error) = self.tend(name, keys) {
                tracing::error!(keys = name, %error, "signing keys could not be looked after; those at hand sign on");
            }
        }
    }

    fn tend(&self, name: &str, keys: &SigningKeys) -> Result<(), NotTended> {
        let (algorithm, schedule) = (algorithm(keys.algorithm), schedule(keys));
        let ring = self.vault.update(&format!("signing-{name}"), |kept| {
            Ok::<_, NotTended>(Ring::tended(kept.as_deref(), algorithm, schedule, now().0 / 1_000_000)?)
        })?;
        let mut known = self.known.lock();
        match known.get(name) {
            Some(signer) => signer.replace(ring),
            None => drop(known.insert(name.to_owned(), Arc::new(Signer::new(ring)))),
        }
        Ok(())
    }
}

impl Signers for KeptSigners {
    fn named(&self, name: &str) -> Option<Arc<Signer>> {
        let is_named = self.named.lock().iter().any(|known| known == name);
        if is_named { self.known.lock().get(name).cloned() } else { None }
    }

    fn names(&self) -> Vec<String> {
        self.named.lock().clone()
    }
}

/// Signers without keys, for documents that are only looked at.
pub(crate) struct NamedSigners(Vec<String>);

impl NamedSigners {
    pub(crate) fn of(document: &Document) -> Self {
        Self(document.signing.keys().cloned().collect())
    }
}

impl Signers for NamedSigners {
    fn named(&self, name: &str) -> Option<Arc<Signer>> {
        self.0.iter().any(|known| known == name).then(|| Arc::new(Signer::new(Ring::default())))
    }

    fn names(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// What is wrong with the keys of a document, and with those that close them.
pub(crate) fn check(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root = Pointer::default();
    for (name, keys) in &document.signing {
        let at = root.at("signing").at(name);
        let mut wrong = |at: &Pointer, message: &str| findings.push(Finding::new(at, message));
        if document.store.is_none() {
            wrong(&at, "needs a place to be kept in: configure a `store`");
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            wrong(&at, "has a name that cannot be that of a file: letters, digits, `-` and `_`");
        }
        let schedule = schedule(keys);
        if schedule.overlap < SHORTEST_OVERLAP {
            wrong(&at.at("overlap"), "is too short for verifiers to notice: at least `5m`");
        }
        if schedule.rotate < 2 * schedule.overlap {
            wrong(&at.at("rotate"), "must be twice `overlap` at least");
        }
    }
    let at = root.at("encryption").at("master_keys");
    match &document.encryption.master_keys {
        Some(keys) if keys.is_empty() => {
            findings.push(Finding::new(&at, "names no key; leave it out to have one made"));
        }
        Some(keys) => {
            let wrong = keys.iter().enumerate().filter(|(_, key)| !secrets::is_master_key(key));
            let message = "is not 32 bytes in base64; `openssl rand -base64 32` makes such a key";
            findings.extend(wrong.map(|(index, _)| Finding::new(&at.at(index), message)));
        }
        None => {}
    }
    findings.extend(transit::check(&document.encryption));
    findings
}

fn algorithm(written: SigningAlgorithm) -> Algorithm {
    match written {
        SigningAlgorithm::Es256 => Algorithm::Es256,
        SigningAlgorithm::Rs256 => Algorithm::Rs256,
        SigningAlgorithm::EdDsa => Algorithm::EdDsa,
    }
}

fn schedule(keys: &SigningKeys) -> Schedule {
    Schedule { rotate: keys.rotate.duration().as_secs(), overlap: keys.overlap.duration().as_secs() }
}

/// Tokens live for two minutes at most, and verifiers ask every five by default.
const SHORTEST_OVERLAP: u64 = 300;
