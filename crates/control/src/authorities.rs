//! The authorities of the document: made, kept sealed in the store, read from files; what they sign and what they take
//! back.

mod keeper;
mod renewal;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use authority::Authority;
use bytes::Bytes;
use model::Document;
use model::authorities::{CertificateAuthority, MadeBy, Trust};
use model::listener::{ClientAuth, ServerTls};
use model::read::advice;
use parking_lot::Mutex;
use partners::{AppId, At, Certificate, CertificateId, Issue, Partners};
use policies::revocation_list::{List, Revocations};
use problem::{Finding, Pointer};
use secrets::Vault;
use telemetry::metrics::{Definition, Registry, Unit};

use self::keeper::{Keeper, NotThere, Renewed, file};
use crate::clock::now;

/// The authorities that sign.
#[derive(Default)]
pub struct Authorities {
    keeper: Option<Keeper>,
    signing: Mutex<HashMap<String, Arc<Signing>>>,
    /// Those of a document that is about to serve, unless something is wrong with it.
    coming: Mutex<Option<HashMap<String, Arc<Signing>>>>,
    /// Since when it is told of those that end soon, in seconds since 1970.
    warned: Mutex<HashMap<String, u64>>,
}

/// An authority that signs, and its settings.
pub struct Signing {
    /// The authority.
    pub authority: Authority,
    /// Earlier certificates of its key that are valid still, in PEM.
    pub before: Vec<String>,
    settings: CertificateAuthority,
    list: Mutex<Option<Current>>,
}

/// A revocation list that is published.
#[derive(Clone)]
struct Current {
    list: List,
    /// What is on it.
    serials: Vec<String>,
    /// When there has to be another one, in seconds since 1970.
    renew_at: u64,
}

/// There is no authority of this name that signs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAuthority {
    /// None of this name.
    #[error("there is no authority `{name}` whose key is here{advice}")]
    Unknown {
        /// The name.
        name: String,
        /// What may be meant.
        advice: String,
    },
    /// None was named, and there is not exactly one.
    #[error("name an authority: {0}")]
    Ambiguous(String),
}

/// What is asked of an authority.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Its name; left out, the only one there is.
    pub authority: Option<String>,
    /// The certificate request, in PEM.
    pub request: String,
    /// What the certificate may do.
    pub scopes: Vec<String>,
    /// How long it shall be valid, in seconds; never longer than the authority's settings say.
    pub lasts: Option<u64>,
}

impl Authorities {
    pub(crate) fn kept_in(vault: Arc<Vault>, store: &Path) -> Self {
        Self { keeper: Some(Keeper { vault, folder: store.join(FOLDER) }), ..Self::default() }
    }

    /// Authorities that are at hand, and none that would have to be made.
    pub fn of(authorities: impl IntoIterator<Item = (String, Authority)>) -> Self {
        let signing = authorities.into_iter().map(|(name, authority)| {
            let settings = CertificateAuthority::default();
            (name, Arc::new(Signing { authority, before: Vec::new(), settings, list: Mutex::default() }))
        });
        Self { signing: Mutex::new(signing.collect()), ..Self::default() }
    }

    /// Until when the certificates of the authorities are valid that sign, in seconds since 1970.
    pub(crate) fn ends(&self) -> Vec<(String, u64)> {
        let signing = self.signing.lock();
        signing.iter().map(|(name, signing)| (name.clone(), signing.authority.not_after())).collect()
    }

