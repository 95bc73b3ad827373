//! The nodes that share a registry: who has followed how far, and when there is something to follow.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Revision, Unavailable};

/// A node that has not been heard of for so long counts for gone.
pub const SILENCE: Duration = Duration::from_secs(5);

/// Knows the nodes of a registry.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Waits until another node may have changed something. It may come without cause, and a cause may be missed: whoever
    /// relies on it looks by himself now and then, too.
    async fn changed(&self);
    /// Says that this node has followed up to here, and is there. To be said more often than every [`SILENCE`].
    async fn follows(&self, node: &str, revision: Revision) -> Result<(), Unavailable>;
    /// The nodes that are there and have not followed as far as this.
    async fn behind(&self, revision: Revision) -> Result<Vec<String>, Unavailable>;
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

    async fn behind(&self, _: Revision) -> Result<Vec<String>, Unavailable> {
        Ok(Vec::new())
    }

    async fn leaves(&self, _: &str) -> Result<(), Unavailable> {
        Ok(())
    }
}
