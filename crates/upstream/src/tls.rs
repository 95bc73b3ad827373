//! TLS towards targets: whom to believe, and what to show.

use std::path::Path;
use std::sync::Arc;

use model::upstream::{ClientTls, HttpVersion};
use problem::{Finding, Pointer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsConnector;

/// A connector to servers of HTTP by these settings, or what is wrong with them.
pub(crate) fn connector(settings: &ClientTls, http: HttpVersion, at: &Pointer) -> Result<TlsConnector, Finding> {
    let mut config = client(settings, at)?;
    config.alpn_protocols = match http {
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A client by these settings, of whatever protocol, or what is wrong with them.
pub fn client(settings: &ClientTls, at: &Pointer) -> Result<ClientConfig, Finding> {
    let roots = match &settings.ca {
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file, &at.at("ca"))? {
                roots.add(certificate).map_err(|error| {
                    Finding::new(&at.at("ca"), format!("{} holds no certificate authority: {error}", file.display()))
                })?;
            }
            roots
        }
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Finding::new(at, error.to_string()))?
        .with_root_certificates(roots);
    let config = match (&settings.cert, &settings.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, &at.at("cert"))?;
            let key_at = at.at("key");
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| Finding::new(&key_at, format!("{} is no private key: {error}", key.display())))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| Finding::new(&key_at, format!("key and certificate do not fit: {error}")))?
        }
        _ => return Err(Finding::new(at, "needs `cert` and `key` together")),
    };
    Ok(config)
}

fn certificates(file: &Path, at: &Pointer) -> Result<Vec<CertificateDer<'static>>, Finding> {
    let unreadable = |error: rustls_pki_types::pem::Error| {
        Finding::new(at, format!("{} cannot be read as PEM: {error}", file.display()))
    };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(file).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)?;
    if found.is_empty() {
        return Err(Finding::new(at, format!("{} holds no certificate", file.display())));
    }
    Ok(found)
}
