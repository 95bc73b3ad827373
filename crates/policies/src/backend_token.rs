//! `backend-token`: a key or a certificate comes in, a signed token goes out to the backend.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use model::units::Span;
use parking_lot::Mutex;
use pipeline::{AskOnRequest, ChainBuilder, Exchange, Failure, Flow, Policy, Stage, Step};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signing::{Algorithm, Signer};
use thread_local::ThreadLocal;

use crate::headers::{Host, header_name};
use attributes::record;
use attributes::template::{Missing, Place, Template};

/// A claim of the token for the backend has no value.
pub static TOKEN_NOT_MADE: ProblemKind = ProblemKind {
    code: "token-not-made",
    status: StatusCode::BAD_GATEWAY,
    title: "No token for the backend could be made",
};

/// Sends a signed token (RFC 7519) that says who calls to the backend, in place of what the caller sent.
///
/// A token is used again for what is the same in all claims until half of its time is left. The keys are those of
/// `signing`, which the gateway makes and exchanges; `token-keys` publishes them for the backend.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of keys in `signing`.
    keys: String,
    /// Who the backend is to believe that the token is from (`iss`), such as the gateway's address.
    issuer: String,
    /// For whom it is (`aud`), a template.
    audience: String,
    /// Whom it is about (`sub`), a template. Left out, the caller's credential by what identifies it.
    #[serde(default = "subject")]
    subject: String,
    /// How long it is good for, from 30 s to 120 s.
    #[serde(default = "ttl")]
    ttl: Span,
    /// What kind of token it says to be.
    #[serde(default, rename = "type")]
    kind: TokenType,
    /// Further claims: JSON of any form, whose texts are templates.
    #[serde(default)]
    claims: BTreeMap<String, Value>,
    /// What becomes of a request if one of `claims` cannot be made.
    #[serde(default)]
    on_missing: OnMissingClaim,
    /// The header that it is sent in: after `Bearer` in `authorization`, alone in others.
    #[serde(default = "header")]
    header: String,
}

fn subject() -> String {
    "{caller.credential}".to_owned()
}

fn ttl() -> Span {
    Span::seconds(60)
}

fn header() -> String {
    AUTHORIZATION.as_str().to_owned()
}

/// What kind of token it says to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TokenType {
    /// Any JSON Web Token.
    #[default]
    #[serde(rename = "JWT")]
    Jwt,
    /// An access token (RFC 9068); it has the claim `client_id` too.
    #[serde(rename = "at+jwt")]
    AccessToken,
}

/// What becomes of a request if a claim cannot be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissingClaim {
    /// It is answered with `token-not-made` (502).
    #[default]
    Fail,
    /// The token goes without the claim.
    Skip,
}

/// The signers of the configuration that is being compiled.
pub trait Signers: Send + Sync {
    /// The signer of this name.
    fn named(&self, name: &str) -> Option<Arc<Signer>>;
    /// All names.
    fn names(&self) -> Vec<String>;
}

/// The compiled policy.
pub struct BackendToken {
    signer: Arc<Signer>,
    issuer: Box<str>,
    /// Claims and their values as JSON, those first without which there is no token.
    claims: Vec<(Box<str>, Template)>,
    needed: usize,
    on_missing: OnMissingClaim,
    ttl: u64,
    kind: TokenType,
    header: HeaderName,
    /// What each worker signed, by the claims.
    signed: ThreadLocal<Mutex<HashMap<String, Signed>>>,
}

/// A token that is used again.
#[derive(Clone)]
struct Signed {
    value: HeaderValue,
    /// In seconds since 1970.
    until: u64,
}

