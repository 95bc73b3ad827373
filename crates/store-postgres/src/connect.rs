//! The way to the server.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{OpenError, PATIENCE};

/// Which database, and how to get there.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `postgres://user:password@host:port/database`, with the parameters that libpq knows; `sslmode` may be `disable`,
    /// `prefer` or `require`, and what is encrypted is always verified.
    pub address: String,
    /// The authorities that may sign the server's certificate; without any, those that the public trusts.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Connections at most.
    pub connections: usize,
}

impl Settings {
    /// The database of this address, with a few connections.
    pub fn of(address: &str) -> Self {
        Self { address: address.to_owned(), authorities: Vec::new(), connections: CONNECTIONS }
    }
}

/// What is needed to connect.
pub(crate) fn pieces(settings: &Settings) -> Result<(Config, MakeRustlsConnect), OpenError> {
    let mut config = Config::from_str(&settings.address).map_err(OpenError::Address)?;
    if config.get_application_name().is_none() {
        config.application_name("vestibule");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    // A server that went without a word is noticed by the next question, and not after a quarter of an hour.
    config.tcp_user_timeout(PATIENCE).keepalives_idle(Duration::from_secs(30));
    let unusable = |error: rustls::Error| OpenError::Authorities(error.into());
    let mut roots = RootCertStore::empty();
    if settings.authorities.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for authority in &settings.authorities {
        roots.add(authority.clone()).map_err(unusable)?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((config, MakeRustlsConnect::new(tls)))
}

pub(crate) fn pool(settings: &Settings) -> Result<Pool, OpenError> {
    let (config, tls) = pieces(settings)?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, tls, recycling);
    let pool = Pool::builder(manager)
        .max_size(settings.connections.max(1))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(CONNECT))
        .recycle_timeout(Some(CONNECT))
        .build();
    // It only fails without a runtime.
    pool.map_err(|error| OpenError::Unavailable(store::Unavailable::because(error)))
}

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Connections at most, unless settings say otherwise.
const CONNECTIONS: usize = 8;
