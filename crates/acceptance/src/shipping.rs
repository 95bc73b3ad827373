//! Log records on their way to sinks that may be away.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use testkit::{Gateway, Request, Stub, eventually};

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const AWAY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// The lines that a sink took: those of requests that it answered with a success.
fn lines<'a>(requests: impl IntoIterator<Item = &'a Request>) -> Vec<Value> {
    let text = |request: &Request| String::from_utf8(request.body.clone()).unwrap();
    let texts: Vec<_> = requests.into_iter().map(text).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The ids under which each target came, with repetitions.
fn ids(lines: &[Value]) -> HashMap<String, Vec<String>> {
    let mut ids = HashMap::<_, Vec<_>>::new();
    for line in lines {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        ids.entry(text("target")).or_default().push(text("id"));
    }
    ids
}

/// A sink that is away until it is told to come back.
async fn returning() -> (Stub, Arc<AtomicBool>) {
    let is_back = Arc::new(AtomicBool::new(false));
    let seen = is_back.clone();
    let sink = Stub::replying(move |_| if seen.load(Ordering::SeqCst) { TAKEN } else { AWAY }.into()).await;
    (sink, is_back)
}

fn shipping_to(url: &str, more: &str) -> String {
    format!(
        "store: {{embedded: data}}\nlogs: [{{http: {{url: \"{url}\", compress: none, batch: {{every: 10ms}}{more}}}}}]\n"
    )
}

#[tokio::test]
async fn what_was_answered_while_the_sink_was_away_is_there_once_or_twice_with_the_same_id() {
    let backend = Stub::saying("hello").await;
    let (sink, is_back) = returning().await;
    let gateway = Gateway::with(&backend, &shipping_to(&format!("http://{}/", sink.address), "")).await;
    let targets: Vec<String> = (0..40).map(|number| format!("/orders/{number}")).collect();
    for target in &targets[..20] {
        assert_eq!(gateway.get(target).await.status, 200);
    }
    eventually("the sink was asked", || sink.count() > 0).await;

    let gateway = gateway.restart().await;
    for target in &targets[20..] {
        assert_eq!(gateway.get(target).await.status, 200);
    }
    let before = sink.count();
    is_back.store(true, Ordering::SeqCst);

    let arrived = || ids(&lines(&sink.requests()[before..]));
    eventually("everything arrived", || targets.iter().all(|target| arrived().contains_key(target))).await;
    gateway.stop().await;
    let arrived = arrived();
    assert_eq!(arrived.len(), targets.len());
    let is_one = |ids: &Vec<String>| ids.len() <= 2 && ids.iter().all(|id| *id == ids[0]);
    assert!(arrived.values().all(is_one), "{arrived:?}");
}

#[tokio::test]
async fn a_sink_is_found_again_by_its_name_after_a_change_and_by_a_successor() {
    let backend = Stub::saying("hello").await;
    let (away, sink) = (Stub::refusing(), Stub::answering(TAKEN).await);
    let of = |stub: &Stub| shipping_to(&format!("http://{}/", stub.address), ", name: siem");
    let gateway = Gateway::with(&backend, &of(&away)).await;
    gateway.get("/first").await;
    let successor = gateway.successor().await;
    successor.get("/second").await;

    gateway.stop().await;
    let upstream = format!("upstreams: {{backend: {{targets: [\"http://{}\"]}}}}\n", backend.address);
    let apis = "apis: {all: {match: {path: /}, upstream: backend}}\n";
    successor.reload(&format!("{upstream}{apis}{}", of(&sink))).unwrap();
    successor.get("/third").await;

    let targets = || lines(&sink.requests()).iter().map(|line| line["target"].clone()).collect::<Vec<_>>();
    eventually("all three arrived", || {
        ["/first", "/second", "/third"].iter().all(|target| targets().contains(&(*target).into()))
    })
    .await;
    assert_eq!(targets().len(), 3);
}

#[tokio::test]
async fn what_is_masked_is_neither_sent_nor_on_disk() {
    let backend = Stub::saying("hello").await;
    let sink = Stub::refusing();
    let record = ", record: {headers: {authorization: auth, x-pet: pet}, mask: {fields: [user_agent], headers: [x-pet], \
                  query: [colour]}}";
    let gateway = Gateway::with(&backend, &shipping_to(&format!("http://{}/", sink.address), record)).await;

    let headers = [("Authorization", "Bearer s3cret-a"), ("X-Pet", "s3cret-b"), ("User-Agent", "s3cret-c")];
    gateway.get_with("/a?colour=s3cret-d&api_key=s3cret-e&page=plain", &headers).await;
    gateway.stop().await;

    let mut found = 0;
    let files = std::fs::read_dir(gateway.folder().join("data/logs/http")).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()) {
        let bytes = std::fs::read(file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("s3cret"), "a secret is on disk");
        found += usize::from(text.contains("page=plain"));
    }
    assert_eq!(found, 1, "the record itself is");
}