impl Policy for BackendToken {
    const NAME: &'static str = "backend-token";
    const STAGE: Stage = Stage::Complete;
    const PROBLEMS: &'static [&'static ProblemKind] = &[&TOKEN_NOT_MADE];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let signer = signer(&config.keys, &at.at("keys"), chain)?;
        let ttl = config.ttl.duration().as_secs();
        if !(30..=120).contains(&ttl) {
            return Err(Finding::new(&at.at("ttl"), "must be `30s` to `120s`"));
        }
        let text = |name: &str, source: &str| {
            let template = Template::parse_json(&Value::from(source), &at.at(name))?;
            if source.is_empty() { Err(Finding::new(&at.at(name), "is empty")) } else { Ok(template) }
        };
        let mut claims: Vec<(Box<str>, Template)> = vec![
            ("aud".into(), text("audience", &config.audience)?),
            ("sub".into(), text("subject", &config.subject)?),
        ];
        if config.kind == TokenType::AccessToken {
            claims.push(("client_id".into(), Template::parse_json(&Value::from(subject()), at)?));
        }
        let needed = claims.len();
        for ((_, template), name) in claims.iter().zip(["audience", "subject"]) {
            record::check(template, chain, &at.at(name))?;
        }
        for (name, value) in config.claims {
            let at = at.at("claims").at(&name);
            if RESERVED.contains(&name.as_str()) || claims.iter().any(|(known, _)| **known == name) {
                let message =
                    format!("`{name}` is set by `issuer`, `audience`, `subject`, `ttl`, or by the gateway itself");
                return Err(Finding::new(&at, message));
            }
            let template = Template::parse_json(&value, &at)?;
            record::check(&template, chain, &at)?;
            claims.push((name.into(), template));
        }
        Ok(Self {
            signer,
            issuer: Value::from(config.issuer).to_string().into(),
            claims,
            needed,
            on_missing: config.on_missing,
            ttl,
            kind: config.kind,
            header: header_name(&config.header, &at.at("header"), Host::Stays)?,
            signed: ThreadLocal::new(),
        })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.ask_on_request(self);
    }
}

impl AskOnRequest for BackendToken {
    fn ask_on_request<'a>(&'a self, exchange: &'a mut Exchange) -> Step<'a> {
        let claims = match self.claims(exchange) {
            Ok(claims) => claims,
            Err((claim, missing)) => return Step::Now(Ok(not_made(claim, &missing))),
        };
        let now = exchange.began_at / 1_000_000;
        if let Some(value) = self.remembered(&claims, now) {
            return Step::Now(Ok(self.set(exchange, value)));
        }
        let all = self.completed(&claims, now, exchange);
        if self.signer.algorithm(now) != Some(Algorithm::Rs256) {
            let signed = self.sign(&all, now).map(|value| self.remember(claims, value, now));
            return Step::Now(signed.map(|value| self.set(exchange, value)));
        }
        // RSA takes so long that others would notice if it were done here.
        Step::Wait(Box::pin(async move {
            let (signer, typ) = (self.signer.clone(), self.kind.name());
            let token = tokio::task::spawn_blocking(move || signer.sign(typ, &all, now)).await??;
            let value = self.remember(claims, self.value(&token)?, now);
            Ok(self.set(exchange, value))
        }))
    }
}

impl BackendToken {
    /// The claims that name the caller, as members of a JSON object, or the one that cannot be made.
    fn claims(&self, exchange: &Exchange) -> Result<String, (&str, Missing)> {
        let mut claims = String::with_capacity(128);
        for (index, (name, template)) in self.claims.iter().enumerate() {
            match template.render_in_full(exchange, Place::Json) {
                Ok(value) => {
                    claims.push_str(if claims.is_empty() { "" } else { "," });
                    claims.push_str(&Value::from(&**name).to_string());
                    claims.push(':');
                    claims.push_str(&value);
                }
                Err(_) if index >= self.needed && self.on_missing == OnMissingClaim::Skip => {}
                Err(missing) => return Err((name, missing)),
            }
        }
        Ok(claims)
    }

    /// A whole set of claims, with a name of its own.
    fn completed(&self, claims: &str, now: u64, exchange: &Exchange) -> String {
        let (issuer, until, id) = (&self.issuer, now + self.ttl, exchange.id);
        format!("{{\"iss\":{issuer},{claims},\"iat\":{now},\"exp\":{until},\"jti\":\"{id}\"}}")
    }

