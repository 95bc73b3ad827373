//! The nodes that share a registry: who has followed how far, and when there is something to follow.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Revision, Unavailable};

/// A node that has not been heard of for so long is waited for no more. It may be cut off from the store, and serve on.
pub const SILENCE: Duration = Duration::from_secs(5);

/// A node that has not left, and that has not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Straggler {
    /// Its name.
    pub node: String,
    /// When it was last heard of.
    pub heard: Heard,
}

/// When a node was last heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Less than [`SILENCE`] ago.
    JustNow,
    /// Longer ago, and within a day.
    Before,
}

impl fmt::Display for Straggler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.heard {
            Heard::JustNow => f.write_str(&self.node),
            Heard::Before => write!(f, "{} (silent)", self.node),
        }
    }
}

/// Knows the nodes of a registry.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Waits until another node may have changed something. It may come without cause, and a cause may be missed: whoever
    /// relies on it looks by himself now and then, too.
    async fn changed(&self);
    /// Says that this node has followed up to here, and is there. To be said more often than every [`SILENCE`].
    async fn follows(&self, node: &str, revision: Revision) -> Result<(), Unavailable>;
    /// The nodes that have not followed as far as this, until they left or were not heard of for a day.
    async fn behind(&self, revision: Revision) -> Result<Vec<Straggler>, Unavailable>;
    /// Says that a node ends.
    async fn leaves(&self, node: &str) -> Result<(), Unavailable>;
}

/// There is one node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

#[async_trait]
impl Nodes for Alone {
    async fn changed(&self) {
        std::future::pending::<()>().await;
    }

    async fn follows(&self, _: &str, _: Revision) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn behind(&self, _: Revision) -> Result<Vec<Straggler>, Unavailable> {
        Ok(Vec::new())
    }

    async fn leaves(&self, _: &str) -> Result<(), Unavailable> {
        Ok(())
    }
}
