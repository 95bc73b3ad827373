//! `api-key`: finds out by a key who calls, and lets pass what the key's products allow.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};
use partners::{Index, KeyState, UnixMicros, Unknown};
use pipeline::{ChainBuilder, Exchange, Flow, OnRequest, Policy, Stage, Verdict};
use problem::{Finding, Pointer, Problem, ProblemKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::entrance::{OPERATION_NOT_ALLOWED, SUBSCRIPTION_PENDING, enter};

/// The request has no key.
pub static API_KEY_MISSING: ProblemKind =
    ProblemKind { code: "api-key-missing", status: StatusCode::UNAUTHORIZED, title: "An API key is needed" };

/// The request has a key that opens nothing here; why, its sender is not told.
pub static API_KEY_UNKNOWN: ProblemKind =
    ProblemKind { code: "api-key-unknown", status: StatusCode::UNAUTHORIZED, title: "The API key is not known" };

/// The key is right, but its time is over.
pub static API_KEY_EXPIRED: ProblemKind =
    ProblemKind { code: "api-key-expired", status: StatusCode::UNAUTHORIZED, title: "The API key has expired" };

/// The key is right, but somebody revoked it.
pub static API_KEY_REVOKED: ProblemKind =
    ProblemKind { code: "api-key-revoked", status: StatusCode::UNAUTHORIZED, title: "The API key was revoked" };

/// Settings of `api-key`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header that the key is in.
    #[serde(default = "default_header")]
    header: String,
    /// The query parameter that the key may be in instead. Addresses end up in logs, so none is the default.
    query: Option<String>,
    /// Whether the key may be in `Authorization: Bearer` instead.
    #[serde(default)]
    bearer: Bearer,
    /// Whether the key is taken out of the request before the upstream sees it.
    #[serde(default)]
    strip: Strip,
}

fn default_header() -> String {
    "x-api-key".to_owned()
}

/// Whether a key may be sent as a bearer token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bearer {
    /// It is not looked for there.
    #[default]
    Ignored,
    /// It may.
    Accepted,
}

/// What becomes of the key in the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strip {
    /// The upstream never sees it.
    #[default]
    Remove,
    /// The upstream sees it.
    Keep,
}

/// The compiled policy.
pub struct ApiKey {
    index: Arc<Index>,
    header: HeaderName,
    query: Option<String>,
    bearer: Bearer,
    strip: Strip,
    challenge: HeaderValue,
}

impl Policy for ApiKey {
    const NAME: &'static str = "api-key";
    const STAGE: Stage = Stage::Identify;
    const PROBLEMS: &'static [&'static ProblemKind] = &[
        &API_KEY_MISSING,
        &API_KEY_UNKNOWN,
        &API_KEY_EXPIRED,
        &API_KEY_REVOKED,
        &SUBSCRIPTION_PENDING,
        &OPERATION_NOT_ALLOWED,
    ];
    type Config = Config;

    fn compile(config: Config, at: &Pointer, chain: &mut ChainBuilder) -> Result<Self, Finding> {
        let Config { header, query, bearer, strip } = config;
        let Some(index) = chain.service::<Index>() else {
            return Err(Finding::new(at, "needs the registry of partners: configure a `store`"));
        };
        let Ok(name) = header.parse::<HeaderName>() else {
            return Err(Finding::new(&at.at("header"), format!("`{header}` is no header name")));
        };
        if name == AUTHORIZATION {
            return Err(Finding::new(&at.at("header"), "write `bearer: accepted` for keys in `authorization`"));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        if let Some(query) = &query
            && (query.is_empty() || !query.bytes().all(is_plain))
        {
            let reason = format!("`{query}` is no parameter name: letters, digits, `-`, `_`, `.` and `~`");
            return Err(Finding::new(&at.at("query"), reason));
        }
        let challenge = format!("ApiKey realm=\"{}\", header=\"{name}\"", chain.scope().replace(['"', '\\'], ""));
        let challenge = HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("ApiKey"));
        Ok(Self { index, header: name, query, bearer, strip, challenge })
    }

    fn attach(self: Arc<Self>, chain: &mut ChainBuilder) {
        chain.on_request(self);
    }
}