    fn sign(&self, claims: &str, now: u64) -> Result<HeaderValue, Failure> {
        self.value(&self.signer.sign(self.kind.name(), claims, now)?)
    }

    fn value(&self, token: &str) -> Result<HeaderValue, Failure> {
        let scheme = if self.header == AUTHORIZATION { "Bearer " } else { "" };
        let mut value = HeaderValue::from_str(&format!("{scheme}{token}"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn set(&self, exchange: &mut Exchange, value: HeaderValue) -> Flow {
        exchange.head.headers.insert(&self.header, value);
        Flow::Next
    }

    fn remembered(&self, claims: &str, now: u64) -> Option<HeaderValue> {
        let signed = self.signed.get()?.lock();
        let known = signed.get(claims)?;
        // Whoever gets it has half of its time left to look at it.
        (now + self.ttl / 2 <= known.until && now + self.ttl >= known.until).then(|| known.value.clone())
    }

    fn remember(&self, claims: String, value: HeaderValue, now: u64) -> HeaderValue {
        let mut signed = self.signed.get_or_default().lock();
        if signed.len() >= MOST {
            signed.retain(|_, known| now + self.ttl / 2 <= known.until);
            if signed.len() >= MOST {
                signed.clear();
            }
        }
        signed.insert(claims, Signed { value: value.clone(), until: now + self.ttl });
        value
    }
}

impl TokenType {
    fn name(self) -> &'static str {
        match self {
            Self::Jwt => "JWT",
            Self::AccessToken => "at+jwt",
        }
    }
}

fn not_made(claim: &str, missing: &Missing) -> Flow {
    let detail = format!("The policy `{}` has no value for the claim `{claim}`.", BackendToken::NAME);
    let problem = Problem::new(&TOKEN_NOT_MADE).detail(detail).because(format!("{claim}: {missing}"));
    problem.member("policy", BackendToken::NAME).member("field", claim).into()
}

/// The signer of this name, or what is to be written.
pub(crate) fn signer(name: &str, at: &Pointer, chain: &ChainBuilder) -> Result<Arc<Signer>, Finding> {
    let Some(signers) = chain.service::<dyn Signers>() else {
        return Err(Finding::new(at, "needs a place to keep keys in: configure a `store`"));
    };
    signers.named(name).ok_or_else(|| {
        let names = signers.names();
        let known: Vec<_> = names.iter().map(String::as_str).collect();
        Finding::new(at, format!("there are no keys `{name}` in `signing`{}", model::read::advice(name, &known)))
    })
}

/// Claims that the gateway sets itself.
const RESERVED: [&str; 7] = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"];

/// Tokens that one worker remembers.
const MOST: usize = 10_000;

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use pipeline::tester::{Judged, PolicyUnderTest, policy, policy_with};
    use pipeline::{Caller, RequestId, Services};
    use serde_json::json;
    use signing::{Ring, Schedule};

    use super::*;

    /// A signer of each algorithm, named after it.
    struct AnySigner;

    impl Signers for AnySigner {
        fn named(&self, name: &str) -> Option<Arc<Signer>> {
            let algorithm: Algorithm = serde_json::from_value(name.into()).ok()?;
            let schedule = Schedule { rotate: 1000, overlap: 100 };
            Some(Arc::new(Signer::new(Ring::tended(None, algorithm, schedule, 0).unwrap().0)))
        }

        fn names(&self) -> Vec<String> {
            vec!["ES256".to_owned()]
        }
    }

    pub(crate) fn signers() -> Services {
        Services::default().with::<dyn Signers>(Arc::new(AnySigner))
    }

    fn token(with: &Value) -> PolicyUnderTest<BackendToken> {
        let mut all = json!({ "keys": "ES256", "issuer": "https://gw.example", "audience": "orders" });
        all.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        policy_with(all, signers())
    }

    fn by<'a>(token: &'a PolicyUnderTest<BackendToken>, company: &str, second: u64) -> Judged<'a> {
        let caller = Caller {
            by: "api-key",
            credential: format!("key-of-{company}").into(),
            company: Some(company.into()),
            ..Caller::default()
        };
        token.request().called_by(caller).with(|exchange| {
            exchange.began_at = second * 1_000_000;
            exchange.id = RequestId(second.into());
        })
    }

    /// Header and claims of what the backend gets.
    fn read(exchange: &Exchange) -> (Value, Value) {
        let value = exchange.headers()["authorization"].to_str().unwrap();
        let mut parts = value.strip_prefix("Bearer ").unwrap().split('.');
        let mut part = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
        (part(), part())
    }

    #[test]
    fn a_key_comes_in_and_a_signed_token_goes_out() {
        for algorithm in ["ES256", "RS256", "EdDSA"] {
            let token = token(&json!({
                "keys": algorithm, "subject": "{caller.company}/x", "type": "at+jwt", "ttl": "90s",
                "claims": { "roles": ["{caller.company}", 1], "path": "{request.path}" },
            }));
            let passed = by(&token, "a\"cme", 1000).to("/p").header("authorization", "Bearer mine").passes();
            let (header, claims) = read(&passed);
            assert_eq!((&header["alg"], &header["typ"]), (&algorithm.into(), &"at+jwt".into()));
            assert_eq!(
                claims,
                json!({
                    "iss": "https://gw.example", "aud": "orders", "sub": "a\"cme/x", "client_id": "key-of-a\"cme",
                    "path": "/p", "roles": ["a\"cme", 1],
                    "iat": 1000, "exp": 1090, "jti": format!("{:032x}", 1000),
                })
            );
        }
    }

    #[test]
    fn a_token_is_used_again_by_its_caller_only_and_renewed_at_half_its_time() {
        let token = token(&json!({}));
        let jti = |company: &str, second: u64| read(&by(&token, company, second).passes()).1["jti"].clone();
        let first = jti("acme", 1000);
        assert_eq!(jti("acme", 1030), first);
        assert_ne!(jti("bolt", 1001), first);
        assert_ne!(jti("acme", 1031), first);
        assert_ne!(jti("acme", 900), first, "a clock that was set back makes no token of the future");
    }

    #[test]
    fn a_claim_that_cannot_be_made_is_told_by_its_name() {
        let with = json!({ "claims": { "app": "{caller.app}" } });
        let answer = by(&token(&with), "acme", 1).is_refused_with("token-not-made");
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (answer.status.as_u16(), &problem["policy"], &problem["field"]),
            (502, &"backend-token".into(), &"app".into())
        );

        let mut skipping = with;
        skipping["on_missing"] = "skip".into();
        assert_eq!(read(&by(&token(&skipping), "acme", 1).passes()).1.get("app"), None);
        token(&skipping).request().is_refused_with("token-not-made");
    }

    #[test]
    fn another_header_has_the_token_alone() {
        let passed = by(&token(&json!({ "header": "x-token" })), "acme", 1).header("authorization", "Basic x").passes();
        assert!(passed.headers()["x-token"].to_str().unwrap().starts_with("ey"));
        assert_eq!(passed.headers()["authorization"], "Basic x");
    }

    #[test]
    fn mistakes_are_findings() {
        for (settings, expected) in [
            (json!({ "keys": "ES265" }), "/with/keys: there are no keys `ES265` in `signing`; did you mean `ES256`?"),
            (json!({ "ttl": "29s" }), "/with/ttl: must be `30s` to `120s`"),
            (json!({ "ttl": "2m1s" }), "/with/ttl: must be"),
            (json!({ "claims": { "sub": "x" } }), "/with/claims/sub: `sub` is set by"),
            (json!({ "claims": { "a": ["{x}"] } }), "/with/claims/a/0: there is no `x`"),
            (json!({ "audience": "" }), "/with/audience: is empty"),
            (json!({ "header": "te" }), "/with/header: `te` cannot be changed"),
        ] {
            let finding = token(&settings).finding();
            assert!(finding.contains(expected), "{finding}");
        }
        let with = json!({ "keys": "a", "issuer": "b", "audience": "c" });
        assert!(policy::<BackendToken>(with).finding().contains("configure a `store`"));
    }
}
