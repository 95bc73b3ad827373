//! The way to the server.

use std::time::Duration;

use limits::Fallback;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, TlsCertificates};

/// Which server, and how to get there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://user:password@host:port/database`, or `rediss://…` with TLS, which is always verified.
    pub address: String,
    /// The authorities that may sign the server's certificate, in PEM; left out, those that the public trusts.
    pub authorities: Option<Vec<u8>>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long a request waits for an answer.
    pub patience: Duration,
    /// What to do while it is away.
    pub fallback: Fallback,
}

impl Settings {
    /// The server of this address.
    pub fn of(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            authorities: None,
            prefix: "vestibule:".to_owned(),
            patience: Duration::from_millis(250),
            fallback: Fallback::default(),
        }
    }
}

/// The address is none.
#[derive(Debug, thiserror::Error)]
#[error("the address of Redis cannot be read; it is like `redis://user:password@host:6379/0`")]
pub struct BadAddress(#[source] redis::RedisError);

pub(crate) fn client(settings: &Settings) -> Result<Client, BadAddress> {
    let address = settings.address.as_str();
    let client = match &settings.authorities {
        None => Client::open(address),
        Some(authorities) => {
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(authorities.clone()) };
            Client::build_with_tls(address, certificates)
        }
    };
    client.map_err(BadAddress)
}

pub(crate) async fn connection(client: &Client, settings: &Settings) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(settings.patience));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
