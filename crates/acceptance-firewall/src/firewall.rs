//! The firewall as clients and operators notice it.

use serde_json::Value;
use testkit::{Gateway, Stub, eventually, until};

const OWN: &str = "apis: {all: {match: {path: /}, upstream: backend, policies: [waf: {}]}}\n";

/// The lines of a log, once there are so many.
async fn lines(gateway: &Gateway, name: &str, count: usize) -> Vec<Value> {
    let path = gateway.folder().join(name);
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("the log has its lines", || read().lines().count() >= count).await;
    read().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn one_line_switches_it_on_and_an_id_finds_the_record_of_what_was_blocked() {
    let backend = Stub::saying("hello").await;
    let logs = "logs: [{file: {path: waf.log, format: firewall}}]\n";
    let gateway = Gateway::with(&backend, &format!("{OWN}{logs}")).await;

    let passed = gateway.get("/orders/7?page=2").await;
    let blocked = gateway.get("/orders/7?page=1%27%20or%20%271%27=%271").await;

    assert_eq!((passed.status, blocked.status), (200, 403));
    assert_eq!(backend.count(), 1);
    let told: Value = serde_json::from_slice(&blocked.body).unwrap();
    assert_eq!(told["type"], "/problems/request-blocked");
    assert_eq!(told["id"].as_str(), blocked.header("x-request-id"));
    let records = lines(&gateway, "waf.log", 1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["id"], told["id"]);
    assert_eq!((&records[0]["action"], &records[0]["api"]), (&"request-blocked".into(), &"all".into()));
    assert_eq!(records[0]["rules"][0]["group"], "attack-sqli");
    let metrics = gateway.node().registry.render(None).body;
    for line in [
        r#"vestibule_firewall_exchanges_total{api="all",action="request-blocked"} 1"#,
        r#"vestibule_firewall_matches_total{api="all",group="attack-sqli"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn trailers_that_no_rule_sees_reach_no_backend_but_one_of_grpc() {
    let body = "1\r\nx\r\n0\r\nx-attack: <script>\r\n\r\n";
    for (kind, mode, count) in
        [("text/plain", "block", 0), ("application/grpc", "block", 1), ("text/plain", "detect", 1)]
    {
        let backend = Stub::saying("hello").await;
        let gateway = Gateway::with(&backend, &OWN.replace("{}", &format!("{{mode: {mode}}}"))).await;
        let mut client = gateway.connect().await;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
        client.send(&format!("{head}{body}")).await;
        assert_eq!(client.reply().await.status, 200);
        assert_eq!(backend.requests()[0].trailers.len(), count, "{kind} {mode}");
    }
}

#[tokio::test]
async fn the_audit_log_has_sections_where_they_are_wanted_and_no_secrets() {
    let backend = Stub::saying("hello").await;
    let logs = "logs: [{file: {path: audit.log, format: modsecurity}}]\n";
    let gateway = Gateway::with(&backend, &format!("{OWN}{logs}")).await;

    let headers = [("authorization", "Bearer s3cret"), ("cookie", "a=s3cret")];
    gateway.get_with("/?q=%3Cscript%3E&token=s3cret&password=%3Cscript%3Es3cret", &headers).await;

    let path = gateway.folder().join("audit.log");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("the record is there", || read().contains("-Z--")).await;
    let log = read();
    for part in [
        "-A--",
        "-B--",
        "-H--",
        "authorization: ***",
        "Message: Access denied with code 403 (phase 2). Operator @detectXSS matched \"***\" at ARGS:q. [file ",
        "[id \"77140\"]",
        "Action: Intercepted (phase 2)",
        "Engine-Mode: \"ENABLED\"",
    ] {
        assert!(log.contains(part), "{part} in\n{log}");
    }
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn a_long_body_streams_by_or_is_refused_by_choice() {
    let backend = Stub::saying("thanks").await;
    let body = format!("{{\"a\": \"{}\"}}", "x".repeat(400 * 1024));
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let gateway = Gateway::with(&backend, OWN).await;
    assert_eq!(gateway.connect().await.ask(&request).await.status, 200);
    assert_eq!(backend.request().body, body.as_bytes());

    let refusing = OWN.replace("waf: {}", "waf: {request_body: {limit: 64KiB, beyond: refuse}}");
    let gateway = Gateway::with(&backend, &refusing).await;
    let refused = gateway.connect().await.ask(&request).await;
    assert_eq!(refused.status, 413);
    assert_eq!(backend.count(), 1);
}

#[tokio::test]
async fn who_is_refused_for_a_long_body_has_an_id_that_the_log_knows_by_its_operation() {
    let backend = Stub::saying("thanks").await;
    let document = "apis: {all: {match: {path: /own}, upstream: backend, policies: [waf: {request_body: {limit: 8B, beyond: \
                    refuse}}, rewrite: {path: /other}]}}\nlogs: [{file: {path: waf.log, format: firewall}}]\n";
    let gateway = Gateway::with(&backend, document).await;
    let request = "POST /own/notes HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789";

    let refused = gateway.connect().await.ask(request).await;

    let told: Value = serde_json::from_slice(&refused.body).unwrap();
    let records = lines(&gateway, "waf.log", 1).await;
    assert_eq!((refused.status, &records[0]["id"]), (413, &told["id"]));
    assert_eq!((&records[0]["operation"], &records[0]["status"]), (&"POST /notes".into(), &413.into()));
}

#[tokio::test]
async fn an_answer_is_held_back_until_it_was_looked_at() {
    let leak = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 18\r\n\r\nORA-01017: invalid";
    let backend = Stub::answering(leak).await;
    let rules = "SecRule RESPONSE_BODY \"@rx ORA-[0-9]+\" \"id:1,phase:4,deny\"";
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("answers.conf"), rules).unwrap();
    let document = format!(
        "upstreams: {{backend: {{targets: [\"http://{}\"]}}}}\napis: {{all: {{match: {{path: /}}, upstream: backend, \
         policies: [waf: {{rules: [answers.conf], response_body: {{inspect: on}}}}]}}}}\n",
        backend.address
    );
    let gateway = Gateway::in_folder(folder, &document).await;

    let reply = gateway.get_with("/", &[("accept-encoding", "gzip")]).await;

    assert_eq!(reply.status, 403);
    assert!(!String::from_utf8_lossy(&reply.body).contains("ORA"));
    assert_eq!(backend.request().header("accept-encoding"), None);
}

#[tokio::test]
async fn rules_with_ten_mistakes_are_ten_findings_and_the_old_ones_stay_in_force() {
    let backend = Stub::saying("hello").await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("own.conf");
    std::fs::write(&file, "SecRule ARGS \"@streq old\" \"id:1,phase:1,deny\"\n").unwrap();
    let document = format!(
        "upstreams: {{backend: {{targets: [\"http://{}\"]}}}}\napis:\n  one: {{match: {{path: /one}}, upstream: backend, \
         policies: [waf: {{rules: [own.conf]}}]}}\n  two: {{match: {{path: /two}}, upstream: backend, \
         policies: [waf: {{rules: [own.conf]}}]}}\n",
        backend.address
    );
    let gateway = Gateway::in_folder(folder, &document).await;
    assert_eq!((gateway.get("/one?a=old").await.status, gateway.get("/two?a=new").await.status), (403, 200));

    let mistakes: Vec<String> =
        (1..=10).map(|id| format!("SecRule ARGZ \"@streq new\" \"id:{id},phase:1,deny\"\n")).collect();
    std::fs::write(&file, mistakes.concat()).unwrap();
    let findings = gateway.reload(&document).unwrap_err();
    assert_eq!(findings.lines().count(), 10, "{findings}");
    for line in 1..=10 {
        assert!(findings.contains(&format!("own.conf:{line}:9: there is no variable ARGZ")), "{findings}");
    }
    assert_eq!((gateway.get("/one?a=old").await.status, gateway.get("/two?a=new").await.status), (403, 200));

    std::fs::write(&file, "SecRule ARGS \"@streq new\" \"id:1,phase:1,deny\"\n").unwrap();
    gateway.reload(&document).unwrap();
    assert_eq!((gateway.get("/one?a=old").await.status, gateway.get("/two?a=new").await.status), (200, 403));
}

#[tokio::test]
async fn rules_see_what_the_gateway_takes_out_of_requests() {
    let backend = Stub::saying("hello").await;
    let rule = "SecRule REQUEST_HEADERS:Connection \\\"@contains x-hidden\\\" \\\"id:1,phase:1,deny\\\"";
    let policy = format!("waf: {{rules: [builtin], directives: \"{rule}\"}}");
    let gateway = Gateway::with(&backend, &OWN.replace("waf: {}", &policy)).await;

    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x-hidden\r\nX-Hidden: 1\r\n\r\n";
    assert_eq!(gateway.connect().await.ask(request).await.status, 403);
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn what_was_found_is_shipped_as_an_object_of_its_record() {
    let backend = Stub::saying("hello").await;
    let sink = Stub::saying("{}").await;
    let logs = format!(
        "store: {{embedded: data}}\nlogs: [{{http: {{url: \"http://{}/\", compress: none, batch: {{every: 10ms}}}}}}]\n",
        sink.address
    );
    let gateway = Gateway::with(&backend, &format!("{OWN}{logs}")).await;

    gateway.get("/?q=%3Cscript%3E").await;

    let taken = || -> Vec<Value> {
        let bodies = sink.requests().into_iter().map(|request| String::from_utf8(request.body).unwrap());
        bodies
            .flat_map(|body| body.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
            .collect()
    };
    eventually("the record came", || !taken().is_empty()).await;
    let record = taken().remove(0);
    assert_eq!(record["firewall"]["rules"][0]["id"], 77140, "{record}");
    assert_eq!(record["firewall"]["id"], record["id"]);
}

const COUNTING: &str = "
apis:
  all:
    match: {path: /}
    upstream: backend
    policies:
      - waf:
          directives: |
            SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.seen=+1\"
            SecRule IP:seen \"@gt 3\" \"id:2,phase:1,deny,status:429\"
";

#[tokio::test]
async fn what_rules_remember_is_known_to_a_successor_and_after_a_restart() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, &format!("store: {{embedded: data}}{COUNTING}")).await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    let gateway = gateway.restart().await;
    // What a node remembers it learns beside serving, soon after it started.
    until("the fourth request is refused", async || gateway.get("/").await.status == 429).await;
    assert!(backend.count() >= 3, "{}", backend.count());
    let before = backend.count();
    assert_eq!((gateway.get("/").await.status, backend.count()), (429, before));
}

#[tokio::test]
async fn rules_remember_without_a_store_as_long_as_the_node_runs() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, COUNTING).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(gateway.get("/").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}
