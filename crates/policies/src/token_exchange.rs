//! `token-exchange`: sends a token to the backend that an issuer gave for the caller's.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use pipeline::{AskOnRequest, ChainBuilder, Exchange, Policy, Stage, Step};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::token_endpoint::{Endpoint, TOKEN_REFUSED, TOKEN_UNAVAILABLE, Tokens};

/// There is no token to exchange.
pub static TOKEN_MISSING: ProblemKind =
    ProblemKind { code: "token-missing", status: StatusCode::UNAUTHORIZED, title: "A bearer token is needed" };

/// Exchanges the bearer token of a request for one that its backend takes, at an outside issuer (RFC 8693).
///
/// What is exchanged is the token in `authorization` as it is by then: the caller's own, or one that a `backend-token`
/// before it made. For one token the issuer is asked once, until a fifth of the new one's time is left.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who exchanges tokens.
    issuer: Endpoint,
    /// What the token is that is given.
    #[serde(default)]
    subject: SubjectType,
    /// For whom the new one is to be.
    audience: Option<String>,
    /// The address of the service that the new one is for.
    resource: Option<String>,
    /// What the new one is to allow.
    scope: Option<String>,
}

/// What a token is (RFC 8693, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectType {
    /// An access token of this issuer.
    #[default]
    AccessToken,
    /// Any JSON Web Token.
    Jwt,
    /// A token about a user who signed in.
    IdToken,
}

/// The compiled policy.
pub struct TokenExchange {
    tokens: Tokens,
    subject: SubjectType,
    more: Vec<(&'static str, String)>,
}

impl Policy for TokenExchange {
    const NAME: &'static str = "token-exchange";
    const STAGE: Stage = Stage::Complete;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&TOKEN_MISSING, &TOKEN_REFUSED, &TOKEN_UNAVAILABLE];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let settings = serde_json::to_string(&config).unwrap_or_default();
        let Config { issuer, subject, audience, resource, scope } = config;
        let more = [("audience", audience), ("resource", resource), ("scope", scope)];
        Ok(Self {
            tokens: Tokens::compile(issuer, AUTHORIZATION.as_str(), &settings, at, chain)?,
            subject,
            more: more.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_request(self);
    }
}

impl AskOnRequest for TokenExchange {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let Some(token) = exchange.headers().get(AUTHORIZATION).and_then(bearer).map(str::to_owned) else {
            let challenge = HeaderValue::from_static("Bearer");
            return Step::Now(Ok(Problem::new(&TOKEN_MISSING).header(WWW_AUTHENTICATE, challenge).into()));
        };
        // What is remembered is not what could be used.
        let name = STANDARD_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        self.tokens.set(exchange, name, || {
            let mut parameters = vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
                ("subject_token", token),
                ("subject_token_type", self.subject.name().to_owned()),
            ];
            parameters.extend(self.more.iter().cloned());
            parameters
        })
    }
}

impl SubjectType {
    fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
