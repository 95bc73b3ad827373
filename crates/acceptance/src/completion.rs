//! What a backend gets that its caller does not have.

use serde_json::Value;
use testkit::{Gateway, Reply, Stub};

const COMPLETED: &str = "
store: {embedded: ./data}
upstreams: {orders: {targets: [\"http://BACKEND\"]}}
apis:
  orders:
    match: {path: \"/orders/{id}\"}
    upstream: orders
    policies:
      - api-key: {}
      - complete:
          path: \"/v2/{caller.company}/{parameters.id}\"
          headers:
            authorization: \"Bearer {secret.token}\"
            x-trace: {value: \"{request.id}\", on_present: keep}
            x-tenant: {value: \"{request.headers.x-tenant-id}\", on_missing: fail}
          query: {app: {value: \"{caller.app}\", on_present: refuse}}
          json: {/order/company: \"{caller.company}\"}
          xml: {order/@company: \"{caller.company}\"}
          form: {company: \"{caller.company}\"}
          secrets: {token: \"${file:token}\"}
products: {all: {operations: [\"orders: * /**\"]}}
";

struct Setting {
    backend: Stub,
    gateway: Gateway,
    key: String,
}

async fn setting() -> Setting {
    let backend = Stub::saying("done").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "s{cret}\n").unwrap();
    let gateway = Gateway::in_folder(folder, &COMPLETED.replace("BACKEND", &backend.address.to_string())).await;
    let key = gateway.key("acme", "all").await;
    Setting { backend, gateway, key }
}

impl Setting {
    async fn post(&self, target: &str, headers: &str, body: &str) -> Reply {
        let (key, length) = (&self.key, body.len());
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Length: {length}\r\n{headers}");
        self.gateway.connect().await.ask(format!("{head}\r\n{body}")).await
    }
}

#[tokio::test]
async fn a_backend_gets_what_its_caller_does_not_have() {
    let setting = setting().await;
    let headers = "X-Tenant-Id: 9\r\nAuthorization: Bearer mine\r\nX-Trace: mine\r\nContent-Type: application/json\r\n";
    let body = "{\"n\": 1.50,  \"order\":{\"company\" : \"forged\", \"b\":[]}}";

    assert_eq!(setting.post("/orders/7?b=1", headers, body).await.text(), "done");

    let request = setting.backend.request();
    assert_eq!(request.line(), "POST /v2/acme/7?b=1&app=app HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer s{cret}"));
    assert_eq!((request.header("x-trace"), request.header("x-tenant")), (Some("mine"), Some("9")));
    assert_eq!(String::from_utf8(request.body).unwrap(), body.replace("forged", "acme"));
}

#[tokio::test]
async fn members_are_set_in_every_type_of_body_that_is_named() {
    for (content_type, body, expected) in [
        ("application/x-www-form-urlencoded", "a=1&company=x", "a=1&company=acme"),
        ("application/xml", "<order company='x'> <n/></order>", "<order company=\"acme\"> <n/></order>"),
        ("application/json", "{}", "{\"order\":{\"company\":\"acme\"}}"),
    ] {
        let setting = setting().await;

        let headers = format!("X-Tenant-Id: 9\r\nContent-Type: {content_type}\r\n");
        assert_eq!(setting.post("/orders/7", &headers, body).await.status, 200);

        assert_eq!(String::from_utf8(setting.backend.request().body).unwrap(), expected);
    }
}

#[tokio::test]
async fn what_cannot_be_completed_never_reaches_the_backend() {
    let setting = setting().await;
    let json = "X-Tenant-Id: 9\r\nContent-Type: application/json\r\n";
    for (target, headers, body, status, code) in [
        ("/orders/7", "Content-Type: application/json\r\n", "{}", 502, "completion-failed"),
        ("/orders/7?app=other", json, "{}", 400, "value-not-taken"),
        ("/orders/7", json, "[]", 400, "body-unfit"),
        ("/orders/7", "X-Tenant-Id: 9\r\nContent-Type: text/plain\r\n", "hello", 415, "body-type-unfit"),
    ] {
        let reply = setting.post(target, headers, body).await;
        assert_eq!((reply.status, reply.problem().as_str()), (status, code), "{}", reply.text());
        assert!(!reply.text().contains("s{cret}"));
        if status == 502 {
            let problem: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((&problem["policy"], &problem["field"]), (&"complete".into(), &"headers.x-tenant".into()));
        }
    }
    assert_eq!(setting.backend.count(), 0);
}

#[tokio::test]
async fn a_template_that_can_never_be_rendered_is_a_finding_at_load() {
    let findings =
        Gateway::refusing("apis: {a: {match: {path: /}, policies: [{complete: {json: {/a: \"{caller.compny}\"}}}]}}")
            .await;
    assert!(findings.contains("/apis/a/policies/0/complete/json/~1a: there is no `caller.compny`"), "{findings}");
}