#[tokio::test]
async fn records_that_an_index_has_or_cannot_take_do_not_hold_up_the_others() {
    let backend = Stub::saying("hello").await;
    let was_busy = AtomicBool::new(false);
    let index = Stub::replying(move |request| {
        let status = |line: &Value| match line["target"].as_str() {
            None => None,
            Some("/known") => Some(409),
            Some("/unfit") => Some(400),
            Some("/busy") if !was_busy.swap(true, Ordering::SeqCst) => Some(429),
            Some(_) => Some(201),
        };
        let items = lines([request])
            .into_iter()
            .filter_map(|line| status(&line))
            .map(|status| json!({"create": {"status": status}}));
        let answer = json!({"errors": true, "items": items.collect::<Vec<_>>()}).to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).into()
    })
    .await;
    let sink = format!(
        "store: {{embedded: data}}\nlogs: [{{elasticsearch: {{url: \"http://{}/es\", index: access, compress: none, \
         batch: {{every: 10ms}}, headers: {{authorization: ApiKey x}}}}}}]\n",
        index.address
    );
    let gateway = Gateway::with(&backend, &sink).await;

    for target in ["/known", "/unfit", "/busy", "/new"] {
        assert_eq!(gateway.get(target).await.status, 200);
    }

    let counted = |result: &str, count: u32| {
        let line = format!("vestibule_log_sink_records_total{{sink=\"elasticsearch\",result=\"{result}\"}} {count}\n");
        gateway.node().registry.render(None).body.contains(&line)
    };
    eventually("all are settled", || counted("shipped", 3) && counted("refused", 1)).await;
    let requests = index.requests();
    assert_eq!(requests[0].line(), "POST /es/_bulk HTTP/1.1");
    assert_eq!(requests[0].header("authorization"), Some("ApiKey x"));
    let all = lines(&requests);
    for pair in all.chunks(2) {
        assert_eq!(pair[0]["create"]["_index"], "access");
        assert_eq!(pair[0]["create"]["_id"], pair[1]["id"]);
    }
    assert!(counted("dropped", 0));
}

#[tokio::test]
async fn a_receiver_of_otlp_gets_attributes_with_their_types() {
    let backend = Stub::saying("hello").await;
    let sink = Stub::answering(TAKEN).await;
    let logs = format!(
        "store: {{embedded: data}}\nlogs: [{{otlp: {{url: \"http://{}\", service: edge, compress: none, \
         record: {{fields: {{http.status: status, took: duration_ms, done: complete, url.path: target}}}}}}}}]\n",
        sink.address
    );
    let gateway = Gateway::with(&backend, &logs).await;

    gateway.get("/orders").await;
    gateway.stop().await;

    let request = sink.request();
    assert_eq!(request.line(), "POST /v1/logs HTTP/1.1");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let resource = &body["resourceLogs"][0];
    assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "edge");
    let record = &resource["scopeLogs"][0]["logRecords"][0];
    assert!(record["timeUnixNano"].as_str().unwrap().ends_with("000"), "{record}");
    let attributes = record["attributes"].as_array().unwrap();
    let value = |name: &str| attributes.iter().find(|attribute| attribute["key"] == name).unwrap()["value"].clone();
    assert_eq!(value("http.status"), json!({"intValue": "200"}));
    assert_eq!(value("done"), json!({"boolValue": true}));
    assert_eq!(value("url.path"), json!({"stringValue": "/orders"}));
    assert!(value("took")["doubleValue"].is_number());
    assert_eq!(value("id")["stringValue"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn mistakes_in_a_sink_are_found_where_they_are() {
    for (logs, wrong) in [
        ("[{http: {url: \"http://127.0.0.1:1/\"}}]", "/logs/0: needs a folder"),
        ("[{fluent: {address: nowhere}}]", "/logs/0/fluent/address: `nowhere` is no host with a port"),
        ("[{http: {url: x}}]", "/logs/0/http/url: has no scheme or no host"),
        ("[{otlp: {url: \"http://a/?b\"}}]", "/logs/0/otlp/url: has a query"),
        (
            "[{syslog: {address: \"a:1\", transport: udp, tls: {}}}]",
            "/logs/0/syslog/tls: goes with `transport: tcp` only",
        ),
        ("[{http: {url: \"http://a/\", keep: {max: 1MiB}}}]", "/logs/0/http/keep/max: is too small"),
        (
            "[{http: {url: \"http://a/\", record: {mask: {fields: [id]}}}}]",
            "/logs/0/http/record/mask/fields/0: is in every record",
        ),
        (
            "[{http: {url: \"http://a/\", record: {fields: {x: colour}}}}]",
            "/logs/0/http/record/fields/x: `colour` is not known here",
        ),
        ("[{http: {url: \"http://a/\", name: A/b}}]", "/logs/0/http/name"),
    ] {
        let store = if wrong.contains("folder") { "" } else { "store: {embedded: data}\n" };
        let found = Gateway::refusing(&format!("apis: {{}}\n{store}logs: {logs}\n")).await;
        assert!(found.contains(wrong), "{found}");
    }
    let twice =
        "apis: {}\nstore: {embedded: data}\nlogs: [{http: {url: \"http://a/\"}}, {http: {url: \"http://b/\"}}]\n";
    assert!(Gateway::refusing(twice).await.contains("there is a sink `http` already"));
}
