//! `token-keys`: publishes the keys with which backends verify tokens of the gateway.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use model::units::Span;
use pipeline::{Body, ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use signing::Signer;

use crate::backend_token::signer;

/// Publishes the keys with which backends verify tokens of the gateway.
///
/// A GET of a path that ends in `/.well-known/jwks.json` gets the set of keys (RFC 7517), one that ends in
/// `/.well-known/openid-configuration` or `/.well-known/oauth-authorization-server` the document that tells where it
/// is (RFC 8414). Everything else goes on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Names of keys in `signing`.
    #[schemars(length(min = 1))]
    keys: Vec<String>,
    /// The `issuer` of `backend-token`. It is the address at which backends find this API: `/.well-known/jwks.json` is
    /// told to be below it.
    issuer: String,
    /// How long backends may go without asking again. Less than the `overlap` of all keys.
    #[serde(default = "max_age")]
    max_age: Span,
}

fn max_age() -> Span {
    Span::seconds(300)
}

/// The compiled policy.
pub struct TokenKeys {
    signers: Vec<Arc<Signer>>,
    issuer: String,
    cache_control: HeaderValue,
}

impl Policy for TokenKeys {
    const NAME: &'static str = "token-keys";
    const STAGE: Stage = Stage::Complete;
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let named = |(index, name): (usize, &String)| signer(name, &at.at("keys").at(index), chain);
        let signers = config.keys.iter().enumerate().map(named).collect::<Result<Vec<_>, _>>()?;
        if signers.is_empty() {
            return Err(Finding::new(&at.at("keys"), "publishes nothing: name keys in `signing`"));
        }
        if !config.issuer.starts_with("https://") && !config.issuer.starts_with("http://") {
            return Err(Finding::new(&at.at("issuer"), "is no address; write one such as `https://gateway.example`"));
        }
        let seconds = config.max_age.duration().as_secs();
        let cache_control = HeaderValue::from_str(&format!("public, max-age={seconds}"));
        let cache_control = cache_control.map_err(|error| Finding::new(&at.at("max_age"), error.to_string()))?;
        Ok(Self { signers, issuer: config.issuer.trim_end_matches('/').to_owned(), cache_control })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for TokenKeys {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        if !matches!(exchange.method, Method::GET | Method::HEAD) {
            return Ok(Flow::Next);
        }
        let document = match exchange.target.path().rsplit_once("/.well-known/") {
            Some((_, "jwks.json")) => json!({ "keys": self.keys() }),
            Some((_, "openid-configuration" | "oauth-authorization-server")) => {
                self.discovery(exchange.began_at / 1_000_000)
            }
            _ => return Ok(Flow::Next),
        };
        let mut response = Response::new(Body::from(Bytes::from(document.to_string())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CACHE_CONTROL, self.cache_control.clone());
        Ok(Flow::Respond(Box::new(response)))
    }
}

impl TokenKeys {
    fn keys(&self) -> Vec<Value> {
        self.signers.iter().flat_map(|signer| signer.public_keys()).collect()
    }

    fn discovery(&self, now: u64) -> Value {
        let issuer = &self.issuer;
        let mut algorithms: Vec<_> =
            self.signers.iter().filter_map(|signer| signer.algorithm(now)).map(signing::Algorithm::name).collect();
        algorithms.dedup();
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        })
    }
}

#[cfg(test)]
mod tests {
    use pipeline::tester::{Answer, PolicyUnderTest, policy_with};

    use super::*;
    use crate::backend_token::tests::signers;

    fn keys() -> PolicyUnderTest<TokenKeys> {
        policy_with(json!({ "keys": ["ES256", "EdDSA"], "issuer": "https://gw.example/" }), signers())
    }

    fn document(answer: &Answer) -> Value {
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["cache-control"], "public, max-age=300");
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn public_halves_are_published_and_where_they_are() {
        let keys = keys();
        let set = document(&keys.request().to("/.well-known/jwks.json").is_refused_with("no problem"));
        let kinds: Vec<_> = set["keys"].as_array().unwrap().iter().map(|key| key["kty"].clone()).collect();
        assert_eq!(kinds, ["EC", "OKP"]);
        for private in ["d", "p", "q", "k"] {
            assert!(set["keys"].as_array().unwrap().iter().all(|key| key.get(private).is_none()));
        }
        let told = document(&keys.request().to("/auth/.well-known/openid-configuration").is_refused_with("no problem"));
        assert_eq!(told["jwks_uri"], "https://gw.example/.well-known/jwks.json");
        assert_eq!(told["id_token_signing_alg_values_supported"], json!(["ES256", "EdDSA"]));
    }

    #[test]
    fn everything_else_goes_on() {
        let keys = keys();
        keys.request().to("/.well-known/other").passes();
        keys.request().to("/jwks.json").passes();
        keys.request().by("POST").to("/.well-known/jwks.json").passes();
    }

    #[test]
    fn mistakes_are_findings() {
        let finding = |with| policy_with::<TokenKeys>(with, signers()).finding();
        assert!(
            finding(json!({ "keys": ["x"], "issuer": "https://a" })).starts_with("/with/keys/0: there are no keys `x`")
        );
        assert!(finding(json!({ "keys": [], "issuer": "https://a" })).starts_with("/with/keys: publishes nothing"));
        assert!(finding(json!({ "keys": ["ES256"], "issuer": "gw" })).starts_with("/with/issuer: is no address"));
    }
}
