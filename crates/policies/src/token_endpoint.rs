//! An issuer of tokens that the gateway asks as a client (RFC 6749): how it is asked, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use lookup::{Known, Lasting, Lookups, Said, Terms, Trouble};
use model::units::Span;
use percent_encoding::utf8_percent_encode;
use pipeline::{ChainBuilder, Exchange, Flow, Step};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::headers::{Host, header_name};
use crate::outside::{Backend, Background};
use crate::partner_record::backend;
use attributes::template::COMPONENT;

/// The issuer of tokens for the backend is in trouble, and none is at hand.
pub static TOKEN_UNAVAILABLE: ProblemKind = ProblemKind {
    code: "token-unavailable",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "No token for the backend can be had now",
};

/// The issuer of tokens gives none for the caller's own token.
pub static TOKEN_REFUSED: ProblemKind = ProblemKind {
    code: "token-refused",
    status: StatusCode::UNAUTHORIZED,
    title: "Your token is not taken by the issuer of tokens for the backend",
};

/// An issuer of tokens, and what the gateway is to it.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The upstream of the issuer.
    upstream: String,
    /// The path of its token endpoint, such as `/oauth2/token`.
    path: String,
    /// The gateway's name as a client.
    client_id: String,
    /// The gateway's secret as a client, such as `${file:client-secret.txt}`.
    #[schemars(extend("writeOnly" = true))]
    client_secret: String,
    /// Where name and secret are sent.
    #[serde(default)]
    client_auth: ClientAuth,
    /// How long the issuer may take. A request that waits for it waits no longer than `4s`.
    #[serde(default = "timeout")]
    timeout: Span,
}

fn timeout() -> Span {
    Span::seconds(10)
}

/// Where a client's name and secret are sent (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// In the header `authorization`.
    #[default]
    Basic,
    /// In the body.
    Post,
}

/// A compiled [`Endpoint`] with the tokens that it gave.
pub(crate) struct Tokens {
    backend: Arc<dyn Backend>,
    background: Arc<dyn Background>,
    endpoint: Endpoint,
    header: HeaderName,
    lookups: Arc<Lookups<HeaderValue>>,
}

/// The parameters of a question, in their order.
pub(crate) type Parameters = Vec<(&'static str, String)>;

impl Tokens {
    /// Tokens of an endpoint, to be sent in this header; `settings` are all settings that make a token what it is.
    pub(crate) fn compile(
        endpoint: Endpoint,
        header: &str,
        settings: &str,
        at: &Pointer,
        chain: &ChainBuilder,
    ) -> Result<Self, Finding> {
        let issuer_at = at.at("issuer");
        let Some(background) = chain.service::<dyn Background>() else {
            return Err(Finding::new(at, "cannot be used: nothing runs beside requests here"));
        };
        if !endpoint.path.starts_with('/') {
            return Err(Finding::new(&issuer_at.at("path"), "must begin with `/`"));
        }
        let timeout = endpoint.timeout.duration();
        if timeout.is_zero() {
            return Err(Finding::new(&issuer_at.at("timeout"), "is no time at all"));
        }
        let terms = Terms { cold_patience: timeout.min(LONGEST_WAIT), ..TERMS };
        Ok(Self {
            backend: backend(&endpoint.upstream, &issuer_at.at("upstream"), chain)?,
            background,
            header: header_name(header, &at.at("header"), Host::Stays)?,
            lookups: chain.keep(Some(&format!("{} {settings}", chain.place())), || Lookups::new(terms)),
            endpoint,
        })
    }

    /// Sets the token of this name, which is asked for with these parameters if none is at hand.
    pub(crate) fn set<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        name: String,
        parameters: impl FnOnce() -> Parameters,
    ) -> Step<'a> {
        let ask = || self.ask(parameters());
        match self.lookups.find(name, ask, |work| self.background.run(work)) {
            lookup::Step::Now(known) => Step::Now(Ok(self.settle(exchange, known))),
            lookup::Step::Wait(wait) => Step::Wait(Box::pin(async move { Ok(self.settle(exchange, wait.await)) })),
        }
    }

    fn settle(&self, exchange: &mut Exchange, known: Known<HeaderValue>) -> Flow {
        match known {
            Known::Found(value) => {
                exchange.head.headers.insert(&self.header, HeaderValue::clone(&value));
                Flow::Next
            }
            Known::Absent => Problem::new(&TOKEN_REFUSED).into(),
            Known::Unavailable => {
                let retry = HeaderValue::from_static("1");
                Problem::new(&TOKEN_UNAVAILABLE).header(RETRY_AFTER, retry).into()
            }
        }
    }

    fn ask(&self, mut parameters: Parameters) -> BoxFuture<'static, Said<HeaderValue>> {
        let Endpoint { path, client_id, client_secret, client_auth, timeout, .. } = &self.endpoint;
        let mut request = Request::post(path).header(ACCEPT, "application/json");
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match client_auth {
            ClientAuth::Basic => {
                // Both are encoded before they are joined (RFC 6749, section 2.3.1).
                let pair = format!("{}:{}", encoded(client_id), encoded(client_secret));
                request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
            }
            ClientAuth::Post => {
                parameters.push(("client_id", client_id.clone()));
                parameters.push(("client_secret", client_secret.clone()));
            }
        }
        let pairs: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let asked = request.body(Bytes::from(pairs.join("&"))).map(|request| self.backend.ask(request, LONGEST_ANSWER));
        let (timeout, scheme) = (timeout.duration(), if self.header == AUTHORIZATION { "Bearer " } else { "" });
        Box::pin(async move {
            let said = async { token(&asked.map_err(|error| error.to_string())?.await?, scheme) };
            let said = tokio::time::timeout(timeout, said).await;
            let said = said.unwrap_or_else(|_elapsed| Err(format!("it did not answer within {timeout:?}")));
            said.map_err(|cause| {
                tracing::warn!(cause, "an issuer of tokens gave none");
                Trouble(cause)
            })
        })
    }
}

