//! TLS towards clients: certificates by server name, and what a handshake tells about the client.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use model::listener::{ClientAuth, ServerTls, Switch, TlsVersion};
use pipeline::{PeerCertificate, Tls};
use problem::{Finding, Pointer};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// What a listener's TLS is, read from its files; or everything that is wrong with them.
pub fn load(settings: &ServerTls, http2: Switch, at: &Pointer) -> Result<ServerConfig, Vec<Finding>> {
    let provider = Arc::new(provider());
    let mut findings = Vec::new();
    let mut resolver = BySni::default();
    for (index, files) in settings.certificates.iter().enumerate() {
        let at = at.at("certificates").at(index);
        match key(&files.cert, &files.key, &provider, &at) {
            Ok(key) => resolver.add(&Arc::new(key)),
            Err(finding) => findings.push(finding),
        }
    }
    let versions: &[_] = match settings.min_version {
        TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
    let builder = builder.map_err(|error| vec![Finding::new(at, error.to_string())])?;
    let builder = match client_verifier(settings, provider, at) {
        Ok(Some(verifier)) => builder.with_client_cert_verifier(verifier),
        Ok(None) => builder.with_no_client_auth(),
        Err(finding) => {
            findings.push(finding);
            builder.with_no_client_auth()
        }
    };
    if !findings.is_empty() {
        return Err(findings);
    }
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.ticketer =
        rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| vec![Finding::new(at, error.to_string())])?;
    config.send_tls13_tickets = 1;
    config.ignore_client_order = true;
    config.alpn_protocols = match http2 {
        Switch::On => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Switch::Off => vec![b"http/1.1".to_vec()],
    };
    Ok(config)
}

/// The cipher suites of the library, those of AES-128 first.
///
/// Clients built on OpenSSL put AES-256 first out of habit. Its hash is SHA-384, for which few processors have
/// instructions, so that a handshake costs a fifth more; what it protects is no safer from anybody.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = suite.suite().as_str().unwrap_or_default();
        !name.contains("AES_128_GCM")
    });
    provider
}

/// What a handshake tells: the server name, the client's certificate, and whether HTTP/2 was agreed on.
pub(crate) fn identity(connection: &ServerConnection) -> (Tls, bool) {
    let certificate = connection.peer_certificates().and_then(<[_]>::split_first).map(|(der, chain)| {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, der).as_ref());
        let chain = chain.iter().map(|der| der.as_ref().into()).collect();
        PeerCertificate { der: der.as_ref().into(), sha256, chain, said: OnceLock::new() }
    });
    let server_name = connection.server_name().map(|name| name.to_ascii_lowercase().into());
    (Tls { server_name, certificate }, connection.alpn_protocol() == Some(b"h2"))
}

fn key(cert: &Path, key: &Path, provider: &CryptoProvider, at: &Pointer) -> Result<CertifiedKey, Finding> {
    let chain = certificates(cert, &at.at("cert"))?;
    let at = at.at("key");
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| Finding::new(&at, format!("{} is no private key (PEM): {error}", key.display())))?;
    CertifiedKey::from_der(chain, private, provider)
        .map_err(|error| Finding::new(&at, format!("{} and {} do not fit: {error}", cert.display(), key.display())))
}

fn certificates(file: &Path, at: &Pointer) -> Result<Vec<CertificateDer<'static>>, Finding> {
    let unreadable = |error: rustls_pki_types::pem::Error| {
        Finding::new(at, format!("{} cannot be read as PEM: {error}", file.display()))
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(unreadable)?.collect();
    let found = found.map_err(unreadable)?;
    if found.is_empty() {
        return Err(Finding::new(at, format!("{} holds no certificate", file.display())));
    }
    Ok(found)
}

fn client_verifier(
    settings: &ServerTls,
    provider: Arc<CryptoProvider>,
    at: &Pointer,
) -> Result<Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>, Finding> {
    let is_named = settings.client_ca.is_some() || !settings.client_authorities.is_empty();
    match settings.client_auth {
        ClientAuth::None if is_named => {
            let member = if settings.client_ca.is_some() { "client_ca" } else { "client_authorities" };
            return Err(Finding::new(&at.at(member), "is of no use without `client_auth: optional` or `required`"));
        }
        ClientAuth::None => return Ok(None),
        _ if !is_named => {
            let message = "needs `client_authorities` or `client_ca`, the authorities to believe";
            return Err(Finding::new(&at.at("client_auth"), message));
        }
        ClientAuth::Optional | ClientAuth::Required => {}
    }
    let mut roots = RootCertStore::empty();
    let mut lists = Vec::new();
    if let Some(file) = &settings.client_ca {
        add(&mut roots, file, &at.at("client_ca"))?;
    }
    for trust in &settings.client_trust {
        let at = at.at("client_authorities");
        add(&mut roots, &trust.cert, &at)?;
        lists.extend(trust.crl.as_ref().map(|file| revocations(file, &at)).transpose()?.into_iter().flatten());
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if settings.client_auth == ClientAuth::Optional { builder.allow_unauthenticated() } else { builder };
    // What is known by the registry is refused request by request, with the reason; others have lists, or none.
    let builder = builder.with_crls(lists).allow_unknown_revocation_status();
    builder.build().map(Some).map_err(|error| Finding::new(at, error.to_string()))
}

fn add(roots: &mut RootCertStore, file: &Path, at: &Pointer) -> Result<(), Finding> {
    for certificate in certificates(file, at)? {
        roots
            .add(certificate)
            .map_err(|error| Finding::new(at, format!("{} holds no authority: {error}", file.display())))?;
    }
    Ok(())
}

/// The revocation lists in a file.
fn revocations(file: &Path, at: &Pointer) -> Result<Vec<CertificateRevocationListDer<'static>>, Finding> {
    let unreadable = |error: rustls_pki_types::pem::Error| {
        Finding::new(at, format!("{} is no revocation list (PEM): {error}", file.display()))
    };
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_file_iter(file).map_err(unreadable)?.collect();
    found.map_err(unreadable)
}

/// Chooses a certificate by the server name that the client asks for; the first one is for everybody else.
#[derive(Debug, Default)]
struct BySni {
    first: Option<Arc<CertifiedKey>>,
    names: HashMap<String, Arc<CertifiedKey>>,
}

impl BySni {
    fn add(&mut self, key: &Arc<CertifiedKey>) {
        self.first.get_or_insert_with(|| key.clone());
        let Some(leaf) = key.cert.first() else { return };
        let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) else { return };
        for name in leaf.valid_dns_names() {
            self.names.entry(name.to_ascii_lowercase()).or_insert_with(|| key.clone());
        }
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
            self.names.get(&name).or_else(|| self.names.get(&wildcard?))
        });
        named.or(self.first.as_ref()).cloned()
    }
}