    /// Has the authorities of a document at hand before it is compiled; makes those that are new. They sign once it serves.
    pub(crate) fn prepare(&self, document: &Document) -> Result<(), Vec<Finding>> {
        let mut findings = check(document);
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut signing = HashMap::new();
        for (name, settings) in &document.certificate_authorities {
            match self.authority(name, settings) {
                Ok(Some((authority, before))) => {
                    drop(signing.insert(name.clone(), self.signing(name, authority, before, settings)));
                }
                Ok(None) => {}
                Err(error) => {
                    let at = Pointer::default().at("certificate_authorities").at(name);
                    findings.push(Finding::new(&at, format!("cannot sign: {error}")));
                }
            }
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        *self.coming.lock() = Some(signing);
        Ok(())
    }

    /// The document serves whose authorities are at hand.
    pub(crate) fn publish(&self) {
        if let Some(coming) = self.coming.lock().take() {
            *self.signing.lock() = coming;
        }
    }

    /// The names of those that sign, with them.
    pub fn all(&self) -> Vec<(String, Arc<Signing>)> {
        let mut all: Vec<_> =
            self.signing.lock().iter().map(|(name, signing)| (name.clone(), signing.clone())).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// The authority of this name, or the only one there is.
    pub fn named(&self, name: Option<&str>) -> Result<(String, Arc<Signing>), NoAuthority> {
        let mut all = self.all();
        let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        match name {
            Some(name) => {
                let advice = advice(name, &names);
                let found = all.into_iter().find(|(known, _)| known == name);
                found.ok_or_else(|| NoAuthority::Unknown { name: name.to_owned(), advice })
            }
            None if all.len() == 1 => all.pop().ok_or_else(|| NoAuthority::Ambiguous(String::new())),
            None if all.is_empty() => Err(NoAuthority::Ambiguous(
                "the configuration has none that signs; write `certificate_authorities: {partners: {}}`".to_owned(),
            )),
            None => Err(NoAuthority::Ambiguous(format!("there are `{}`", names.join("`, `")))),
        }
    }

    /// Has a certificate signed for an app.
    pub async fn issue(&self, partners: &Partners, app: &AppId, wish: &Wish) -> Result<At<Certificate>, NotIssued> {
        let (name, signing) = self.named(wish.authority.as_deref())?;
        Ok(partners.issue_certificate(app, signing.issue(&name, wish)).await?)
    }

    /// Has a certificate signed that takes the place of another one.
    pub async fn renew(
        &self,
        partners: &Partners,
        id: &CertificateId,
        wish: &Wish,
    ) -> Result<At<Certificate>, NotIssued> {
        let before = partners.certificate(id).await?.entity.authority;
        let (name, signing) = self.named(wish.authority.as_deref().or(before.as_deref()))?;
        Ok(partners.renew_certificate(id, signing.issue(&name, wish)).await?)
    }

    /// Signs revocation lists anew where something was revoked or the last one grows old.
    pub async fn tend(&self, partners: &Partners) -> Result<(), NotIssued> {
        for (name, signing) in self.all() {
            let (revoked, _) = partners.revoked(&name).await?;
            let serials: Vec<_> = revoked.iter().map(|revoked| revoked.serial.clone()).collect();
            let now = now().0;
            let is_current = signing
                .list
                .lock()
                .as_ref()
                .is_some_and(|current| current.serials == serials && now / MICROS < current.renew_at);
            if is_current {
                continue;
            }
            let lasts = signing.settings.revocations_last.duration().as_secs();
            let (from, until) = (now / MICROS, now / MICROS + lasts);
            let der = signing.authority.list(&revoked, now, from, until).map_err(partners::Error::from)?;
            let list = List { der: der.into(), until };
            *signing.list.lock() = Some(Current { list, serials, renew_at: from + lasts / 2 });
        }
        Ok(())
    }

    /// An authority that keeps the list it had, so that numbers go on and nobody sees it missing.
    fn signing(
        &self,
        name: &str,
        authority: Authority,
        before: Vec<String>,
        settings: &CertificateAuthority,
    ) -> Arc<Signing> {
        let known = self.signing.lock().get(name).cloned();
        // A renewed one has the same key, and so its lists are as good.
        let is_same = |known: &Arc<Signing>| {
            let chain = known.authority.chain();
            chain == authority.chain() || before.iter().any(|before| before == chain)
        };
        let list = known.filter(is_same).and_then(|known| known.list.lock().clone());
        Arc::new(Signing { authority, before, settings: settings.clone(), list: Mutex::new(list) })
    }

    /// Has an authority that the gateway made sign with a new certificate of its key. The one before is believed until it is over.
    ///
    /// Blocks.
    pub fn renew_authority(&self, name: &str) -> Result<Arc<Signing>, NotRenewed> {
        let (name, signing) = self.named(Some(name))?;
        let (Some(keeper), None) = (&self.keeper, &signing.settings.cert) else {
            return Err(NotRenewed::Brought(name));
        };
        let renewed = keeper.renewed(&name, &signing.settings).map_err(|error| NotRenewed::NotThere(error.into()))?;
        Ok(self.take_over(&name, &signing, renewed))
    }

    /// Signs with the certificates that other nodes have made, says which end soon, and when.
    ///
    /// Blocks.
    pub(crate) fn follow(&self) {
        let Some(keeper) = &self.keeper else { return };
        for (name, signing) in self.all() {
            if signing.settings.cert.is_none() {
                match keeper.kept(&name, &signing.settings) {
                    Ok((authority, _)) if authority.chain() == signing.authority.chain() => {}
                    Ok(kept) => drop(self.take_over(&name, &signing, kept)),
                    Err(error) => tracing::warn!(authority = name, %error, "an authority could not be looked after"),
                }
            }
            let Ok((name, signing)) = self.named(Some(&name)) else { continue };
            let left = signing.authority.not_after().saturating_sub(now().0 / MICROS);
            let mut warned = self.warned.lock();
            let is_told = warned.get(&name).is_some_and(|last| now().0 / MICROS < last + DAY);
            if left < SOON && !is_told {
                let days = left / DAY;
                tracing::warn!(
                    authority = name,
                    days,
                    "an authority's certificate ends soon; renew it, and give it to who believes it"
                );
                warned.insert(name, now().0 / MICROS);
            }
        }
    }

    fn take_over(&self, name: &str, known: &Signing, (authority, before): Renewed) -> Arc<Signing> {
        let signing = self.signing(name, authority, before, &known.settings);
        self.signing.lock().insert(name.to_owned(), signing.clone());
        signing
    }

    /// The authority, if it signs here.
    fn authority(&self, name: &str, settings: &CertificateAuthority) -> Result<Option<Renewed>, NotThere> {
        let read = |file: &Path| fs::read_to_string(file).map_err(|error| NotThere::File(file.to_owned(), error));
        match (&settings.cert, &settings.key, &self.keeper) {
            (Some(cert), Some(key), _) => Ok(Some((Authority::read(&read(cert)?, &read(key)?)?, Vec::new()))),
            (None, _, Some(keeper)) => keeper.kept(name, settings).map(Some),
            (Some(_), None, _) | (None, _, None) => Ok(None),
        }
    }
}

impl Signing {
    fn issue<'a>(&'a self, name: &'a str, wish: &'a Wish) -> Issue<'a> {
        let most = self.settings.certificates_last.duration().as_secs();
        Issue {
            name,
            authority: &self.authority,
            request: &wish.request,
            scopes: &wish.scopes,
            lasts: wish.lasts.unwrap_or(most).min(most),
            revocations_at: self.settings.revocations_at.as_deref(),
        }
    }