/// The token in an answer, or that there is none for the caller, or why that is no answer. No part of an answer is told.
fn token(answer: &Response<Bytes>, scheme: &str) -> Result<Option<Lasting<HeaderValue>>, String> {
    let document: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    if answer.status() == StatusCode::BAD_REQUEST {
        return match text("error") {
            Some("invalid_grant" | "invalid_request" | "invalid_token") => Ok(None),
            _ => Err("it refused the gateway".to_owned()),
        };
    }
    if answer.status() != StatusCode::OK {
        return Err(format!("it answered {}", answer.status()));
    }
    let token = text("access_token").ok_or("its answer has no `access_token`")?;
    let seconds = document.get("expires_in").and_then(Value::as_f64).unwrap_or(USUAL_LIFE);
    let life = Duration::try_from_secs_f64(seconds.min(LONGEST_LIFE)).unwrap_or_default();
    if life < SHORTEST_LIFE {
        return Err("its token is over at once".to_owned());
    }
    let mut value = HeaderValue::from_str(&format!("{scheme}{token}"))
        .map_err(|_invalid| "its token cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    // A tenth of its time is for the way to the backend.
    Ok(Some(Lasting { value, fresh: Some(life * 9 / 10) }))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// How long tokens hold; each says itself for how long.
const TERMS: Terms = Terms {
    fresh: Duration::from_mins(1),
    refresh_after: Duration::from_secs(48),
    stale: Duration::ZERO,
    absent: Duration::from_secs(5),
    patience: Duration::ZERO,
    cold_patience: LONGEST_WAIT,
    pause: Duration::from_secs(1),
    most: 10_000,
};

/// A chain gives a policy no more time than 5 seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// Seconds that a token lives whose issuer does not say so.
const USUAL_LIFE: f64 = 60.0;
/// Seconds after which a token is asked for again in any case.
const LONGEST_LIFE: f64 = 24.0 * 3600.0;
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
const LONGEST_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(status: u16, body: &Value) -> Result<Option<(String, u64)>, String> {
        let answer = Response::builder().status(status).body(Bytes::from(body.to_string())).unwrap();
        let token = token(&answer, "Bearer ")?;
        Ok(token.map(|token| (token.value.to_str().unwrap().to_owned(), token.fresh.unwrap().as_secs())))
    }

    #[test]
    fn an_answer_is_a_token_a_refusal_or_no_answer() {
        let token = |seconds| Ok(Some(("Bearer t".to_owned(), seconds)));
        assert_eq!(read(200, &json!({ "access_token": "t", "expires_in": 100 })), token(90));
        assert_eq!(read(200, &json!({ "access_token": "t" })), token(54));
        assert_eq!(read(400, &json!({ "error": "invalid_grant" })), Ok(None));
        for (status, body) in [
            (400, json!({ "error": "invalid_client" })),
            (401, json!({ "error": "invalid_client" })),
            (500, json!({ "access_token": "t" })),
            (200, json!({ "token": "t" })),
            (200, json!("x")),
            (200, json!({ "access_token": "a\nb" })),
            (200, json!({ "access_token": "t", "expires_in": 0 })),
            (200, json!({ "access_token": "t", "expires_in": -5 })),
        ] {
            assert!(read(status, &body).is_err(), "{status} {body}");
        }
    }
}
