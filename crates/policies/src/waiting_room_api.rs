//! `waiting-room-api`: answers what visitors ask a waiting room, or what its operators and their programs do.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, response};
use http_body::Frame;
use http_body_util::StreamBody;
use pipeline::{
    AskOnRequest, AskOnRequestBody, Body, ChainBuilder, Exchange, Figures, Flow, OnResponse, Policy, Slot, Stage, Step,
    Verdict,
};
use problem::{Finding, Pointer, ProblemKind};
use rooms::refused::{INVITE_REFUSED, LANE_FULL, PROOF_REFUSED};
use rooms::{Api, Begun, Changed, KeptRoom, Operation, Question, Side};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sigv4::{Refused, Signature};
use store::Unavailable;

/// Answers what visitors ask a waiting room, or what its operators and their programs ask.
///
/// Paths, statuses and bodies are those of "Virtual Waiting Room on AWS", below the path of the API that has this policy:
/// `assign_queue_num`, `queue_num`, `serving_num`, `waiting_num`, `generate_token`, `public_key`, `queue_pos_expiry` and
/// `watch`, which tells what is counted as it changes (server-sent events), for visitors; `increment_serving_counter`, `generate_token`, `update_session`, `num_active_tokens`, `expired_tokens`,
/// `reset_initial_state`, `undo_reset` and `update_inlet` for operators, who send `Authorization: Bearer` with a token of
/// the Admin API: of the role `owner` or `operator`, or `auditor` to look; or who sign by AWS Signature Version 4 with an access
/// key of rooms; and `authorize`, `token`, `userInfo` and what is
/// below `.well-known` for OpenID clients, if the room has `openid`. Everything else goes on, unless the room is strict. Any
/// site may read what is said for the room, also by a policy that refuses a request before, and when to come again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of a room in `rooms`.
    room: String,
    /// Whom it answers.
    #[serde(default)]
    serves: Serves,
}

/// Whom a waiting room answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Serves {
    /// Visitors.
    #[default]
    Visitors,
    /// Operators and their programs.
    Operators,
    /// OpenID clients.
    Openid,
}

/// The waiting rooms of a document.
pub trait WaitingRooms: Send + Sync {
    /// The room of this name, unless the document is only looked at.
    fn named(&self, name: &str) -> Option<Arc<KeptRoom>>;
    /// The names of all.
    fn names(&self) -> Vec<String>;
    /// Whether the document has an inlet for the room of this name.
    fn has_inlet(&self, name: &str) -> bool;
}

/// Who may do what with rooms.
pub trait Operators: Send + Sync {
    /// Who presents this secret, if they may do so.
    fn who<'a>(&'a self, secret: &'a [u8], doing: Doing) -> BoxFuture<'a, Result<Option<Arc<str>>, Unavailable>>;
    /// The secret of the access key of this id, at a time in seconds since 1970, and the most that may be done with it.
    fn access_key<'a>(&'a self, id: &'a str, now: u64) -> BoxFuture<'a, Result<Option<(String, Doing)>, Unavailable>>;
    /// Writes down who did what to a room, and how it is since.
    fn note<'a>(
        &'a self,
        who: Arc<str>,
        what: (Changed, &'a str),
        now: Value,
    ) -> BoxFuture<'a, Result<(), Unavailable>>;
}

/// What is done with a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It is looked at.
    Look,
    /// It is changed.
    Change,
}

/// A document that is only looked at has no rooms.
#[derive(Debug, thiserror::Error)]
#[error("waiting rooms are not here")]
pub(crate) struct NoRooms;

/// The compiled policy.
pub struct WaitingRoomApi {
    api: Option<Api>,
    side: Side,
    operators: Option<Arc<dyn Operators>>,
    /// What is asked for by a body that is to come.
    asked: Slot<Operation>,
    /// Who signed a request whose body is to come.
    signed: Slot<Signed>,
    /// Which operator asks.
    operator: Slot<Arc<str>>,
    /// 1 once it is known that a request is the room's.
    is_ours: Figures<1>,
}

