//! A compiled route: whose it is, what is asked of its requests, and where they go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::api::ForwardedHeaders;
use pipeline::Chain;
use upstream::Upstream;

/// A compiled route.
pub struct Route {
    /// Its names, as exchanges carry them.
    pub names: Arc<pipeline::Route>,
    /// The names of its parameters, in the order of its path.
    pub parameters: Vec<Arc<str>>,
    /// What is asked of its requests.
    pub chain: Arc<Chain>,
    /// Where they go.
    pub destination: Destination,
    /// Where copies of them go.
    pub mirror: Option<Mirror>,
    /// What the backend is told about the client.
    pub forwarded: ForwardedHeaders,
    /// The number of its operation among those of its API, if it is one's.
    pub operation: Option<usize>,
    /// How an operator finds it: host, path and conditions as written.
    pub summary: String,
}

/// Where requests go.
pub enum Destination {
    /// Nowhere: a policy has to answer.
    None,
    /// To this upstream.
    Upstream(Arc<Upstream>),
    /// To several, in a fixed sequence that follows the weights.
    Split {
        /// The upstreams, each as often as its weight says.
        sequence: Vec<Arc<Upstream>>,
        /// Whose turn it is.
        next: AtomicUsize,
    },
}

impl Destination {
    /// The upstream for the next request.
    pub fn next(&self) -> Option<&Arc<Upstream>> {
        match self {
            Self::None => None,
            Self::Upstream(upstream) => Some(upstream),
            Self::Split { sequence, next } => {
                sequence.get(next.fetch_add(1, Ordering::Relaxed) % sequence.len().max(1))
            }
        }
    }
}

/// Where copies of requests go.
pub struct Mirror {
    /// The upstream that gets them.
    pub upstream: Arc<Upstream>,
    /// How many of a hundred requests are copied.
    pub percent: usize,
    pub(crate) count: AtomicUsize,
}

impl Mirror {
    /// Whether this request is copied.
    pub fn wants(&self) -> bool {
        // A step that has no common factor with 100 spreads the copies evenly.
        self.count.fetch_add(37, Ordering::Relaxed) % 100 < self.percent
    }
}