    /// The list of revoked certificates, in DER, once it was signed.
    pub fn list(&self) -> Option<Bytes> {
        self.list.lock().as_ref().map(|current| current.list.der.clone())
    }
}

impl Revocations for Authorities {
    fn list(&self, authority: &str) -> Option<List> {
        let signing = self.signing.lock().get(authority).cloned()?;
        let list = signing.list.lock();
        list.as_ref().map(|current| current.list.clone())
    }

    /// Those that the document which is compiled may name.
    fn names(&self) -> Vec<String> {
        let (coming, signing) = (self.coming.lock(), self.signing.lock());
        let mut names: Vec<_> = coming.as_ref().unwrap_or(&signing).keys().cloned().collect();
        names.sort();
        names
    }
}

/// Authorities that sign nothing, for documents that are only looked at.
pub(crate) struct NamedAuthorities(Vec<String>);

impl NamedAuthorities {
    pub(crate) fn of(document: &Document) -> Self {
        let signs = |settings: &CertificateAuthority| settings.cert.is_none() || settings.key.is_some();
        let signing = document.certificate_authorities.iter().filter(|(_, settings)| signs(settings));
        Self(signing.map(|(name, _)| name.clone()).collect())
    }
}

impl Revocations for NamedAuthorities {
    fn list(&self, _: &str) -> Option<List> {
        None
    }

