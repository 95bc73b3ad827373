//! Why a node does not start.

use std::path::PathBuf;

use problem::{Finding, with_causes};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be served.
    #[error("the configuration has {} findings", .0.len())]
    Findings(Vec<Finding>),
    /// The store cannot be used.
    #[error("{} in {} cannot be used: {}", .what, .folder.display(), with_causes(&**.cause))]
    Store {
        /// The store's folder.
        folder: PathBuf,
        /// Which part of it.
        what: &'static str,
        /// Why.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server that several nodes share cannot be used.
    #[error("{what} cannot be used: {}", with_causes(&**.cause))]
    Server {
        /// Which one, and where the settings name it.
        what: &'static str,
        /// Why.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The machine does not give what is needed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl StartError {
    /// As it is, or what `all` makes of findings.
    pub(crate) fn or_findings(self, all: impl FnOnce(Vec<Finding>) -> Self) -> Self {
        match self {
            Self::Findings(found) => all(found),
            Self::Store { .. } | Self::Server { .. } | Self::Io(_) => self,
        }
    }
}
