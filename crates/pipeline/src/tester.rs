//! A policy on its own, as its tests see it.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::return_self_not_must_use,
    reason = "a test may panic; its helpers read best without ceremony"
)]

use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use alarm::Lives;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use problem::{Finding, Pointer, ProblemKind};
use serde_json::Value;
use tokio::time::Instant;

use crate::exchange::{Gates, Slots};
use crate::{
    Body, Caller, Chain, ChainBuilder, Connection, Entry, Exchange, Flow, Kept, OnFailure, Outcome, Policy, RequestId,
    Route, Services, Tls, Trace,
};

/// A policy as a route would have it.
pub fn policy<P: Policy>(with: Value) -> PolicyUnderTest<P> {
    policy_with(with, Services::default())
}

/// As [`policy`], with what a process would lend.
pub fn policy_with<P: Policy>(with: Value, services: Services) -> PolicyUnderTest<P> {
    let services = Arc::new(services);
    let kept = Arc::default();
    PolicyUnderTest {
        compiled: compile::<P>(&with, OnFailure::Close, &services, &kept),
        with,
        services,
        kept,
        policy: PhantomData,
    }
}

/// See [`policy`].
pub struct PolicyUnderTest<P> {
    with: Value,
    services: Arc<Services>,
    kept: Arc<Kept>,
    compiled: Result<Chain, Finding>,
    policy: PhantomData<P>,
}

impl<P: Policy> PolicyUnderTest<P> {
    /// Lets requests pass that the policy cannot judge.
    pub fn failing_open(self) -> Self {
        Self { compiled: compile::<P>(&self.with, OnFailure::Open, &self.services, &self.kept), ..self }
    }

    /// As after a reload with other settings: what was kept is found again.
    pub fn reloaded(self, with: Value) -> Self {
        Self { compiled: compile::<P>(&with, OnFailure::Close, &self.services, &self.kept), with, ..self }
    }

    /// What is wrong with the settings.
    #[track_caller]
    pub fn finding(&self) -> String {
        match &self.compiled {
            Err(finding) => finding.to_string(),
            Ok(_) => panic!("nothing is wrong with {}", self.with),
        }
    }

    /// A `GET http://example.com/` from 192.0.2.1 that this policy will judge.
    #[track_caller]
    pub fn request(&self) -> Judged<'_> {
        match &self.compiled {
            Ok(chain) => Judged { chain, exchange: exchange(Request::get("/")), body: Bytes::new() },
            Err(finding) => panic!("{finding}"),
        }
    }
}

fn compile<P: Policy>(
    with: &Value,
    on_failure: OnFailure,
    services: &Arc<Services>,
    kept: &Arc<Kept>,
) -> Result<Chain, Finding> {
    let mut chain = ChainBuilder::new("test", services.clone(), kept.clone());
    chain.enter(P::NAME, P::STAGE, on_failure, None);
    (Entry::of::<P>().install)(with.clone(), &Pointer::default().at("with"), &mut chain)?;
    Ok(chain.build())
}

/// An exchange as the proxy would begin it, from `192.0.2.1` by plain HTTP to `example.com`.
pub fn exchange(request: http::request::Builder) -> Exchange {
    let (head, ()) = request.body(()).expect("a valid request").into_parts();
    let peer = SocketAddr::from(([192, 0, 2, 1], 50000));
    Exchange {
        id: RequestId(1),
        began: Instant::now(),
        began_at: 1_767_225_600_000_000,
        client: peer.ip(),
        scheme: "http",
        connection: Arc::new(Connection {
            peer,
            local: SocketAddr::from(([192, 0, 2, 80], 80)),
            listener: "test".into(),
            tls: None,
            told: OnceLock::new(),
            depends_on: OnceLock::new(),
        }),
        method: head.method.clone(),
        target: head.uri.clone(),
        host: "example.com".into(),
        head,
        arrived: None,
        route: Arc::new(Route { api: "test".into(), template: "/{path}".into(), base: 0 }),
        parameters: Vec::new(),
        caller: None,
        record: None,
        session: None,
        product: None,
        cost: 1,
        has_body: false,
        body_limit: None,
        trace: Trace::default(),
        audited: OnceLock::new(),
        lives: Lives::new(),
        slots: Slots::default(),
        gates: Gates::default(),
    }
}

/// A request on its way through one policy.
pub struct Judged<'a> {
    chain: &'a Chain,
    exchange: Exchange,
    body: Bytes,
}

