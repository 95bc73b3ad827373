//! `client-credentials`: sends a token to the backend that an issuer gave to the gateway itself.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use pipeline::{AskOnRequest, ChainBuilder, Exchange, Policy, Stage, Step};
use problem::{Finding, Pointer, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::token_endpoint::{Endpoint, TOKEN_UNAVAILABLE, Tokens};

/// Sends a token to the backend that an issuer gives to the gateway itself (RFC 6749, section 4.4).
///
/// One token serves all callers until a fifth of its time is left, when the next one is fetched beside traffic.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who gives the token.
    issuer: Endpoint,
    /// What the token is to allow.
    scope: Option<String>,
    /// For whom it is to be, where the issuer wants to know.
    audience: Option<String>,
    /// The header that it is sent in: after `Bearer` in `authorization`, alone in others.
    #[serde(default = "header")]
    header: String,
}

fn header() -> String {
    AUTHORIZATION.as_str().to_owned()
}

/// The compiled policy.
pub struct ClientCredentials {
    tokens: Tokens,
    scope: Option<String>,
    audience: Option<String>,
}

impl Policy for ClientCredentials {
    const NAME: &'static str = "client-credentials";
    const STAGE: Stage = Stage::Complete;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&TOKEN_UNAVAILABLE];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let settings = serde_json::to_string(&config).unwrap_or_default();
        let Config { issuer, scope, audience, header } = config;
        Ok(Self { tokens: Tokens::compile(issuer, &header, &settings, at, chain)?, scope, audience })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_request(self);
    }
}

impl AskOnRequest for ClientCredentials {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        self.tokens.set(exchange, String::new(), || {
            let mut parameters = vec![("grant_type", "client_credentials".to_owned())];
            parameters.extend(self.scope.clone().map(|scope| ("scope", scope)));
            parameters.extend(self.audience.clone().map(|audience| ("audience", audience)));
            parameters
        })
    }
}
