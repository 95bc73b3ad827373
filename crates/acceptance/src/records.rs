//! What another service knows of a partner, and what partners notice when that service is in trouble: nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::{Gateway, Stub, eventually};

const RECORDED: &str = "
store: {embedded: ./data}
upstreams:
  orders: {targets: [\"http://BACKEND\"]}
  crm: {targets: [\"http://SOURCE\"], retries: {attempts: 0}}
apis:
  orders:
    match: {path: /orders}
    upstream: orders
    policies:
      - api-key: {}
      - partner-record:
          upstream: crm
          path: \"/partners/{caller.company}\"
          members: {account: \"$.account.id\", tier: \"$.account.tier\"}
          ttl: TTL
          stale: 1h
          absent: 100ms
          patience: 50ms
          pause: 50ms
      - complete: {headers: {x-account: \"{record.account}\"}}
      - respond: {text: \"closed\", status: 403}
        when: record.tier == 'none'
products: {all: {operations: [\"orders: * /**\"]}}
";

const GOLD: &str = "{\"account\":{\"id\":\"A-7\",\"tier\":\"gold\"}}";

fn json(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A source whose answer a test changes: by number into the list, and beyond it no answer at all.
async fn source(answers: &[Vec<u8>]) -> (Stub, Arc<AtomicUsize>) {
    let which = Arc::new(AtomicUsize::new(0));
    let (answers, told) = (answers.to_vec(), which.clone());
    let source = Stub::talking(move |mut talk| {
        let (answers, told) = (answers.clone(), told.clone());
        async move {
            while talk.request().await.is_some() {
                match answers.get(told.load(Ordering::SeqCst)) {
                    Some(answer) if !answer.is_empty() => talk.wire.send(answer.clone()).await,
                    Some(_) => return,
                    None => std::future::pending().await,
                }
            }
        }
    })
    .await;
    (source, which)
}

async fn gateway(backend: &Stub, source: &Stub, ttl: &str) -> (Gateway, String) {
    let document = RECORDED.replace("TTL", ttl).replace("BACKEND", &backend.address.to_string());
    let gateway = Gateway::serving(&document.replace("SOURCE", &source.address.to_string())).await;
    let key = gateway.key("acme", "all").await;
    (gateway, key)
}

#[tokio::test]
async fn members_of_a_record_are_for_templates_and_conditions_and_are_fetched_once() {
    let backend = Stub::saying("done").await;
    let (source, _) = source(&[json(GOLD)]).await;
    let (gateway, key) = gateway(&backend, &source, "1h").await;

    for _ in 0..3 {
        assert_eq!(gateway.get_with("/orders", &[("X-Api-Key", &key)]).await.text(), "done");
    }

    assert_eq!(backend.requests()[2].header("x-account"), Some("A-7"));
    assert_eq!(source.request().line(), "GET /partners/acme HTTP/1.1");
    let metrics = gateway.node().registry.render(None).body;
    for line in [
        r#"vestibule_records{source="orders/partner-record/1"} 1"#,
        r#"vestibule_record_source_up{source="orders/partner-record/1"} 1"#,
        r#"vestibule_records_served_total{source="orders/partner-record/1",record="fresh"} 3"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn no_request_of_a_known_partner_fails_while_the_source_is_in_trouble() {
    let backend = Stub::saying("done").await;
    let wrong = [
        Vec::new(),
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec(),
        json("<html>Sorry</html>"),
        json("{\"account\":{}}"),
        b"nonsense\r\n\r\n".to_vec(),
    ];
    let answers: Vec<_> = std::iter::once(json(GOLD)).chain(wrong).collect();
    let (source, which) = source(&answers).await;
    let (gateway, key) = gateway(&backend, &source, "20ms").await;
    let ask = async || gateway.get_with("/orders", &[("X-Api-Key", &key)]).await;
    assert_eq!(ask().await.status, 200);

    // Closed, errors, garbage, lacking, nonsense, and at last a source that does not answer at all.
    for trouble in 1..=answers.len() {
        which.store(trouble, Ordering::SeqCst);
        let before = source.count();
        while source.count() < before + 2 && trouble < answers.len() || source.count() == before {
            let reply = ask().await;
            assert_eq!((reply.status, reply.text().as_str()), (200, "done"), "{trouble}");
        }
        for _ in 0..20 {
            assert_eq!(ask().await.status, 200, "{trouble}");
        }
    }
    assert!(backend.requests().iter().all(|request| request.header("x-account") == Some("A-7")));
    drop(source);
    for _ in 0..20 {
        assert_eq!(ask().await.status, 200, "it is gone");
    }
    let gateway = gateway.restart().await;
    assert_eq!(gateway.get_with("/orders", &[("X-Api-Key", &key)]).await.status, 200, "a start finds it");
}

#[tokio::test]
async fn a_record_that_was_changed_or_removed_counts() {
    let backend = Stub::saying("done").await;
    let gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
    let closed = json("{\"account\":{\"id\":\"A-7\",\"tier\":\"none\"}}");
    let (source, which) = source(&[json(GOLD), closed, gone]).await;
    let (gateway, key) = gateway(&backend, &source, "20ms").await;
    let ask = async || gateway.get_with("/orders", &[("X-Api-Key", &key)]).await;
    assert_eq!(ask().await.status, 200);

    which.store(1, Ordering::SeqCst);
    while ask().await.text() != "closed" {}
    which.store(2, Ordering::SeqCst);
    while ask().await.status != 403 || ask().await.text() == "closed" {}

    assert_eq!(ask().await.problem(), "record-unknown");
    which.store(0, Ordering::SeqCst);
    while ask().await.status != 200 {}
}

#[tokio::test]
async fn a_partner_who_is_not_known_is_told_that_the_source_is_down() {
    let backend = Stub::saying("done").await;
    let source = Stub::refusing();
    let (gateway, key) = gateway(&backend, &source, "1h").await;

    let reply = gateway.get_with("/orders", &[("X-Api-Key", &key)]).await;

    assert_eq!((reply.status, reply.problem().as_str()), (503, "record-unavailable"));
    assert_eq!((backend.count(), reply.header("retry-after")), (0, Some("5")));
    eventually("the source counts as down", || {
        gateway
            .node()
            .registry
            .render(None)
            .body
            .contains("vestibule_record_source_up{source=\"orders/partner-record/1\"} 0")
    })
    .await;
}

#[tokio::test]
async fn a_member_that_no_record_has_is_a_finding() {
    let document = RECORDED.replace("TTL", "1h").replace("BACKEND", "127.0.0.1:1").replace("SOURCE", "127.0.0.1:1");
    let findings = Gateway::refusing(&document.replace("{record.account}", "{record.acount}")).await;
    assert!(findings.contains("/apis/orders/policies/2/complete/headers/x-account: the record of `partner-record` has no `acount`; did you mean `account`?"), "{findings}");
    let without = document.replace("upstream: crm\n", "upstream: cmr\n");
    assert!(Gateway::refusing(&without).await.contains("there is no upstream `cmr`; did you mean `crm`?"));
}

#[tokio::test]
async fn a_member_that_no_record_has_is_a_finding_wherever_it_is_named() {
    let document = RECORDED.replace("TTL", "1h").replace("BACKEND", "127.0.0.1:1").replace("SOURCE", "127.0.0.1:1");
    let meant = "the record of `partner-record` has no `teir`; did you mean `tier`?";
    for (policy, at) in [
        ("headers: {request: {set: {x-tier: \"{record.teir}\"}}}", "headers/request/set/x-tier: "),
        ("headers: {response: {add: {x-tier: \"a {record.teir}\"}}}", "headers/response/add/x-tier: "),
        ("rewrite: {path: \"/{record.teir}\"}", "rewrite/path: "),
        ("rewrite: {add_prefix: \"/{record.teir}\"}", "rewrite/add_prefix: "),
        ("rewrite: {query: {set: {tier: \"{record.teir}\"}}}", "rewrite/query/set/tier: "),
        ("respond: {text: \"{record.teir}\"}", "respond/text: "),
        ("respond: {json: {a: [\"{record.teir}\"]}}", "respond/json: "),
        ("respond: {headers: {x-tier: \"{record.teir}\"}}", "respond/headers/x-tier: "),
        ("quota: {requests: 1, per: day, by: {expression: record.teir}}", "quota/by/expression: line 1, column 1: "),
        ("spike-arrest: {rate: 1/s, per: {expression: \"'a' + record.teir\"}}", "spike-arrest/per/expression: line 1"),
    ] {
        let found = Gateway::refusing(&document.replace("respond: {text: \"closed\", status: 403}", policy)).await;
        assert!(found.contains(at) && found.contains(meant), "{policy}: {found}");
    }
    for when in ["record.teir == 'none'", "has(record.teir)", "record['teir'] == ''", "'teir' in record"] {
        let found = Gateway::refusing(&document.replace("record.tier == 'none'", &format!("\"{when}\""))).await;
        assert!(
            found.contains("/apis/orders/policies/3/when: line 1, column ") && found.contains(meant),
            "{when}: {found}"
        );
    }
    let early = document.replace("respond: {text: \"closed\", status: 403}", "ip-filter: {deny: [192.0.2.1/32]}");
    let found = Gateway::refusing(&early).await;
    assert!(found.contains("names `record.tier`, but no `partner-record` before it fetches a record here"), "{found}");
}

#[tokio::test]
async fn what_is_open_ends_when_its_record_is_gone_and_not_before() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        talk.wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
        talk.wire.end().await;
    })
    .await;
    let gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
    let (source, which) = source(&[json(GOLD), Vec::new(), gone]).await;
    let (gateway, key) = gateway(&backend, &source, "1s").await;
    let mut wire = gateway.connect().await;
    wire.send(format!("GET /orders HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n")).await;
    assert_eq!((wire.head().await.status, wire.chunk().await.as_slice()), (200, &b"hi"[..]));

    // It is asked for again, although nobody asks; and trouble of the source ends nothing.
    eventually("the record is fetched again", || source.count() >= 2).await;
    which.store(1, Ordering::SeqCst);
    let asked = source.count();
    eventually("the source is in trouble", || source.count() > asked).await;
    assert!(wire.is_silent().await);
    which.store(2, Ordering::SeqCst);

    assert_eq!(wire.end().await, b"");
}
