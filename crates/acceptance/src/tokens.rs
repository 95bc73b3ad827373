//! Tokens that backends get in place of what callers sent, and the keys that backends verify them with.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use testkit::{Gateway, Reply, Stub};

const SIGNED: &str = "
store: {embedded: ./data}
signing: {backends: {algorithm: ALGORITHM}}
upstreams: {orders: {targets: [\"http://BACKEND\"]}}
apis:
  orders:
    match: {path: /orders}
    upstream: orders
    policies:
      - api-key: {}
      - backend-token:
          keys: backends
          issuer: http://gateway.example
          audience: orders
          type: at+jwt
          claims: {company: \"{caller.company}\"}
  keys:
    match: {path: /.well-known}
    policies: [{token-keys: {keys: [backends], issuer: \"http://gateway.example\"}}]
products: {all: {operations: [\"orders: * /**\"]}}
";

async fn gateway(backend: &Stub, algorithm: &str) -> Gateway {
    let document = SIGNED.replace("ALGORITHM", algorithm).replace("BACKEND", &backend.address.to_string());
    Gateway::serving(&document).await
}

fn document(reply: &Reply) -> Value {
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&reply.body).unwrap()
}

/// The claims of the token that a backend got, verified by another implementation with what the gateway publishes.
async fn verified(gateway: &Gateway, backend: &Stub) -> Value {
    let request = backend.requests().pop().unwrap();
    let token = request.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let header = decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let keys: JwkSet = serde_json::from_value(document(&gateway.get("/.well-known/jwks.json").await)).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["orders"]);
    validation.set_issuer(&["http://gateway.example"]);
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    decode::<Value>(token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn a_backend_verifies_who_calls_with_the_published_keys() {
    for algorithm in ["ES256", "RS256", "EdDSA"] {
        let backend = Stub::saying("done").await;
        let gateway = gateway(&backend, algorithm).await;
        let key = gateway.key("acme", "all").await;
        let headers = [("X-Api-Key", key.as_str()), ("Authorization", "Bearer forged")];
        let ask = || gateway.get_with("/orders", &headers);

        assert_eq!(ask().await.text(), "done");
        let claims = verified(&gateway, &backend).await;
        assert_eq!(ask().await.text(), "done");

        assert_eq!(claims["company"], "acme");
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
        assert_eq!(verified(&gateway, &backend).await["jti"], claims["jti"], "one token serves both");
        let told = document(&gateway.get("/.well-known/openid-configuration").await);
        assert_eq!(told["jwks_uri"], "http://gateway.example/.well-known/jwks.json");
        assert_eq!(told["id_token_signing_alg_values_supported"], json!([algorithm]));
    }
}

#[tokio::test]
async fn keys_stay_over_restarts_and_while_what_closes_them_is_exchanged() {
    let backend = Stub::saying("done").await;
    let gateway = gateway(&backend, "ES256").await;
    let published = document(&gateway.get("/.well-known/jwks.json").await);
    let key = gateway.key("acme", "all").await;

    let vault = &gateway.node().keeping.as_ref().unwrap().vault;
    vault.rotate_master_key().unwrap();
    assert_eq!(vault.rotate_data_key().unwrap(), 1);
    assert_eq!(gateway.get_with("/orders", &[("X-Api-Key", &key)]).await.status, 200);
    verified(&gateway, &backend).await;

    let gateway = gateway.restart().await;
    assert_eq!(document(&gateway.get("/.well-known/jwks.json").await), published);
}

#[tokio::test]
async fn another_algorithm_is_published_before_it_signs() {
    let backend = Stub::saying("done").await;
    let gateway = gateway(&backend, "ES256").await;
    let document_of =
        |algorithm: &str| SIGNED.replace("ALGORITHM", algorithm).replace("BACKEND", &backend.address.to_string());

    gateway.reload(&document_of("EdDSA")).unwrap();

    let published = document(&gateway.get("/.well-known/jwks.json").await);
    let algorithms: Vec<_> = published["keys"].as_array().unwrap().iter().map(|key| key["alg"].clone()).collect();
    assert_eq!(algorithms, ["ES256", "EdDSA"]);
    let told = document(&gateway.get("/.well-known/openid-configuration").await);
    assert_eq!(told["id_token_signing_alg_values_supported"], json!(["ES256"]));
}

#[tokio::test]
async fn keys_that_are_not_there_are_a_finding() {
    let backend = Stub::saying("done").await;
    let document = SIGNED.replace("{algorithm: ALGORITHM}", "{overlap: 1m}").replace("keys: backends", "keys: backend");
    let findings = Gateway::refusing(&document.replace("BACKEND", &backend.address.to_string())).await;
    assert!(findings.contains("/signing/backends/overlap: is too short"), "{findings}");
    assert!(findings.contains("there are no keys `backend` in `signing`; did you mean `backends`?"), "{findings}");
}