impl OnRequest for ApiKey {
    fn on_request(&self, exchange: &mut Exchange) -> Verdict {
        let Some(key) = self.presented(exchange) else {
            let detail = format!("Send your key in the header `{}`.", self.header);
            return Ok(self.unauthorized(&API_KEY_MISSING).detail(detail).into());
        };
        let found = match self.index.find(key) {
            Ok(found) => found,
            Err(Unknown::Malformed(how)) => {
                return Ok(self.unauthorized(&API_KEY_UNKNOWN).detail(sentence(&how.to_string())).into());
            }
            Err(Unknown::NoSuchKey) => return Ok(self.unauthorized(&API_KEY_UNKNOWN).into()),
        };
        // From here on it is known who calls, also if nothing is allowed: a refusal belongs into that company's usage.
        exchange.caller = Some(found.caller().clone());
        let now = UnixMicros(exchange.began_at);
        match found.state(now) {
            KeyState::Alive => {}
            KeyState::Expired(_) => return Ok(self.unauthorized(&API_KEY_EXPIRED).into()),
            KeyState::Revoked(_) => return Ok(self.unauthorized(&API_KEY_REVOKED).into()),
        }
        if let Err(problem) = enter(&found, exchange) {
            return Ok(problem.into());
        }
        found.used(now);
        if self.strip == Strip::Remove {
            self.remove(exchange);
        }
        Ok(Flow::Next)
    }
}

impl ApiKey {
    /// The key in the request.
    fn presented<'a>(&self, exchange: &'a Exchange) -> Option<&'a str> {
        let headers = exchange.headers();
        if let Some(value) = headers.get(&self.header) {
            // What is not ASCII is no key; the empty text is refused as one.
            return Some(value.to_str().unwrap_or_default());
        }
        if self.bearer == Bearer::Accepted
            && let Some(token) = headers.get(AUTHORIZATION).and_then(bearer_token)
        {
            return Some(token);
        }
        let name = self.query.as_deref()?;
        let mut pairs = exchange.head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Takes keys out of the request wherever one may stand, used or not.
    fn remove(&self, exchange: &mut Exchange) {
        let headers = &mut exchange.head.headers;
        headers.remove(&self.header);
        if self.bearer == Bearer::Accepted && headers.get(AUTHORIZATION).and_then(bearer_token).is_some() {
            headers.remove(AUTHORIZATION);
        }
        if let Some(name) = &self.query
            && let Some(uri) = without_parameter(&exchange.head.uri, name)
        {
            exchange.head.uri = uri;
        }
    }

    fn unauthorized(&self, kind: &'static ProblemKind) -> Problem {
        Problem::new(kind).header(WWW_AUTHENTICATE, self.challenge.clone())
    }
}

