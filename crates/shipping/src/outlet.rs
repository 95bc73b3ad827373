//! The ways out: one for each protocol.

pub(crate) mod bulk;
pub(crate) mod fluent;
pub(crate) mod http_json;
pub(crate) mod otlp;
mod post;
pub(crate) mod syslog;

use std::time::Duration;

use bytes::Bytes;

use crate::batch::Batch;

/// A way out, with what is open of it.
pub(crate) enum Outlet {
    Fluent(fluent::Forward),
    Bulk(bulk::Bulk),
    Otlp(otlp::Otlp),
    Http(http_json::HttpJson),
    Syslog(syslog::Syslog),
}

/// What became of records that were sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The sink has them, but for so many that it will never take.
    Taken { refused: u64 },
    /// The sink has all but these, by their place among those that were sent, and so many that it will never take.
    Left { left: Vec<usize>, refused: u64 },
    /// They are not fit to be sent together; one by one they may be.
    Unfit(String),
    /// The sink does not have them, and may later.
    Later { after: Option<Duration>, why: String },
}

impl Sent {
    pub(crate) fn later(why: impl std::fmt::Display) -> Self {
        Self::Later { after: None, why: why.to_string() }
    }
}

impl Outlet {
    /// What is sent for these records of a batch. It takes a while, so it is called on a thread that may.
    pub(crate) fn prepare(&self, batch: &Batch, which: &[usize]) -> Bytes {
        match self {
            Self::Fluent(outlet) => outlet.prepare(batch, which),
            Self::Bulk(outlet) => outlet.prepare(batch, which),
            Self::Otlp(outlet) => outlet.prepare(batch, which),
            Self::Http(outlet) => outlet.prepare(batch, which),
            Self::Syslog(outlet) => outlet.prepare(batch, which),
        }
    }

    /// Sends `count` records.
    pub(crate) async fn send(&self, prepared: Bytes, count: usize) -> Sent {
        match self {
            Self::Fluent(outlet) => outlet.send(prepared, count).await,
            Self::Bulk(outlet) => outlet.send(prepared, count).await,
            Self::Otlp(outlet) => outlet.send(prepared).await,
            Self::Http(outlet) => outlet.send(prepared).await,
            Self::Syslog(outlet) => outlet.send(&prepared).await,
        }
    }
}

/// How long a sink may take to connect, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
