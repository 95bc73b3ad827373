//! The way to the server.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::Host;
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

/// Which server that is, for people: everything of its address that is no secret.
pub(crate) fn told(settings: &Settings) -> String {
    let Ok(config) = Config::from_str(&settings.address) else { return "PostgreSQL".to_owned() };
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        // One port may be that of all hosts.
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(folder) => format!("{} (port {port})", folder.display()),
        }
    });
    let hosts = hosts.collect::<Vec<_>>().join(", ");
    let named = |what: &str, name: Option<&str>| name.map(|name| format!(", {what} `{name}`")).unwrap_or_default();
    format!("PostgreSQL at {hosts}{}{}", named("database", config.get_dbname()), named("user", config.get_user()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_without_its_password() {
        for (address, expected) in [
            ("postgres://gw:secret@db.example/vestibule", "db.example:5432, database `vestibule`, user `gw`"),
            ("postgres://gw:secret@one:6000,two:6001", "one:6000, two:6001, user `gw`"),
            ("postgres://[::1]:6000", "[::1]:6000"),
            ("host=/run/postgresql dbname=vestibule", "/run/postgresql (port 5432), database `vestibule`"),
        ] {
            assert_eq!(told(&Settings::of(address)), format!("PostgreSQL at {expected}"));
        }
    }
}