fn bearer_token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The target without a query parameter; nothing, if it has none of the name.
fn without_parameter(uri: &Uri, name: &str) -> Option<Uri> {
    let is_kept = |pair: &&str| pair.split_once('=').map_or(*pair, |(key, _)| key) != name;
    let query = uri.query()?;
    if query.split('&').all(|pair| is_kept(&pair)) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    let path = uri.path();
    let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use http::Method;
    use partners::{Error, Issued, NewApp, NewCompany, NewKey, NewProduct, Partners, Pepper, SubscriptionState};
    use pipeline::tester::{Judged, PolicyUnderTest, policy, policy_with};
    use pipeline::{Route, Services};
    use serde_json::json;

    use super::*;

    /// When the tester's exchanges begin.
    const NOW: u64 = 1_767_225_600_000_000;

    /// A registry in memory with the app `acme/shop`.
    struct Fixture {
        partners: Partners,
        key: Issued,
    }

    fn wait<T>(future: impl Future<Output = Result<T, Error>>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future).unwrap()
    }

    /// `acme/shop` may read orders, and waits for approval to write them.
    fn fixture(key: NewKey) -> Fixture {
        let index = Arc::new(Index::new(Pepper::new(&[7; 32])));
        // Yesterday, so that a key can be over today.
        let clock = Arc::new(|| UnixMicros(NOW - 86_400_000_000));
        let partners = Partners::new(Arc::new(store::InMemory::default()), index, clock);
        let key = wait(async {
            let company =
                partners.create_company(NewCompany { name: "acme".to_owned(), title: None }).await?.entity.name;
            let app = partners.create_app(&company, NewApp { name: "shop".to_owned(), title: None }).await?.entity.id;
            for (name, operation, state) in [
                ("reading", "orders: GET /**", SubscriptionState::Approved),
                ("writing", "orders: POST /items", SubscriptionState::Pending),
            ] {
                let operations = vec![operation.to_owned()];
                let product = partners.create_product(NewProduct { name: name.to_owned(), operations, quota: None });
                partners.subscribe(&app, &product.await?.name, state).await?;
            }
            partners.create_key(&app, key).await
        });
        Fixture { partners, key }
    }

    impl Fixture {
        fn policy(&self, with: serde_json::Value) -> PolicyUnderTest<ApiKey> {
            policy_with(with, Services::default().with(self.partners.index().clone()))
        }

        fn secret(&self) -> &str {
            self.key.secret.expose()
        }
    }

    /// A request of the API `orders` with the base path `/v1/{tenant}`.
    fn of_orders(judged: Judged<'_>) -> Judged<'_> {
        judged.with(|exchange| {
            let template = "/v1/{tenant}/{rest}";
            exchange.route = Arc::new(Route { api: "orders".into(), template: template.into(), base: 2 });
        })
    }

    #[test]
    fn a_key_says_who_calls_and_by_which_product() {
        let fixture = fixture(NewKey { scopes: vec!["all".to_owned()], ..NewKey::default() });
        let policy = fixture.policy(json!({}));

        let passed = of_orders(policy.request().to("/v1/t/items?a=b").header("x-api-key", fixture.secret())).passes();

        let caller = passed.caller.unwrap();
        assert_eq!((caller.by, &*caller.credential), ("api-key", fixture.key.key.id.as_str()));
        assert_eq!((caller.company.as_deref(), caller.app.as_deref()), (Some("acme"), Some("shop")));
        assert_eq!(caller.scopes, [Arc::from("all")]);
        assert_eq!(passed.product.as_deref(), Some("reading"));
        assert!(passed.head.headers.is_empty());
    }

    #[test]
    fn a_request_without_a_key_learns_where_to_put_it() {
        let answer = fixture(NewKey::default())
            .policy(json!({ "header": "X-Key" }))
            .request()
            .is_refused_with("api-key-missing");

        assert_eq!(answer.headers["www-authenticate"], "ApiKey realm=\"test\", header=\"x-key\"");
        assert!(std::str::from_utf8(&answer.body).unwrap().contains("`x-key`"));
    }

    #[test]
    fn a_wrong_key_is_unknown_whatever_is_wrong_with_it() {
        let (ours, theirs) = (fixture(NewKey::default()), fixture(NewKey::default()));
        let policy = ours.policy(json!({}));
        let ask = |key: &str| of_orders(policy.request().header("x-api-key", key)).is_refused_with("api-key-unknown");

        let unknown = ask(theirs.secret());
        assert!(unknown.headers.contains_key("www-authenticate"));
        let detail = |answer: &pipeline::tester::Answer| {
            serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()["detail"].as_str().map(str::to_owned)
        };
        assert_eq!(detail(&unknown), None);
        assert!(detail(&ask("secret")).unwrap().contains("vk_live_"));
        assert!(detail(&ask("")).is_some());
        let mistyped = ours.secret().replace(ours.key.key.id.as_str(), "aaaaaaaaaaaa");
        assert!(detail(&ask(&mistyped)).unwrap().contains("checksum"));
    }

    #[test]
    fn a_key_is_good_until_the_moment_it_expires() {
        for (expires, is_good) in [(NOW + 1, true), (NOW, false), (NOW - 1, false)] {
            let fixture = fixture(NewKey { expires: Some(UnixMicros(expires)), ..NewKey::default() });
            let policy = fixture.policy(json!({}));
            let request = of_orders(policy.request().to("/v1/t/x").header("x-api-key", fixture.secret()));
            if is_good {
                request.passes();
            } else {
                request.is_refused_with("api-key-expired");
            }
        }
    }

    #[test]
    fn a_revoked_key_is_refused_at_once() {
        let fixture = fixture(NewKey::default());
        let policy = fixture.policy(json!({}));
        let request = || of_orders(policy.request().to("/v1/t/x").header("x-api-key", fixture.secret()));
        request().passes();

        wait(fixture.partners.revoke_key(&fixture.key.key.id));

        request().is_refused_with("api-key-revoked");
    }

    #[test]
    fn what_no_product_allows_is_refused_with_what_there_is() {
        let fixture = fixture(NewKey::default());
        let policy = fixture.policy(json!({}));
        let request = |method: &str, path: &str| {
            of_orders(policy.request().by(method).to(path).header("x-api-key", fixture.secret()))
        };

        let answer = request("DELETE", "/v1/t/items/7").is_refused_with("operation-not-allowed");
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(document["products"], json!(["reading"]));
        assert_eq!(
            document["detail"],
            "DELETE /items/7 of the API `orders` is in none of your app's products: it has only `reading`."
        );
        request("GET", "/v1/t/a/../../admin").is_refused_with("operation-not-allowed");
        let answer = request("POST", "/v1/t/items").is_refused_with("subscription-pending");
        assert!(std::str::from_utf8(&answer.body).unwrap().contains("`writing`"));
    }

    #[test]
    fn an_approved_subscription_opens_at_once() {
        let fixture = fixture(NewKey::default());
        let policy = fixture.policy(json!({}));
        let request = || of_orders(policy.request().by("POST").to("/v1/t/items").header("x-api-key", fixture.secret()));
        request().is_refused_with("subscription-pending");

        let pending = wait(fixture.partners.pending(None, 9));
        wait(fixture.partners.approve(&pending[0].id));

        assert_eq!(request().passes().product.as_deref(), Some("writing"));
    }

    #[test]
    fn a_key_is_found_where_the_settings_say_and_taken_out_everywhere() {
        let fixture = fixture(NewKey::default());
        let secret = fixture.secret();
        let everywhere = fixture.policy(json!({ "header": "x-key", "query": "key", "bearer": "accepted" }));
        let bearer = format!("bearer {secret}");
        let query = format!("/v1/t/x?a=1&key={secret}&b=2");

        let passed = of_orders(everywhere.request().to(&query)).passes();
        assert_eq!(passed.head.uri, "/v1/t/x?a=1&b=2");
        let passed = of_orders(everywhere.request().to("/v1/t/x").header("authorization", &bearer)).passes();
        assert!(passed.head.headers.is_empty());
        let passed =
            of_orders(everywhere.request().to(&query).header("x-key", secret).header("authorization", &bearer))
                .passes();
        assert_eq!((passed.head.uri.to_string().as_str(), passed.head.headers.len()), ("/v1/t/x?a=1&b=2", 0));
        let passed = of_orders(
            everywhere.request().to("/v1/t/x?key=old").header("x-key", secret).header("authorization", "Basic eDp5"),
        )
        .passes();
        assert_eq!((passed.head.uri.to_string().as_str(), passed.head.headers.len()), ("/v1/t/x", 1));

        let nowhere = fixture.policy(json!({}));
        of_orders(nowhere.request().to(&query).header("authorization", &bearer)).is_refused_with("api-key-missing");
        let kept = fixture.policy(json!({ "strip": "keep" }));
        let passed = of_orders(kept.request().to("/v1/t/x").header("x-api-key", secret)).passes();
        assert_eq!(passed.head.headers["x-api-key"], secret);
    }

    #[test]
    fn the_method_that_was_asked_for_counts() {
        let fixture = fixture(NewKey::default());
        let policy = fixture.policy(json!({}));
        let rewritten = of_orders(policy.request().by("DELETE").to("/v1/t/x").header("x-api-key", fixture.secret()));
        rewritten.with(|exchange| exchange.head.method = Method::GET).is_refused_with("operation-not-allowed");
    }

    #[test]
    fn a_mistake_in_the_settings_is_found() {
        let fixture = fixture(NewKey::default());
        let finding = |with| fixture.policy(with).finding();

        assert_eq!(finding(json!({ "header": "x key" })), "/with/header: `x key` is no header name");
        assert!(finding(json!({ "header": "Authorization" })).starts_with("/with/header: write `bearer: accepted`"));
        assert!(finding(json!({ "query": "a=b" })).starts_with("/with/query: `a=b` is no parameter name"));
        assert!(policy::<ApiKey>(json!({})).finding().contains("configure a `store`"));
    }
}
