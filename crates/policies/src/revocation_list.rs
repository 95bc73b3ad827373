//! `revocation-list`: publishes which certificates of the gateway's authorities are not to be believed any more.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use pipeline::{Body, ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;

/// Publishes which certificates of the gateway's authorities are not to be believed any more.
///
/// A GET of a path that ends in `/NAME.crl` gets the list of the authority of this name (RFC 5280, section 5), signed by
/// it. Everything else goes on. The gateway itself needs no list: it knows at once.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Names of `certificate_authorities` whose keys the gateway has.
    #[schemars(length(min = 1))]
    authorities: Vec<String>,
}

/// The lists that are published.
pub trait Revocations: Send + Sync {
    /// The list of the authority of this name, once there is one.
    fn list(&self, authority: &str) -> Option<List>;

    /// The names of all that have one.
    fn names(&self) -> Vec<String>;
}

/// A list, and until when it holds.
#[derive(Clone, Debug)]
pub struct List {
    /// The list, in DER.
    pub der: Bytes,
    /// Until when it holds, in seconds since 1970.
    pub until: u64,
}

/// The compiled policy.
pub struct RevocationList {
    revocations: Arc<dyn Revocations>,
    authorities: Vec<String>,
}

impl Policy for RevocationList {
    const NAME: &'static str = "revocation-list";
    const STAGE: Stage = Stage::Complete;
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Some(revocations) = chain.service::<dyn Revocations>() else {
            return Err(Finding::new(at, "needs authorities: configure a `store` and `certificate_authorities`"));
        };
        let names = revocations.names();
        let known: Vec<_> = names.iter().map(String::as_str).collect();
        for (index, name) in config.authorities.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let advice = model::read::advice(name, &known);
                let message = format!("there is no authority `{name}` whose key the gateway has{advice}");
                return Err(Finding::new(&at.at("authorities").at(index), message));
            }
        }
        if config.authorities.is_empty() {
            return Err(Finding::new(&at.at("authorities"), "publishes nothing: name `certificate_authorities`"));
        }
        Ok(Self { revocations, authorities: config.authorities })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for RevocationList {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        if !matches!(exchange.method, Method::GET | Method::HEAD) {
            return Ok(Flow::Next);
        }
        let asked = exchange.target.path().rsplit_once('/').and_then(|(_, file)| file.strip_suffix(".crl"));
        let list = asked.filter(|name| self.authorities.iter().any(|known| known == name));
        let Some(list) = list.and_then(|name| self.revocations.list(name)) else { return Ok(Flow::Next) };
        // Whoever asks shall soon hear of what is revoked now.
        let seconds = list.until.saturating_sub(exchange.began_at / 1_000_000).min(MOST_CACHED);
        let mut response = Response::new(Body::from(list.der));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"));
        let cached = HeaderValue::from_str(&format!("public, max-age={seconds}"));
        response.headers_mut().extend(cached.ok().map(|cached| (CACHE_CONTROL, cached)));
        Ok(Flow::Respond(Box::new(response)))
    }
}

/// For how long caches may keep a list, in seconds.
const MOST_CACHED: u64 = 300;

#[cfg(test)]
mod tests {
    use pipeline::Services;
    use pipeline::tester::{policy, policy_with};
    use serde_json::json;

    use super::*;

    struct Lists;

    impl Revocations for Lists {
        fn list(&self, authority: &str) -> Option<List> {
            (authority == "partners").then(|| List { der: Bytes::from_static(b"list"), until: 1_767_225_600 + 100 })
        }

        fn names(&self) -> Vec<String> {
            vec!["partners".to_owned(), "new".to_owned()]
        }
    }

    fn services() -> Services {
        Services::default().with::<dyn Revocations>(Arc::new(Lists))
    }

    #[test]
    fn a_list_is_found_by_the_name_of_its_authority() {
        let policy = policy_with::<RevocationList>(json!({ "authorities": ["partners", "new"] }), services());

        let answer = policy.request().to("/crl/partners.crl").is_refused_with("no problem");

        assert_eq!(
            (answer.headers["content-type"].to_str().unwrap(), &*answer.body),
            ("application/pkix-crl", &b"list"[..])
        );
        assert_eq!(answer.headers["cache-control"], "public, max-age=100");
        for path in ["/partners.crl.txt", "/other.crl", "/new.crl", "/partners"] {
            policy.request().to(path).passes();
        }
        policy.request().by("POST").to("/partners.crl").passes();
    }

    #[test]
    fn mistakes_are_findings() {
        let finding = |with| policy_with::<RevocationList>(with, services()).finding();
        assert!(finding(json!({ "authorities": ["partner"] })).contains("did you mean `partners`?"));
        assert!(finding(json!({ "authorities": [] })).contains("publishes nothing"));
        assert!(policy::<RevocationList>(json!({ "authorities": ["a"] })).finding().contains("needs authorities"));
    }
}
