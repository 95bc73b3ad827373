//! What operators read when they make mistakes: every finding with its exact place and words.

use std::path::Path;

use model::read::{References, read};
use model::schema::schema;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::Value;

#[test]
fn tmp() {
    let text = r#"version: 2
listeners:
  public: {bind: "0.0.0.0", http2: yes, limits: {head_time: 10, min_rate: 5s1h, headers: 1.5, body_bytes: "99999999999999999999MB"}}
  80: {bind: 10.0.0.1:80, tls: {certificates: []}}
  public: {}
  x: {bnd: "127.0.0.1:1", proxy_protocol: of, "tls":}
workers: 0
trusted_proxies: [10.0.0.0/8, 10.0.0/8, 5, {a: b}]
upstrems: {}
upstreams:
  orders: {targets: ["http://x", {url: 5, weight: 1001}, 7, {ur: x}], balance: rnd, health: {}, retries: {statuses: [70000], budget: 120%}, http: 2}
  b: {targets: x, balance: {hsh: x}, host: {fixed: [a]}}
  c: {targets: [x], balance: {hash: {header: x, cookie: y}}, breaker: {connections: -1, pending: 99999999999}}
  d:
apis:
  orders:
    match: {path: {exact: /a, prefix: /b}, methd: GET}
    upstream: [{upstream: a, weight: "3"}]
    policies:
      - api-kye: {header: x}
      - api-key: {header: x}
        quota: {}
      - when: x
      - quota
      - quota: {rate: 5}
        on_failure: opne
      - quota:
  shop:
    upstream: 5
tracing: {otlp: "${env:NOPE}", sample: "${env:HALF}", service: "${evn:X}"}
logs: [{fil: {path: x}}, {file: {}}, stdout]
diagnostics: {level: trace, format: "json"}
store: ${env:SECRET}
"#;
    match read(text, "v.yaml", &test_schema(), &Given) {
        Ok(_) => panic!("no findings"),
        Err(findings) => {
            for f in findings {
                println!("{f}");
            }
        }
    }
}

/// Settings of `api-key`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema matters")]
struct ApiKey {
    /// The header.
    header: Option<String>,
}

/// Settings of `quota`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema matters")]
struct Quota {
    /// How much.
    rate: model::units::Rate,
}

fn test_schema() -> Value {
    let policies: [(&str, Schema); 2] = [("api-key", schema_for!(ApiKey)), ("quota", schema_for!(Quota))];
    schema(policies.into_iter())
}

struct Given;

impl References for Given {
    fn variable(&self, name: &str) -> Result<String, String> {
        match name {
            "HALF" => Ok("0.5".into()),
            "SECRET" => Ok("swordfish".into()),
            _ => Err("the variable is not set".into()),
        }
    }

    fn file(&self, _: &Path) -> Result<String, String> {
        Err("no such file".into())
    }
}
