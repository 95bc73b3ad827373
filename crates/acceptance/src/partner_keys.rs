//! Keys that are rotated and imported, as those notice who call with them.

use std::time::Duration;

use partners::{ImportedKey, Known, NewKey, UnixMicros};
use testkit::{Gateway, Stub};

const DOCUMENT: &str = "
store: {embedded: ./data}
upstreams: {orders: {targets: [\"http://BACKEND\"]}}
apis:
  orders:
    match: {path: /orders}
    upstream: orders
    policies: [{api-key: {}}, {quota: {from: product}}]
products:
  trial: {operations: [\"orders: GET /**\"], quota: {requests: 3, per: year}}
imported_keys: {peppers: {legacy: legacy pepper}}
";

#[tokio::test]
async fn both_secrets_work_while_a_rotation_overlaps_and_share_one_quota() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    let old = gateway.key("acme", "trial").await;
    let partners = &gateway.node().keeping.as_ref().unwrap().partners;
    let id = partners.index().find(&old).unwrap().id();
    let new = partners.rotate_key(&id, Duration::from_hours(24)).await.unwrap();
    let ask = async |key: &str| gateway.get_with("/orders", &[("X-Api-Key", key)]).await;

    let by_old = ask(&old).await;
    let by_new = ask(new.secret.expose()).await;

    assert_eq!((by_old.status, by_new.status), (200, 200));
    let ends = by_old.header("api-key-sunset").unwrap_or_else(|| panic!("no warning: {by_old:?}"));
    assert!(ends.ends_with(" GMT"), "{ends}");
    assert_eq!(by_new.header("api-key-sunset"), None);
    assert_eq!(ask(&old).await.status, 200);
    let refused = ask(new.secret.expose()).await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "quota-exceeded"), "the quota is the app's");
    assert!(ask(&old).await.header("api-key-sunset").is_some(), "refusals warn too");

    partners.end_overlap(&new.key.id).await.unwrap();
    let over = ask(&old).await;
    assert_eq!((over.status, over.problem().as_str()), (401, "api-key-expired"));
    let overlaps = partners.overlaps(None, 9).await.unwrap();
    assert!(overlaps.is_empty(), "{overlaps:?}");
}

#[tokio::test]
async fn keys_of_another_program_open_what_their_app_may_as_they_are() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    let own = gateway.key("acme", "trial").await;
    let partners = &gateway.node().keeping.as_ref().unwrap().partners;
    let app = partners.index().find(&own).unwrap().app().id().clone();
    let ask = async |key: &str| gateway.get_with("/orders", &[("X-Api-Key", key)]).await;
    assert_eq!(ask("0123456789-old-portal").await.problem(), "api-key-unknown");

    // HMAC-SHA-256 of `0123456789-old-portal` with the pepper above, made by openssl.
    let hashed = Known::Hash {
        algorithm: "hmac-sha-256:legacy".to_owned(),
        digest: "e3c276f89a7b0a6b9e4b69fb21e5de89681b9f0d655ffe5ed66167a83328fa2a".to_owned(),
    };
    let import = |known| ImportedKey { known, key: NewKey::default(), prefix: None, last_four: None };
    let known = vec![import(hashed), import(Known::Text("another-key-of-that-portal".to_owned()))];
    let keys = partners.import_keys(&app, known).await.unwrap();

    assert_eq!(ask("0123456789-old-portal").await.status, 200);
    assert_eq!(backend.request().header("x-api-key"), None, "the key is not the backend's business");
    assert_eq!(ask("another-key-of-that-portal").await.status, 200);
    assert_eq!(ask("0123456789-old-portaL").await.problem(), "api-key-unknown");
    partners.revoke_key(&keys[0].id).await.unwrap();
    assert_eq!(ask("0123456789-old-portal").await.problem(), "api-key-revoked");
    assert!(partners.index().find(&own).unwrap().state(UnixMicros(0)) == partners::KeyState::Alive);
}
