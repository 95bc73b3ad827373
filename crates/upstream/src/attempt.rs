//! One attempt at a target: a connection that there is, that is opened or that is waited for, and one exchange on it.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, header};
use model::upstream::{HostHeader, HttpVersion};
use pipeline::Body;

use crate::connect::{ConnectError, Time};
use crate::failed::Kind;
use crate::io::Io;
use crate::places::{Counted, Grant};
use crate::target::{Lease, Target};
use crate::{Outgoing, Upstream, h1};

/// What a target gave: its answer, and the connection if it switched protocols.
pub(crate) type Given = (Response<Body>, Option<(Io, Bytes)>);

/// One attempt that failed, and the body if nobody has used any of it.
pub(crate) struct Attempt {
    pub(crate) kind: Kind,
    pub(crate) cause: pipeline::BoxError,
    pub(crate) body: Option<Body>,
}

impl Upstream {
    pub(crate) async fn attempt(
        &self,
        target: &Arc<Target>,
        request: &mut Outgoing<'_>,
        time: Time<'_>,
    ) -> Result<Given, Attempt> {
        match &self.settings.host {
            HostHeader::Preserve => {}
            HostHeader::Target => drop(request.head.headers.insert(header::HOST, target.authority.clone())),
            HostHeader::Fixed(_) => {
                if let Some(host) = &self.fixed_host {
                    request.head.headers.insert(header::HOST, host.clone());
                }
            }
        }
        let lease = Lease::new(target.clone(), self.in_flight.clone());
        match self.settings.http {
            HttpVersion::Http1 => self.attempt_http1(target, request, lease, time).await,
            HttpVersion::Http2 => Box::pin(self.attempt_http2(target, request, lease, time)).await,
        }
    }

    async fn attempt_http1(
        &self,
        target: &Arc<Target>,
        request: &mut Outgoing<'_>,
        lease: Lease,
        time: Time<'_>,
    ) -> Result<Given, Attempt> {
        let connection = match target.idle_connection() {
            Some(connection) => connection,
            None => match Box::pin(self.new_connection(target, time)).await {
                Ok(connection) => connection,
                Err(error) => {
                    let body = Some(std::mem::take(&mut request.body));
                    return Err(Attempt { kind: Kind::from(&error), cause: error.into(), body });
                }
            },
        };
        let timeouts = &self.settings.timeouts;
        let terms = h1::Terms {
            time,
            first_byte: timeouts.first_byte.duration(),
            idle: timeouts.idle.duration(),
            limits: &self.limits,
            interim: request.interim.as_ref(),
        };
        let body = std::mem::take(&mut request.body);
        match h1::exchange(connection, request.head, body, lease, terms).await {
            Ok(answered) => Ok((answered.response, answered.tunnel)),
            Err(trouble) => Err(Attempt { kind: Kind::from(&trouble), cause: trouble.into(), body: None }),
        }
    }

    /// A connection that was not there: opened, or taken over from whoever is done with it.
    async fn new_connection(&self, target: &Arc<Target>, time: Time<'_>) -> Result<h1::Connection, ConnectError> {
        let counted = match self.place(target, time).await? {
            Grant::Place(counted) => counted,
            Grant::Connection(connection) if connection.io.is_quiet() => return Ok(connection),
            Grant::Connection(closed) => closed.counted,
        };
        let mut connected = self.connector.connect(target, time).await;
        if matches!(connected, Err(ConnectError::Exhausted(_))) && self.close_an_idle_connection() {
            connected = self.connector.connect(target, time).await;
        }
        Ok(h1::Connection::new(connected?, counted))
    }

    /// Closes a connection that idles, for whatever target and on whatever thread; says whether there was one.
    fn close_an_idle_connection(&self) -> bool {
        self.targets.iter().find_map(|target| target.oldest_idle()).is_some()
    }

    /// A place among the connections that may be, as soon as there is one.
    pub(crate) async fn place(&self, target: &Arc<Target>, time: Time<'_>) -> Result<Grant, ConnectError> {
        if let Some(counted) = self.places.take() {
            return Ok(Grant::Place(counted));
        }
        let waiting = self.places.line_up(target).map_err(|_full| ConnectError::Full)?;
        // One that idles, for another target or on another thread, makes room for one that is needed. It is looked for
        // from within the queue: what becomes idle after this look is offered to whoever waits.
        self.close_an_idle_connection();
        let patience = time.left(self.settings.breaker.pending_time.duration());
        let granted = time.alarm.limit(patience, poll_fn(|context| waiting.poll(context))).await;
        granted.map_err(|alarm::Expired| ConnectError::NoneFree)
    }

    /// As [`Self::place`], where connections are shared and none is handed on.
    pub(crate) async fn place_for_shared(&self, target: &Arc<Target>, time: Time<'_>) -> Result<Counted, ConnectError> {
        match self.place(target, time).await? {
            Grant::Place(counted) => Ok(counted),
            Grant::Connection(connection) => Ok(connection.counted),
        }
    }
}
