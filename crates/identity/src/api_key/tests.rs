//! Keys as `api-key` judges them, in every place and state.

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
        let company = partners.create_company(NewCompany { name: "acme".to_owned(), title: None }).await?.entity.name;
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
    let answer =
        fixture(NewKey::default()).policy(json!({ "header": "X-Key" })).request().is_refused_with("api-key-missing");

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

    let answer = request("DELETE", "/v1/t").is_refused_with("operation-not-allowed");
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(document["detail"].as_str().unwrap().starts_with("DELETE / of the API"), "{document}");
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
        of_orders(everywhere.request().to(&query).header("x-key", secret).header("authorization", &bearer)).passes();
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

#[test]
fn a_caller_with_a_rotated_key_is_told_until_when_it_works() {
    let fixture = fixture(NewKey::default());
    let new = wait(fixture.partners.rotate_key(&fixture.key.key.id, Duration::from_hours(48)));
    let answer = |with: serde_json::Value, secret: &str| {
        let policy = fixture.policy(with);
        let asked = of_orders(policy.request().to("/v1/t/x").header("x-api-key", secret));
        asked.answered(http::Response::new(pipeline::Body::Empty)).headers
    };

    assert_eq!(answer(json!({}), fixture.secret())["api-key-sunset"], "Fri, 02 Jan 2026 00:00:00 GMT");
    assert!(answer(json!({ "sunset_header": "Sunset" }), fixture.secret()).contains_key("sunset"));
    assert!(answer(json!({}), new.secret.expose()).get("api-key-sunset").is_none());
    let finding = fixture.policy(json!({ "sunset_header": "a b" })).finding();
    assert_eq!(finding, "/with/sunset_header: `a b` is no header name");
}
