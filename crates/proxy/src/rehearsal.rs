//! What would become of a request, without a client and without a backend.

use std::sync::Arc;

use http::request;
use pipeline::{Connection, Exchange, Trace};
use problem::Problem;
use snapshot::Snapshot;

use crate::arrival::Arrival;
use crate::underway;

/// A request as the policies of its route would get it.
pub struct Rehearsal {
    /// The request.
    pub exchange: Exchange,
    /// The number of its route.
    pub route: Option<usize>,
    /// Why no policy would be asked.
    pub refusal: Option<Problem>,
}

/// Lets a request arrive, as if it had come by this connection.
pub fn rehearse(snapshot: &Snapshot, connection: &Arc<Connection>, head: request::Parts) -> Rehearsal {
    let (arrival, refusal) = Arrival::of(snapshot, connection, head, false);
    let route = arrival.route;
    Rehearsal { exchange: underway::exchange(snapshot, connection, arrival, Trace::default()), route, refusal }
}