/// The room of a name, or what is wrong with the name. None: the document is only looked at.
pub(crate) fn room(name: &str, at: &Pointer, chain: &ChainBuilder) -> Result<Option<Arc<KeptRoom>>, Finding> {
    let Some(rooms) = chain.service::<dyn WaitingRooms>() else {
        return Err(Finding::new(at, "needs rooms: configure a `store` and `rooms`"));
    };
    let names = rooms.names();
    if names.iter().any(|known| known == name) {
        return Ok(rooms.named(name));
    }
    let known: Vec<_> = names.iter().map(String::as_str).collect();
    Err(Finding::new(at, format!("there is no room `{name}` in `rooms`{}", model::read::advice(name, &known))))
}

impl Policy for WaitingRoomApi {
    const NAME: &'static str = "waiting-room-api";
    const STAGE: Stage = Stage::Complete;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&INVITE_REFUSED, &LANE_FULL, &PROOF_REFUSED];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let side = match config.serves {
            Serves::Visitors => Side::Public,
            Serves::Operators => Side::Private,
            Serves::Openid => Side::OpenId,
        };
        let api = room(&config.room, &at.at("room"), chain)?.map(|room| Api::new(room, side));
        Ok(Self {
            api,
            side,
            operators: chain.service::<dyn Operators>(),
            asked: chain.slot(),
            signed: chain.slot(),
            operator: chain.slot(),
            is_ours: chain.figures(),
        })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_request(self.clone());
        chain.ask_on_request_body(self.clone());
        chain.on_response(self);
    }
}

impl AskOnRequest for WaitingRoomApi {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some(api) = &self.api else { return Step::Now(Err(NoRooms.into())) };
        let operation = match api.begin(&exchange.method, below(exchange)) {
            Begun::Answered(response) => return Step::Now(Ok(respond(response))),
            Begun::Elsewhere => return Step::Now(Ok(Flow::Next)),
            Begun::Asks(operation) => operation,
        };
        exchange.set_figures(self.is_ours, [1]);
        match self.side {
            Side::Public | Side::OpenId => self.ask(api, operation, exchange),
            Side::Private => Step::Wait(Box::pin(async move {
                if let Err(refused) = self.expect_allowed(exchange, operation).await? {
                    return Ok(respond(refused));
                }
                match self.ask(api, operation, exchange) {
                    Step::Now(verdict) => verdict,
                    Step::Wait(answer) => answer.await,
                }
            })),
        }
    }
}

