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
    let names = vault.names().unwrap();
    assert!(names.iter().any(|name| name == "pepper"), "{names:?}");
    assert_eq!(vault.rotate_data_key().unwrap(), names.len());
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

const OBTAINED: &str = "
upstreams:
  orders: {targets: [\"http://BACKEND\"]}
  issuer: {targets: [\"http://ISSUER\"], retries: {attempts: 0}}
apis:
  own:
    match: {path: /own}
    upstream: orders
    policies:
      - client-credentials:
          issuer: {upstream: issuer, path: /token, client_id: gate way, client_secret: \"s:{cret\"}
          scope: orders.read
  theirs:
    match: {path: /theirs}
    upstream: orders
    policies:
      - token-exchange:
          issuer: {upstream: issuer, path: /token, client_id: gateway, client_secret: secret, client_auth: post}
          audience: orders
";

fn issued(token: &str) -> Vec<u8> {
    let body = format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}");
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An issuer that makes a token of whom it is asked about, knows no `wrong`, and goes away when it hears of `down`.
async fn obtaining(backend: &Stub) -> (Stub, Gateway) {
    let issuer = Stub::replying(|request| {
        let body = String::from_utf8(request.body.clone()).unwrap();
        let pairs: Vec<_> = body.split('&').filter_map(|pair| pair.split_once('=')).collect();
        match pairs.iter().find(|(name, _)| *name == "subject_token") {
            Some((_, "wrong")) => {
                let body = "{\"error\":\"invalid_grant\"}";
                format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
            }
            Some((_, "down")) => Vec::new(),
            Some((_, token)) => issued(&format!("for-{token}")),
            None => issued("own"),
        }
    })
    .await;
    let document = OBTAINED.replace("BACKEND", &backend.address.to_string());
    let gateway = Gateway::serving(&document.replace("ISSUER", &issuer.address.to_string())).await;
    (issuer, gateway)
}

#[tokio::test]
async fn one_token_of_the_gateway_s_own_serves_all_callers() {
    let backend = Stub::saying("done").await;
    let (issuer, gateway) = obtaining(&backend).await;

    let replies = futures::future::join_all((0..20).map(|_| gateway.get("/own"))).await;

    assert!(replies.iter().all(|reply| reply.text() == "done"));
    assert!(backend.requests().iter().all(|request| request.header("authorization") == Some("Bearer own")));
    let asked = issuer.request();
    assert_eq!(asked.line(), "POST /token HTTP/1.1");
    // `gate%20way:s%3A%7Bcret`.
    assert_eq!(asked.header("authorization"), Some("Basic Z2F0ZSUyMHdheTpzJTNBJTdCY3JldA=="));
    assert_eq!(asked.body, b"grant_type=client_credentials&scope=orders.read");
}

#[tokio::test]
async fn a_caller_s_token_is_exchanged_once_and_for_nobody_else() {
    let backend = Stub::saying("done").await;
    let (issuer, gateway) = obtaining(&backend).await;
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        gateway.get_with("/theirs", &[("Authorization", &bearer)]).await
    };

    for token in ["a", "b", "a", "b"] {
        assert_eq!(ask(token).await.text(), "done");
        let sent = backend.requests().pop().unwrap();
        assert_eq!(sent.header("authorization"), Some(&*format!("Bearer for-{token}")));
    }

    assert_eq!(issuer.count(), 2);
    let body = String::from_utf8(issuer.requests()[0].body.clone()).unwrap();
    assert!(
        body.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=a&"),
        "{body}"
    );
    assert!(body.ends_with("&audience=orders&client_id=gateway&client_secret=secret"), "{body}");
    let refused = ask("wrong").await;
    assert_eq!((refused.status, refused.problem().as_str()), (401, "token-refused"));
    assert_eq!(gateway.get("/theirs").await.problem(), "token-missing");
    assert_eq!(backend.count(), 4);
}

#[tokio::test]
async fn an_issuer_that_gives_no_answer_is_no_refusal_of_the_caller() {
    let backend = Stub::saying("done").await;
    let (_issuer, gateway) = obtaining(&backend).await;

    let reply = gateway.get_with("/theirs", &[("Authorization", "Bearer down")]).await;

    assert_eq!((reply.status, reply.problem().as_str()), (503, "token-unavailable"));
    assert_eq!((backend.count(), reply.header("retry-after")), (0, Some("1")));
}