impl Judged<'_> {
    /// Sets the client's address.
    pub fn from(mut self, client: &str) -> Self {
        self.exchange.client = client.parse::<IpAddr>().expect("an address");
        self
    }

    /// Sets the target.
    pub fn to(mut self, target: &str) -> Self {
        self.exchange.head.uri = target.parse().expect("a target");
        self.exchange.target = self.exchange.head.uri.clone();
        self
    }

    /// Sets the method.
    pub fn by(mut self, method: &str) -> Self {
        self.exchange.head.method = method.parse().expect("a method");
        self.exchange.method = self.exchange.head.method.clone();
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.exchange.head.headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.exchange.has_body = !self.body.is_empty();
        self
    }

    /// Sets who calls.
    pub fn called_by(mut self, caller: Caller) -> Self {
        self.exchange.caller = Some(Arc::new(caller));
        self
    }

    /// Pretends that the connection is by TLS.
    pub fn tls(mut self, tls: Tls) -> Self {
        let Connection { peer, local, ref listener, .. } = *self.exchange.connection;
        self.exchange.connection = Arc::new(Connection {
            peer,
            local,
            listener: listener.clone(),
            tls: Some(tls),
            told: OnceLock::new(),
            depends_on: OnceLock::new(),
        });
        self.exchange.scheme = "https";
        self
    }

    /// Changes anything else.
    pub fn with(mut self, change: impl FnOnce(&mut Exchange)) -> Self {
        change(&mut self.exchange);
        self
    }

    /// Asserts that the policy lets the request pass; returns what the upstream would see.
    #[track_caller]
    pub fn passes(self) -> Exchange {
        let passed = self.run(Response::new(Body::Empty));
        assert_eq!(passed.refusal, None);
        passed.exchange
    }

    /// Asserts that the policy answers with this problem; returns the answer.
    #[track_caller]
    pub fn is_refused_with(self, code: &str) -> Answer {
        let passed = self.run(Response::new(Body::Empty));
        assert_eq!(passed.refusal, Some(code.to_owned()));
        passed.answer
    }

    /// As [`Self::is_refused_with`], and without waiting for anything.
    #[track_caller]
    pub fn is_refused_at_once_with(self, code: &str) -> Answer {
        let passed = self.judge(Response::new(Body::Empty)).now_or_never().expect("the policy waits");
        assert_eq!(passed.refusal, Some(code.to_owned()));
        passed.answer
    }

    /// What the client gets, the policy's own answer or `upstream`'s after the policy saw it.
    pub fn answered(self, upstream: Response<Body>) -> Answer {
        self.run(upstream).answer
    }

    /// The exchange in its end, whoever answered it.
    pub fn ended(self, upstream: Response<Body>) -> Exchange {
        self.run(upstream).exchange
    }

    fn run(self, upstream: Response<Body>) -> Passed {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(self.judge(upstream))
    }

    async fn judge(self, upstream: Response<Body>) -> Passed {
        let Self { chain, mut exchange, mut body } = self;
        chain.adopt(&mut exchange);
        let mut flow = chain.request(&mut exchange).await;
        if matches!(flow, Flow::Next) && !body.is_empty() {
            let mut begun = Body::from(body.clone());
            flow = chain.body_begun(&mut exchange, &mut begun).await.expect("a body that can be read");
        }
        if matches!(flow, Flow::Next) && !body.is_empty() {
            flow = match chain.request_body_limit(&exchange) {
                None => Flow::Next,
                Some(limit) if body.len() > limit => panic!("{} bytes are over the limit of {limit}", body.len()),
                Some(_) => chain.request_body(&mut exchange, &mut body).await,
            };
        }
        let (response, refusal) = match flow {
            Flow::Next => (upstream, None),
            Flow::Respond(response) => {
                let code = code(&response);
                (*response, Some(code))
            }
        };
        let (mut head, mut body) = response.into_parts();
        let flow = chain.answer(&mut exchange, &head, &mut body).await.expect("a body that can be read");
        let mut refusal = refusal;
        if let Flow::Respond(response) = flow {
            refusal = refusal.or(Some(code(&response)));
            (head, body) = response.into_parts();
        }
        chain.response(&mut exchange, &mut head);
        let mut body = body.collect().await.expect("a body").to_bytes();
        chain.response_body(&mut exchange, &mut body).expect("a body that the policy takes");
        let mut sent = chain.response_chunk(&mut exchange, body).expect("a chunk that the policy takes").to_vec();
        sent.extend(chain.response_end(&mut exchange).expect("an end that the policy takes"));
        let outcome =
            Outcome { status: Some(head.status), sent: sent.len() as u64, complete: true, ..Outcome::default() };
        chain.finish(&exchange, &outcome);
        let answer = Answer { status: head.status, headers: head.headers, body: sent.into() };
        Passed { exchange, refusal, answer }
    }
}

fn code(response: &Response<Body>) -> String {
    let kind = response.extensions().get::<&'static ProblemKind>();
    kind.map_or("no problem", |kind| kind.code).to_owned()
}

struct Passed {
    exchange: Exchange,
    refusal: Option<String>,
    answer: Answer,
}

/// What a client gets.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}