    fn names(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// Why no certificate was signed.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// There is no such authority.
    #[error(transparent)]
    NoAuthority(#[from] NoAuthority),
    /// Something else.
    #[error(transparent)]
    Partners(#[from] partners::Error),
}

/// Why an authority has no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum NotRenewed {
    /// There is no such authority.
    #[error(transparent)]
    NoAuthority(#[from] NoAuthority),
    /// Its certificate and key come from files.
    #[error("the certificate of `{0}` comes from a file; put a new one there, with the old one in the trust of others")]
    Brought(String),
    /// It cannot be made or kept.
    #[error("{0}")]
    NotThere(Box<dyn std::error::Error + Send + Sync>),
}

/// Says where the authorities are whose certificates clients of listeners may show.
pub(crate) fn resolve(document: &mut Document) {
    let folder = document.store.as_ref().map(|store| store.folder().join(FOLDER));
    let authorities = document.certificate_authorities.clone();
    for tls in document.listeners.values_mut().filter_map(|listener| listener.tls.as_mut()) {
        let trust = tls.client_authorities.iter().filter_map(|name| {
            let settings = authorities.get(name)?;
            Some(match &settings.cert {
                Some(cert) => Trust { cert: cert.clone(), crl: settings.crl.clone(), made_by: MadeBy::Others },
                None => Trust { cert: file(folder.as_deref()?, name), crl: None, made_by: MadeBy::Gateway },
            })
        });
        tls.client_trust = trust.collect();
    }
}

/// The settings without authorities that are made when the gateway first starts, so that the rest can be looked at.
pub(crate) fn without_unmade(tls: &ServerTls) -> ServerTls {
    let mut tls = tls.clone();
    let is_unmade = |trust: &Trust| trust.made_by == MadeBy::Gateway && !trust.cert.exists();
    // An authority that is not known is a finding of its own.
    if tls.client_trust.iter().any(is_unmade) || tls.client_trust.len() < tls.client_authorities.len() {
        (tls.client_auth, tls.client_ca) = (ClientAuth::None, None);
        (tls.client_authorities, tls.client_trust) = (Vec::new(), Vec::new());
    }
    tls
}

/// Shows, at every scrape, when each certificate of an authority ends.
pub(crate) fn show(registry: &Registry, authorities: Arc<Authorities>) {
    registry.collect_with(move |scrape| {
        for (name, signing) in authorities.all() {
            #[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
            scrape.gauge(&ENDS, &[&name], signing.authority.not_after() as f64);
        }
    });
}

static ENDS: Definition = Definition {
    name: "vestibule_certificate_authority_not_after_timestamp_seconds",
    help: "When the certificate ends with which an authority signs, in seconds since 1970.",
    labels: &["authority"],
    unit: Unit::Seconds,
    bounds: &[],
};

/// What is wrong with the authorities of a document, and with what names them.
pub(crate) fn check(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root = Pointer::default();
    for (name, settings) in &document.certificate_authorities {
        let at = root.at("certificate_authorities").at(name);
        let mut wrong = |at: &Pointer, message: &str| findings.push(Finding::new(at, message));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            wrong(&at, "has a name that cannot be that of a file: letters, digits, `-` and `_`");
        }
        let signs = settings.cert.is_none() || settings.key.is_some();
        if document.store.is_none() && signs {
            wrong(&at, "needs a place to note what it signs: configure a `store`");
        }
        if settings.cert.is_none() && settings.key.is_some() {
            wrong(&at.at("key"), "is the key of nothing: name `cert`, too");
        }
        if settings.crl.is_some() && signs {
            wrong(&at.at("crl"), "is of no use for an authority that signs here: what it revokes is known");
        }
        if settings.revocations_at.as_ref().is_some_and(|at| !at.starts_with("http://") && !at.starts_with("https://"))
        {
            wrong(&at.at("revocations_at"), "is no address; write one such as `http://crl.example.com/partners.crl`");
        }
        for (member, span) in [
            ("lasts", settings.lasts),
            ("certificates_last", settings.certificates_last),
            ("revocations_last", settings.revocations_last),
        ] {
            if span.duration().as_secs() < SHORTEST {
                wrong(&at.at(member), "is too short: at least `1m`");
            }
        }
    }
    let known: Vec<_> = document.certificate_authorities.keys().map(String::as_str).collect();
    for (name, listener) in &document.listeners {
        let at = root.at("listeners").at(name).at("tls").at("client_authorities");
        let named = listener.tls.iter().flat_map(|tls| &tls.client_authorities).enumerate();
        for (index, name) in named.filter(|(_, name)| !known.contains(&name.as_str())) {
            let message =
                format!("there is no authority `{name}` in `certificate_authorities`{}", advice(name, &known));
            findings.push(Finding::new(&at.at(index), message));
        }
    }
    findings
}

/// Where certificates of authorities are in the store.
const FOLDER: &str = "authorities";

/// The shortest time that anything is valid, in seconds.
const SHORTEST: u64 = 60;

const MICROS: u64 = 1_000_000;
const DAY: u64 = 24 * 60 * 60;
/// How long before its end it is told of an authority's certificate each day.
const SOON: u64 = 60 * DAY;

#[cfg(test)]
mod tests {
    use secrets::Masters;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_that_is_not_taken_changes_no_authority() {
        let folder = tempfile::tempdir().unwrap();
        let vault =
            Vault::open(&folder.path().join("secrets"), Masters::File(folder.path().join("master.key"))).unwrap();
        let authorities = Authorities::kept_in(Arc::new(vault), folder.path());
        let document = |name: &str| {
            let store = folder.path();
            let written = json!({
                "version": 1, "listeners": {}, "store": { "embedded": store }, "certificate_authorities": { name: {} },
            });
            serde_json::from_value::<Document>(written).unwrap()
        };
        let signs = |name: &str| authorities.named(Some(name)).is_ok();
        authorities.prepare(&document("partners")).unwrap();
        authorities.publish();

        authorities.prepare(&document("others")).unwrap();

        assert!(signs("partners") && !signs("others"));
        assert_eq!(authorities.names(), ["others"], "what is compiled names its own");
        authorities.publish();
        assert!(signs("others") && !signs("partners"));
    }
}
