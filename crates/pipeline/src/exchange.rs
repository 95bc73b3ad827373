//! One request and what is known about it, from its head to its end.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use alarm::{Lives, Over};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use parking_lot::Mutex;
use smallvec::SmallVec;
use smol_str::SmolStr;
use tokio::time::Instant;

use crate::Audited;

/// The name of one exchange in logs, traces and usage records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A connection from a client: what is the same for all of its requests.
#[derive(Debug)]
pub struct Connection {
    /// The address of the other end, after a PROXY protocol header.
    pub peer: SocketAddr,
    /// The address that the client connected to.
    pub local: SocketAddr,
    /// The listener's name in the configuration.
    pub listener: Arc<str>,
    /// The server name that the client asked for by TLS, if TLS was used at all.
    pub tls: Option<Tls>,
    /// What a backend was told about the connection first, which seldom changes from request to request.
    pub told: OnceLock<Told>,
    /// What the whole connection depends on, if its certificate is known when it begins, or a policy let its requests in for
    /// what the connection is.
    pub depends_on: OnceLock<Lives>,
}

/// What a backend was told about a connection.
#[derive(Debug)]
pub struct Told {
    /// The `Host` that the client asked for.
    pub host: Option<HeaderValue>,
    /// By which scheme.
    pub scheme: &'static str,
    /// The element of `Forwarded` that says so.
    pub element: HeaderValue,
}

/// What is known of a connection by TLS.
#[derive(Debug, Default)]
pub struct Tls {
    /// The server name (SNI), in lower case.
    pub server_name: Option<Box<str>>,
    /// The client's certificate, if it sent one that its listener trusts.
    pub certificate: Option<PeerCertificate>,
}

/// A certificate that a peer proved to own.
#[derive(Debug)]
pub struct PeerCertificate {
    /// The whole certificate, DER.
    pub der: Box<[u8]>,
    /// SHA-256 over `der`.
    pub sha256: [u8; 32],
    /// The certificates that the peer sent with it, DER, from its issuer on upwards.
    pub chain: Vec<Box<[u8]>>,
    /// What it says, once a policy wanted to know.
    pub said: OnceLock<Said>,
}

/// What a certificate says.
#[derive(Debug)]
pub struct Said {
    /// The names in it.
    pub names: Box<[String]>,
    /// Until when it is valid, in microseconds since 1970.
    pub not_after: u64,
    /// Whether it was signed with the keys that were asked about.
    signers: Mutex<Vec<(Box<[u8]>, bool)>>,
}

impl Said {
    /// What a certificate says: names, and until when it is valid, in microseconds since 1970.
    pub fn new(names: impl Into<Box<[String]>>, not_after: u64) -> Self {
        Self { names: names.into(), not_after, signers: Mutex::default() }
    }

    /// Whether it was signed with this key, which is verified once a connection.
    pub fn is_signed_by(&self, key: &[u8], verify: impl FnOnce() -> bool) -> bool {
        let mut signers = self.signers.lock();
        if let Some((_, is_signed)) = signers.iter().find(|(known, _)| **known == *key) {
            return *is_signed;
        }
        let is_signed = verify();
        signers.push((key.into(), is_signed));
        is_signed
    }
}

/// The W3C trace context of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The trace that the exchange belongs to.
    pub trace_id: u128,
    /// The span of the exchange in it.
    pub span_id: u64,
    /// The span of whoever called.
    pub parent_id: Option<u64>,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// The route that won: names that do not change from request to request.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The API's name, empty for a request that no API wants.
    pub api: Arc<str>,
    /// The path pattern that matched, such as `/orders/v1/{id}`; bounded, so fit for a metric's label.
    pub template: Arc<str>,
    /// How many segments of `template` are the API's base path; operations are named without them.
    pub base: usize,
}

