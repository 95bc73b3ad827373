//! Whether all nodes know what is in the store they share.

use std::sync::Arc;
use std::time::Duration;

use store::{Heard, Nodes, Registry, StoreError, Straggler};
use tokio::time::Instant;

/// How long it is waited for other nodes to follow.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(5);

/// Knows whether other nodes have followed.
#[derive(Clone)]
pub struct Everywhere {
    registry: Arc<dyn Registry>,
    nodes: Arc<dyn Nodes>,
}

impl Everywhere {
    /// The nodes of a store.
    pub fn new(registry: Arc<dyn Registry>, nodes: Arc<dyn Nodes>) -> Self {
        Self { registry, nodes }
    }

    /// Waits until all nodes know what is in the store by now. Names those that do not after a while, and those that cannot be
    /// waited for because nothing is heard of them.
    pub async fn known(&self) -> Result<Vec<Straggler>, StoreError> {
        let revision = self.registry.revision().await?;
        let begun = Instant::now();
        loop {
            let behind = self.nodes.behind(revision).await?;
            let follows = |straggler: &Straggler| straggler.heard == Heard::JustNow;
            if !behind.iter().any(follows) || begun.elapsed() > PATIENCE {
                return Ok(behind);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