impl WaitingRoomApi {
    fn ask<'a>(&'a self, api: &'a Api, operation: Operation, exchange: &'a mut Exchange) -> Step<'a> {
        if operation.is_post() && exchange.has_body {
            exchange.note(self.asked, operation);
            return Step::Now(Ok(Flow::Next));
        }
        // Who waits there has the room's own page, which asks for more.
        if operation == Operation::Authorize
            && let Some(aside) = api.room().aside(&crate::waiting_room::visitor(exchange))
        {
            let visitor = crate::waiting_room::visitor(exchange);
            let answered = aside.and_then(|aside| crate::waiting_room::answered(api.room(), &visitor, aside));
            return Step::Now(answered.map_err(Into::into));
        }
        // Most questions are answered at once. To authorize may be to join, which must not be begun twice.
        if !operation.is_post()
            && operation != Operation::Authorize
            && let Some(response) = api.answer(operation, &question(exchange, &[])).now_or_never()
        {
            return Step::Now(answered(api, operation, response, &question(exchange, &[])));
        }
        Step::Wait(Box::pin(async move {
            let response = api.answer(operation, &question(exchange, &[])).await;
            answered(api, operation, response, &question(exchange, &[]))
        }))
    }

    /// Whether an operator may do this, by a token or by a signature. What a body is signed with is looked at when it is there.
    async fn expect_allowed(
        &self,
        exchange: &mut Exchange,
        operation: Operation,
    ) -> Result<Result<(), Response<Bytes>>, Unavailable> {
        let field = exchange.head.headers.get(AUTHORIZATION);
        if field.is_some_and(|field| sigv4::is_claimed(field.as_bytes())) {
            return self.expect_signed(exchange, operation).await;
        }
        let Some(who) = self.who(&exchange.head.headers, operation).await? else { return Ok(Err(Api::forbidden())) };
        exchange.note(self.operator, who);
        Ok(Ok(()))
    }

    async fn expect_signed(
        &self,
        exchange: &mut Exchange,
        operation: Operation,
    ) -> Result<Result<(), Response<Bytes>>, Unavailable> {
        let now = exchange.began_at / 1_000_000;
        let signature = match Signature::of(signed(exchange), now) {
            Ok(signature) => signature,
            Err(refused) => return Ok(Err(Api::not_signed(&refused.to_string()))),
        };
        let Some(operators) = &self.operators else { return Ok(Err(Api::forbidden())) };
        let Some((secret, most)) = operators.access_key(&signature.key_id, now).await? else {
            return Ok(Err(Api::not_signed("The security token included in the request is invalid.")));
        };
        exchange.note(self.operator, signature.key_id.as_str().into());
        let signer = Signed { signature, secret };
        if operation.is_post() && exchange.has_body {
            // Nothing is done before the body is there; who may not do it need not send it.
            exchange.note(self.signed, signer);
        } else if exchange.has_body {
            // Nobody reads it, so nobody can tell whether it is what was signed.
            return Ok(Err(Api::not_signed(&Refused::Different.to_string())));
        } else if let Err(refused) = signer.verify(exchange, &[]) {
            return Ok(Err(refused));
        }
        let may = most == Doing::Change || doing(operation) == Doing::Look;
        Ok(if may { Ok(()) } else { Err(Api::forbidden()) })
    }

    async fn who(&self, headers: &HeaderMap, operation: Operation) -> Result<Option<Arc<str>>, Unavailable> {
        let Some(operators) = &self.operators else { return Ok(None) };
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return Ok(None) };
        let Some(secret) = bearer(field.as_bytes()) else { return Ok(None) };
        operators.who(secret, doing(operation)).await
    }

    /// Answers what was asked with a body; what an operator changed by it is written down.
    async fn answer(&self, api: &Api, operation: Operation, exchange: &mut Exchange, body: &[u8]) -> Response<Bytes> {
        let operator = exchange.take(self.operator);
        let response = api.answer(operation, &question(exchange, body)).await;
        if let (Some(changed), Some(who), Some(operators)) =
            (response.extensions().get::<Changed>(), operator, &self.operators)
        {
            let serving = api.room().counters().map(|counters| counters.serving).ok();
            let noted = operators.note(*who, (*changed, api.room().name()), json!({ "serving_num": serving })).await;
            if let Err(cause) = noted {
                let (room, what) = (&**api.room().name(), changed.0);
                tracing::error!(room, what, %cause, "what an operator did is missing in the audit log");
            }
        }
        response
    }
}

impl AskOnRequestBody for WaitingRoomApi {
    fn limit(&self) -> usize {
        match self.side {
            Side::Public | Side::OpenId => LONGEST,
            Side::Private => LONGEST_OF_OPERATORS,
        }
    }

    fn concerns(&self, exchange: &Exchange) -> bool {
        exchange.noted(self.asked).is_some()
    }

    fn ask_on_request_body<'a>(&'a self, exchange: &'a mut Exchange, body: &'a mut Bytes) -> Step<'a> {
        let (Some(api), Some(operation)) = (&self.api, exchange.take(self.asked)) else {
            return Step::Now(Ok(Flow::Next));
        };
        if let Some(signer) = exchange.take(self.signed)
            && let Err(refused) = signer.verify(exchange, body)
        {
            return Step::Now(Ok(respond(refused)));
        }
        Step::Wait(Box::pin(async move { Ok(respond(self.answer(api, *operation, exchange, body).await)) }))
    }
}