/// Who calls, once a policy found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The policy that found out, such as `api-key`.
    pub by: &'static str,
    /// What identifies the credential and is no secret: a key's id, a user's name. Mostly as short as a key's id, of which
    /// there are as many as keys.
    pub credential: SmolStr,
    /// The company, by name.
    pub company: Option<Arc<str>>,
    /// The app, by name.
    pub app: Option<Arc<str>>,
    /// What the credential may do.
    pub scopes: Vec<Arc<str>>,
}

/// What is known of a caller beyond its credential: names and texts that another service keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its members.
    pub members: Vec<(Arc<str>, String)>,
}

impl Record {
    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.as_str())
    }
}

/// A request's head before the gateway took anything out of it, or wrote it in another way.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The target in the form in which it was sent.
    pub target: Uri,
    /// Whether the target has a path; if not, its URI has `/` all the same.
    pub has_path: bool,
    /// All headers, those about the connection included.
    pub headers: HeaderMap,
}

/// One request and what is known about it.
pub struct Exchange {
    /// Its name.
    pub id: RequestId,
    /// When its head was complete.
    pub began: Instant,
    /// The same by the wall clock, in microseconds since 1970.
    pub began_at: u64,
    /// The client's address, after trusted proxies are peeled off.
    pub client: IpAddr,
    /// `https` or `http`, as the client used it, after trusted proxies are peeled off.
    pub scheme: &'static str,
    /// The connection it came by.
    pub connection: Arc<Connection>,
    /// The method as it was requested.
    pub method: Method,
    /// The target as it was requested.
    pub target: Uri,
    /// The host that the client asked for, without a port, in lower case.
    pub host: Box<str>,
    /// The request head, as the upstream will see it.
    pub head: http::request::Parts,
    /// The head as it came, if a policy of the configuration wants to know it.
    pub arrived: Option<Box<Arrived>>,
    /// The route that won.
    pub route: Arc<Route>,
    /// The path's parameters, as the route's template names them, percent-decoded.
    pub parameters: Vec<(Arc<str>, String)>,
    /// Who calls, once it is known.
    pub caller: Option<Arc<Caller>>,
    /// The caller's record, once a policy fetched it.
    pub record: Option<Arc<Record>>,
    /// The session that it belongs to, once that is known: its `id`, and what else is known of it.
    pub session: Option<Arc<Record>>,
    /// The product by which the caller may do this, once it is known.
    pub product: Option<Arc<str>>,
    /// What the exchange counts for in quotas and bills.
    pub cost: u32,
    /// Whether a body follows the request's head.
    pub has_body: bool,
    /// The most that the request's body may have, if a policy says so; the proxy cuts off what is longer (413).
    pub body_limit: Option<u64>,
    /// Its place in a trace.
    pub trace: Trace,
    /// What a firewall found in it, once all is known: for those who are told of its end.
    pub audited: OnceLock<Box<dyn Audited>>,
    /// What the exchange depends on, up to its last byte: when one of these is over, the proxy cuts it.
    pub lives: Lives,
    /// What policies noted, see [`Self::note`].
    pub slots: Slots,
    /// Which conditions have been asked.
    pub gates: Gates,
}

/// The places for notes of one exchange; its chain makes them.
#[derive(Default)]
pub struct Slots {
    pub(crate) notes: SmallVec<[Option<Box<dyn Any + Send + Sync>>; 4]>,
    pub(crate) figures: SmallVec<[u64; 8]>,
}

/// Which conditions have been asked, and which of them held; a bit per condition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gates {
    pub(crate) asked: u64,
    pub(crate) held: u64,
}

impl Exchange {
    /// What time it is now, in microseconds since 1970: for what is done once a body or an answer is there.
    pub fn now(&self) -> u64 {
        self.began_at.saturating_add(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// What `slot`'s owner noted earlier in this exchange.
    pub fn noted<T: 'static>(&self, slot: Slot<T>) -> Option<&T> {
        self.slots.notes.get(slot.index)?.as_ref()?.downcast_ref()
    }

    /// As [`Self::noted`], to change it.
    pub fn noted_mut<T: 'static>(&mut self, slot: Slot<T>) -> Option<&mut T> {
        self.slots.notes.get_mut(slot.index)?.as_mut()?.downcast_mut()
    }

