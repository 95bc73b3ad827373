//! A stream of Redis that others read: what is added is there once the server says so.

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError};
use tokio::sync::Mutex;

use crate::connect::{BadAddress, Settings, client, connection};

/// Entries were not added, or it is not known whether they were.
#[derive(Debug, thiserror::Error)]
#[error("Redis does not take them: {0}")]
pub struct NotAdded(#[from] RedisError);

/// A stream of a server.
pub struct Stream {
    settings: Settings,
    client: Client,
    name: String,
    /// How many entries stay in it, more or less.
    longest: u64,
    open: Mutex<Option<MultiplexedConnection>>,
}

impl Stream {
    /// The stream of this name at a server, whose address is like `redis://user:password@host:6379/0`.
    pub fn open(address: &str, name: &str, longest: u64) -> Result<Self, BadAddress> {
        let settings = Settings { patience: std::time::Duration::from_secs(10), ..Settings::of(address) };
        Ok(Self { client: client(&settings)?, settings, name: name.to_owned(), longest, open: Mutex::new(None) })
    }

    /// Adds entries, in order: all of them or none. Each is what it is called, and a text.
    pub async fn add(&self, entries: &[(&str, String)]) -> Result<(), NotAdded> {
        let mut open = self.open.lock().await;
        // Taken out: after a failure it is of no use.
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => connection(&self.client, &self.settings).await?,
        };
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (kind, text) in entries {
            pipe.cmd("XADD").arg(&self.name).arg("MAXLEN").arg("~").arg(self.longest).arg("*");
            pipe.arg("type").arg(*kind).arg("event").arg(text).ignore();
        }
        pipe.query_async::<()>(&mut connection).await?;
        *open = Some(connection);
        Ok(())
    }
}