impl OnResponse for WaitingRoomApi {
    /// Any site may read what the gateway says for the room, too, and when to come again, whichever policy says so; what an
    /// upstream says is not the room's affair.
    fn on_response(&self, exchange: &mut Exchange, head: &mut response::Parts) {
        // A policy that answers earlier leaves this one without having seen the request.
        let is_asked = |api: &Api| !matches!(api.begin(&exchange.method, below(exchange)), Begun::Elsewhere);
        if exchange.figures(self.is_ours) != [1] && !self.api.as_ref().is_some_and(is_asked) {
            return;
        }
        head.headers.entry(ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(HeaderValue::from_static("*"));
        if head.headers.contains_key(RETRY_AFTER) {
            head.headers.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(HeaderValue::from_static("retry-after"));
        }
    }
}

/// Whose secret signed a request.
struct Signed {
    signature: Signature,
    secret: String,
}

impl Signed {
    fn verify(&self, exchange: &Exchange, body: &[u8]) -> Result<(), Response<Bytes>> {
        let verified = self.signature.verify(&self.secret, signed(exchange), body);
        verified.map_err(|refused| Api::not_signed(&refused.to_string()))
    }
}

/// What is signed of a request: as it was sent, whatever became of it since.
fn signed(exchange: &Exchange) -> sigv4::Request<'_> {
    sigv4::Request {
        method: &exchange.method,
        path: exchange.target.path(),
        query: exchange.target.query().unwrap_or_default(),
        headers: &exchange.head.headers,
    }
}

fn doing(operation: Operation) -> Doing {
    if operation.is_post() { Doing::Change } else { Doing::Look }
}

/// The path below the API's own.
fn below(exchange: &Exchange) -> &str {
    let mut rest = exchange.head.uri.path();
    for _ in 0..exchange.route.base {
        let segment = rest.strip_prefix('/').unwrap_or(rest);
        rest = segment.find('/').and_then(|at| segment.get(at..)).unwrap_or_default();
    }
    rest
}

fn question<'a>(exchange: &'a Exchange, body: &'a [u8]) -> Question<'a> {
    Question {
        path: exchange.head.uri.path(),
        query: exchange.head.uri.query().unwrap_or_default(),
        is_secure: exchange.scheme == "https",
        headers: &exchange.head.headers,
        body,
        // A body may have come long after its head.
        now: u32::try_from(exchange.now() / 1_000_000).unwrap_or(u32::MAX),
        client: Some(exchange.client),
    }
}

/// An answer; to one who watches, what follows its head.
fn answered(api: &Api, operation: Operation, response: Response<Bytes>, question: &Question<'_>) -> Verdict {
    if operation != Operation::Watch || response.status() != StatusCode::OK {
        return Ok(respond(response));
    }
    let body = events(api.watched(question)?);
    Ok(Flow::Respond(Box::new(response.map(|_nothing| body))))
}

/// What is counted, as it changes, to a page of the gateway itself.
pub(crate) fn watched(told: impl Stream<Item = Bytes> + Send + 'static) -> Flow {
    let mut response = Response::new(events(told));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Flow::Respond(Box::new(response))
}

fn events(told: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    Body::stream(StreamBody::new(told.map(|event| Ok(Frame::data(event)))))
}

fn respond(response: Response<Bytes>) -> Flow {
    Flow::Respond(Box::new(response.map(Body::from)))
}

/// The secret of a bearer (RFC 6750, section 2.1).
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = field.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
}

/// Bytes of what a visitor sends.
const LONGEST: usize = 16 * 1024;
/// Bytes of what an operator sends, who may tell of many visits at once.
const LONGEST_OF_OPERATORS: usize = 4 * 1024 * 1024;