    /// Takes out what `slot`'s owner noted earlier.
    pub fn take<T: 'static>(&mut self, slot: Slot<T>) -> Option<Box<T>> {
        self.slots.notes.get_mut(slot.index)?.take()?.downcast().ok()
    }

    /// Notes something for a later hook of the same policy.
    pub fn note<T: Send + Sync + 'static>(&mut self, slot: Slot<T>, value: T) {
        if let Some(place) = self.slots.notes.get_mut(slot.index) {
            *place = Some(Box::new(value));
        }
    }

    /// The numbers that the owner of these figures set earlier, or zeros.
    pub fn figures<const N: usize>(&self, figures: Figures<N>) -> [u64; N] {
        let set = self.slots.figures.get(figures.first..).and_then(<[u64]>::first_chunk);
        set.copied().unwrap_or([0; N])
    }

    /// Sets numbers for a later hook of the same policy. Unlike [`Self::note`], it allocates nothing.
    pub fn set_figures<const N: usize>(&mut self, figures: Figures<N>, numbers: [u64; N]) {
        if let Some(place) = self.slots.figures.get_mut(figures.first..).and_then(<[u64]>::first_chunk_mut) {
            *place = numbers;
        }
    }

    /// The request's headers, as the upstream will see them.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The value of a path parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.as_str())
    }
}

/// A place in every exchange that belongs to one policy of one chain.
pub struct Slot<T> {
    pub(crate) index: usize,
    pub(crate) holds: PhantomData<fn() -> T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

/// Places for `N` plain numbers in every exchange, which belong to one policy of one chain.
#[derive(Clone, Copy)]
pub struct Figures<const N: usize> {
    pub(crate) first: usize,
}

/// How an exchange ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The status that was sent, unless the client went away before.
    pub status: Option<StatusCode>,
    /// Body bytes read from the client.
    pub received: u64,
    /// Body bytes handed to the client's connection.
    pub sent: u64,
    /// Whether the body was sent to its end.
    pub complete: bool,
    /// From the head of the request to the end of the answer.
    pub took: Duration,
    /// The code of the problem that the gateway answered with itself.
    pub problem: Option<&'static str>,
    /// Why it was cut, if what it depended on was over before its end.
    pub cut: Option<Over>,
    /// What the upstream did, if it was asked.
    pub upstream: Option<Upstreamed>,
}

/// What an upstream did for an exchange.
#[derive(Clone, Debug)]
pub struct Upstreamed {
    /// The upstream's name in the configuration.
    pub name: Arc<str>,
    /// The target that gave the answer, or was tried last.
    pub target: Arc<str>,
    /// From sending the request to the head of the answer.
    pub first_byte: Option<Duration>,
    /// How often the request was sent.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::Request;

    use crate::{ChainBuilder, tester};

    #[tokio::test(start_paused = true)]
    async fn an_exchange_knows_what_time_it_is_however_long_its_body_takes() {
        let exchange = tester::exchange(Request::get("/"));
        tokio::time::advance(Duration::from_secs(75)).await;
        assert_eq!(exchange.now(), exchange.began_at + 75_000_000);
    }

    #[test]
    fn figures_are_zero_until_their_owner_sets_them() {
        let mut chain = ChainBuilder::new("test", Arc::default(), Arc::default());
        let (mine, yours) = (chain.figures::<2>(), chain.figures::<3>());
        let chain = chain.build();
        let mut exchange = tester::exchange(Request::get("/"));
        chain.adopt(&mut exchange);

        exchange.set_figures(mine, [7, 9]);

        assert_eq!(exchange.figures(mine), [7, 9]);
        assert_eq!(exchange.figures(yours), [0, 0, 0]);
    }
}
