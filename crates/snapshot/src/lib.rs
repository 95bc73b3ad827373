//! Configuration as served: a document compiles to an immutable [`Snapshot`], or to everything that is wrong with it.
//!
//! Deliberately not here: files (the document is read already) and sockets (listeners are only described).

mod asking;
mod compile;
mod matching;
mod pattern;
mod route;
mod router;

use std::net::IpAddr;
use std::sync::Arc;

use alarm::Lives;
use arc_swap::ArcSwap;
use identity::client_certificate;
use ipnet::IpNet;
use model::Document;
use model::limits::Settled;
use model::named::Named;
use partners::Index;
use pipeline::{Chain, Kept, OnFinish, PeerCertificate, Services};
use upstream::Upstream;

pub use self::compile::Checked;
pub use self::route::{Destination, Mirror, Route};
pub use self::router::{Found, Lost, Router, Wanted};

/// Everything a request needs to know. A request keeps the one it started with.
pub struct Snapshot {
    /// Counts up with every change.
    pub generation: u64,
    /// Names the content of the document.
    pub hash: String,
    /// What it was compiled from.
    pub document: Arc<Document>,
    /// Which route a request takes.
    pub router: Router,
    /// The routes, by number.
    pub routes: Vec<Route>,
    /// What a request without a route meets.
    pub unrouted: Route,
    /// The backends.
    pub upstreams: Named<Arc<Upstream>>,
    /// What clients are held to, by listener.
    pub limits: Named<Settled>,
    /// Whether a policy of any route wants to know requests as they came.
    pub keeps_arrivals: bool,
    /// What every exchange tells its end to, whichever route it took.
    pub observers: Vec<Arc<dyn OnFinish>>,
    /// Whose certificates are known, where there is a registry.
    partners: Option<Arc<Index>>,
}

/// What the process lends to every snapshot, and what outlives them.
#[derive(Clone, Default)]
pub struct Lent {
    /// What policies find by type.
    pub services: Arc<Services>,
    /// State that survives a reload.
    pub kept: Arc<Kept>,
}

impl Snapshot {
    /// Whether what this address says about clients is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        trusts(&self.document.trusted_proxies, address)
    }

    /// What a connection as a whole depends on by its client's certificate, if that is one that is known.
    pub fn lives(&self, certificate: &PeerCertificate) -> Option<Lives> {
        client_certificate::lives(self.partners.as_ref()?, certificate)
    }

    /// The chain of a route, by number, or that of requests without one.
    pub fn route(&self, number: Option<usize>) -> &Route {
        number.and_then(|number| self.routes.get(number)).unwrap_or(&self.unrouted)
    }

    /// The chain that a route's requests pass.
    pub fn chain(&self, number: Option<usize>) -> &Chain {
        &self.route(number).chain
    }
}

/// Whether one of these networks holds the address, in whichever form it is written.
pub fn trusts(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The snapshot now in service.
pub struct Live {
    current: ArcSwap<Snapshot>,
}

impl Live {
    /// Starts with `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot) }
    }

    /// What a request that starts now is served by.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Serves `snapshot` from now on.
    pub fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}
