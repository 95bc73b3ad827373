//! Operators are told what goes wrong: once, with what they need, and again when it is over.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use partners::NewSilence;
use serde_json::Value;
use servers::{Postgres, Redis};
use store::{Alert, AlertStage};
use testkit::{Gateway, Request, Stub, eventually, until};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A document whose alerts go to a stub, by these rules.
fn document(backend: &Stub, receiver: &Stub, rules: &str) -> String {
    format!(
        "store: {{embedded: ./data}}
upstreams: {{crm: {{targets: [\"http://{}\"], retries: {{attempts: 0}}, ejection: {{failures: 0}}, breaker: {{failures: 0}}}}}}
apis: {{orders: {{match: {{path: /orders}}, upstream: crm}}, other: {{match: {{path: /other}}, upstream: crm}}}}
alerts:
  to: {{ops: {{webhook: {{url: \"http://{}/alerts?from=edge\", secret: whsec_{KEY}}}}}}}
  calm: 1s
  usual: off
  rules: {rules}
logs: [{{file: {{path: access.log}}}}]
",
        backend.address, receiver.address
    )
}

/// A backend that fails below `/orders`.
async fn failing() -> Stub {
    Stub::replying(|request| {
        let fails = request.line().contains("/orders");
        let status = if fails { "503 Service Unavailable" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    })
    .await
}

/// The event that a receiver was told, whose signature is right.
fn event(request: &Request) -> Value {
    let header = |name: &str| request.header(name).unwrap().to_owned();
    let signed = [header("webhook-id"), header("webhook-timestamp"), String::from_utf8(request.body.clone()).unwrap()];
    let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).unwrap());
    hmac::verify(&key, signed.join(".").as_bytes(), &signature).expect("the signature is right");
    serde_json::from_slice(&request.body).unwrap()
}

fn kinds(receiver: &Stub) -> Vec<String> {
    receiver.requests().iter().map(|request| event(request)["type"].as_str().unwrap().to_owned()).collect()
}

async fn open(gateway: &Gateway) -> Vec<Alert> {
    gateway.node().keeping.as_ref().unwrap().alerts.list(true).await.unwrap()
}

#[tokio::test]
async fn many_failures_of_one_kind_are_one_signed_notice_and_another_one_when_they_are_over() {
    let (backend, receiver) = (failing().await, Stub::saying("thanks").await);
    let document = document(&backend, &receiver, "[{failures: {reach: 5/1m}}]");
    let gateway = Gateway::with(&backend, &document).await;

    for _ in 0..200 {
        assert_eq!(gateway.get("/orders/7").await.status, 503);
        assert_eq!(gateway.get("/other").await.status, 200);
    }

    eventually("it is over", || kinds(&receiver).len() == 2).await;
    assert_eq!(kinds(&receiver), ["alert.opened", "alert.resolved"]);
    let requests = receiver.requests();
    assert_eq!(requests[0].line(), "POST /alerts?from=edge HTTP/1.1");
    assert_ne!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    let (opened, resolved) = (event(&requests[0]), event(&requests[1]));
    assert_eq!(opened["data"]["summary"], "answers to /orders of API `orders` fail: status-503 from upstream `crm`");
    let example = opened["data"]["example"].as_str().unwrap();
    let log = std::fs::read_to_string(gateway.folder().join("access.log")).unwrap();
    let line = log.lines().find(|line| line.contains(example)).unwrap();
    assert!(line.contains("/orders/7") && line.contains("503"), "{line}");
    assert!(opened["data"]["advice"].as_str().unwrap().contains("access log"));
    assert_eq!((&opened["data"]["id"], &resolved["data"]["count"]), (&resolved["data"]["id"], &200.into()));
    assert!(open(&gateway).await.is_empty());
    // The receiver has a notice a moment before the gateway knows that it was taken.
    let taken = "vestibule_alert_notices_total{receiver=\"ops\",result=\"taken\"} 2";
    eventually("both notices are counted", || gateway.node().registry.render(None).body.contains(taken)).await;
}

#[tokio::test]
async fn nobody_is_told_during_a_silence_and_everybody_after_it() {
    let (backend, receiver) = (failing().await, Stub::saying("thanks").await);
    let document = document(&backend, &receiver, "[{failures: {reach: 1/1m}}]").replace("calm: 1s", "calm: 1m");
    let gateway = Gateway::with(&backend, &document).await;
    let partners = &gateway.node().keeping.as_ref().unwrap().partners;
    let labels = [("api".to_owned(), "orders".to_owned())].into();
    let lasts = Duration::from_hours(1);
    let new = NewSilence { labels, reason: "moving".to_owned(), lasts, ..NewSilence::default() };
    let silence = partners.create_silence(new, &[]).await.unwrap();

    gateway.get("/orders/7").await;

    until("it is silenced", async || open(&gateway).await.iter().any(|alert| alert.silence.is_some())).await;
    assert_eq!(receiver.count(), 0);
    partners.delete_silence(&silence.id).await.unwrap();
    eventually("it is told", || kinds(&receiver) == ["alert.opened"]).await;
}

#[tokio::test]
async fn a_notice_that_is_not_taken_is_told_again_with_the_same_id_also_after_a_restart() {
    let (backend, is_up) = (failing().await, std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let seen = is_up.clone();
    let receiver = Stub::replying(move |_| {
        let status = if seen.load(std::sync::atomic::Ordering::SeqCst) { "204 No Content" } else { "500 Oh" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    })
    .await;
    let document = document(&backend, &receiver, "[{failures: {reach: 1/1m}}]").replace("calm: 1s", "calm: 1m");
    let gateway = Gateway::with(&backend, &document).await;
    gateway.get("/orders/7").await;
    until("it was not taken", async || {
        open(&gateway).await.iter().any(|alert| alert.told.get("ops").is_some_and(|told| told.attempts == 1))
    })
    .await;
    let error = open(&gateway).await[0].told["ops"].error.clone();
    assert_eq!(error.as_deref(), Some("it answered with status 500"));

    is_up.store(true, std::sync::atomic::Ordering::SeqCst);
    let gateway = gateway.restart().await;

    until("it is taken", async || {
        let alerts = open(&gateway).await;
        alerts[0].told["ops"].stage == Some(AlertStage::Opened)
    })
    .await;
    let ids: Vec<_> =
        receiver.requests().iter().map(|request| request.header("webhook-id").map(str::to_owned)).collect();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
}

#[tokio::test]
async fn several_nodes_tell_of_one_thing_once_whoever_sees_it_and_whoever_goes() {
    let (backend, receiver) = (failing().await, Stub::saying("thanks").await);
    let document = document(&backend, &receiver, "[{failures: {reach: 1/1m}}]").replace("calm: 1s", "calm: 3s");
    let first = Gateway::with(&backend, &document).await;
    let second = first.successor().await;
    for gateway in [&first, &second, &first, &second] {
        assert_eq!(gateway.get("/orders/7").await.status, 503);
    }
    until("both see it", async || open(&second).await.iter().any(|alert| alert.nodes.len() == 2 && alert.count == 4))
        .await;
    eventually("it is told", || receiver.count() > 0).await;

    // Whoever told the first one is gone, the other one takes over at once.
    first.stop().await;

    eventually("it is over", || kinds(&receiver).contains(&"alert.resolved".to_owned())).await;
    assert_eq!(kinds(&receiver), ["alert.opened", "alert.resolved"]);
    assert_eq!(event(&receiver.requests()[1])["data"]["count"], 4);
}

#[tokio::test]
async fn a_flood_of_things_that_are_wrong_is_a_bounded_number_of_alerts() {
    let (backend, receiver) = (failing().await, Stub::saying("thanks").await);
    let mut document = document(&backend, &receiver, "[{failures: {reach: 1/1m}}]").replace("calm: 1s", "calm: 1m");
    document = document.replace("  calm", "  most_open: 3\n  calm");
    let routes: Vec<_> =
        (0..20).map(|number| format!("a{number}: {{match: {{path: /orders{number}}}, upstream: crm}}")).collect();
    document = document.replace("apis: {", &format!("apis: {{{}, ", routes.join(", ")));
    let gateway = Gateway::with(&backend, &document).await;

    for number in 0..20 {
        assert_eq!(gateway.get(&format!("/orders{number}")).await.status, 503);
    }

    until("what is beyond is counted", async || {
        open(&gateway).await.iter().any(|alert| alert.rule == "most_open" && alert.count == 17)
    })
    .await;
    assert_eq!(open(&gateway).await.len(), 4);
    eventually("four notices are told", || receiver.count() == 4).await;
}

#[tokio::test]
async fn a_partner_that_comes_near_the_end_of_its_quota_is_told_of_at_each_share_once() {
    let (backend, receiver) = (failing().await, Stub::saying("thanks").await);
    let document = document(&backend, &receiver, "[{quota: {}}]").replace(
        "path: /other}, upstream: crm",
        "path: /other}, upstream: crm, policies: [{api-key: {}}, {quota: {from: product}}]",
    ) + "products: {trial: {operations: [\"other: GET /**\"], quota: {requests: 5, per: day}}}\n";
    let gateway = Gateway::with(&backend, &document).await;
    let key = gateway.key("acme", "trial").await;

    let mut statuses = Vec::new();
    for _ in 0..9 {
        statuses.push(gateway.get_with("/other", &[("X-Api-Key", &key)]).await.status);
    }

    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429, 429]);
    eventually("both shares are told", || receiver.count() == 2).await;
    let mut summaries: Vec<_> = receiver
        .requests()
        .iter()
        .map(|request| event(request)["data"]["summary"].as_str().unwrap().to_owned())
        .collect();
    summaries.sort();
    assert_eq!(
        summaries,
        ["acme/app has used 80% of its quota `quota` of 5", "acme/app has used up its quota `quota` of 5"]
    );
}

#[tokio::test]
async fn what_ends_soon_and_what_is_down_is_found_by_the_usual_rules() {
    let (backend, receiver) = (Stub::refusing(), Stub::saying("thanks").await);
    let document = document(&backend, &receiver, "[{upstream: {for: 1s}}]")
        .replace("  usual: off\n", "")
        .replace("ejection: {failures: 0}", "health: {path: /, every: 100ms, unhealthy_after: 1}");
    let gateway = Gateway::with(&backend, &document).await;
    let partners = &gateway.node().keeping.as_ref().unwrap().partners;
    let company = partners::NewCompany { name: "acme".to_owned(), title: None };
    let company = partners.create_company(company).await.unwrap().entity.name;
    let app = partners::NewApp { name: "shop".to_owned(), title: None };
    let app = partners.create_app(&company, app).await.unwrap().entity.id;
    let expires = Some(store::UnixMicros(control::now().0 + 3 * 24 * 3_600_000_000));
    partners.create_key(&app, partners::NewKey { expires, ..partners::NewKey::default() }).await.unwrap();

    let gateway = gateway.restart().await;

    until("both are open", async || open(&gateway).await.len() == 2).await;
    let mut alerts = open(&gateway).await;
    alerts.sort_by(|one, other| one.kind.cmp(&other.kind));
    assert!(alerts[0].summary.contains("of app acme/shop ends in 2d"), "{}", alerts[0].summary);
    assert_eq!(alerts[1].summary, "no target of upstream `crm` is in service");
}

#[tokio::test]
async fn sentry_gets_an_envelope_for_what_opens() {
    let (backend, receiver) = (failing().await, Stub::saying("{\"id\": \"x\"}").await);
    let webhook = format!("webhook: {{url: \"http://{}/alerts?from=edge\", secret: whsec_{KEY}}}", receiver.address);
    let sentry = format!("sentry: {{dsn: \"http://abc@{}/in/4\", environment: staging}}", receiver.address);
    let document = document(&backend, &receiver, "[{failures: {reach: 1/1m}}]").replace(&webhook, &sentry);
    let gateway = Gateway::with(&backend, &document).await;

    gateway.get("/orders/7").await;

    until("it is told that it is over", async || {
        gateway.node().keeping.as_ref().unwrap().alerts.list(false).await.unwrap().iter().any(|alert| alert.settled)
    })
    .await;
    let requests = receiver.requests();
    assert_eq!((requests.len(), requests[0].line()), (1, "POST /in/api/4/envelope/ HTTP/1.1"));
    assert_eq!(requests[0].header("content-type"), Some("application/x-sentry-envelope"));
    assert!(requests[0].header("x-sentry-auth").unwrap().contains("sentry_key=abc"));
    let body = String::from_utf8(requests[0].body.clone()).unwrap();
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1]["length"], body.lines().nth(2).unwrap().len());
    assert_eq!((&lines[2]["environment"], &lines[2]["tags"]["upstream"]), (&"staging".into(), &"crm".into()));
}

#[tokio::test]
async fn the_share_of_answers_that_fail_is_looked_at_for_each_api() {
    let (backend, receiver) = (failing().await, Stub::saying("thanks").await);
    let rules = "[{failure-rate: {reach: 50%, within: 1m, at_least: 10}}]";
    let gateway = Gateway::with(&backend, &document(&backend, &receiver, rules)).await;

    let asking = async {
        loop {
            gateway.get("/orders/7").await;
            gateway.get("/other").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let told = eventually("it is told", || receiver.count() > 0);
    tokio::select! { () = told => {}, () = asking => {} }

    let event = event(&receiver.requests()[0]);
    assert_eq!(event["data"]["summary"], "100.0% of the answers of API `orders` failed in 1m");
    assert_eq!(open(&gateway).await.len(), 1);
}

#[tokio::test]
async fn nodes_that_share_postgres_and_redis_tell_of_one_thing_once_and_run_a_job_once() {
    let (database, redis) = (Postgres::shared().database(), Redis::start());
    let (backend, receiver) = (failing().await, Stub::saying("thanks").await);
    let shared =
        format!("store: {{postgres: \"{}\", redis: \"{}\", folder: ./data}}", database.address(), redis.address());
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let document = document(&backend, &receiver, "[{failures: {reach: 1/1m}}, {quota: {at: [100%]}}]")
        .replace("store: {embedded: ./data}", &shared)
        .replace("calm: 1s", "calm: 1m")
        .replace(
            "path: /other}, upstream: crm",
            "path: /other}, upstream: crm, policies: [{api-key: {}}, {quota: {from: product}}]",
        );
    let document = format!(
        "{document}encryption: {{master_keys: [\"{key}\"]}}
products: {{trial: {{operations: [\"other: GET /**\"], quota: {{requests: 5, per: year}}}}}}
jobs: {{ping: {{at: \"0 0 1 1 *\", run: {{call: {{upstream: crm, path: /ping}}}}}}}}
"
    );
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Gateway::with(&backend, &document).await);
    }
    let key = nodes[0].key("acme", "trial").await;
    let keeping = nodes[0].node().keeping.as_ref().unwrap();
    keeping.everywhere.known().await.unwrap();

    for _ in 0..4 {
        for node in &nodes {
            assert_eq!(node.get("/orders/7").await.status, 503);
            node.get_with("/other", &[("X-Api-Key", &key)]).await;
        }
    }
    nodes[1].node().keeping.as_ref().unwrap().jobs.want(&"ping".parse().unwrap(), "ann").await.unwrap();

    until("all of it is seen by all of them", async || {
        let alerts = open(&nodes[2]).await;
        alerts.iter().any(|alert| alert.kind == "failures" && alert.count == 12 && alert.nodes.len() == 3)
            && alerts.iter().any(|alert| alert.kind == "quota")
    })
    .await;
    until("the job is done", async || {
        let runs = keeping.jobs.runs(&"ping".parse().unwrap(), None, 10).await.unwrap_or_default();
        runs.iter().any(|run| run.state == store::RunState::Done)
    })
    .await;
    eventually("both are told", || receiver.count() >= 2).await;
    for node in &nodes {
        node.stop().await;
    }
    assert_eq!(kinds(&receiver), ["alert.opened", "alert.opened"]);
    let pings = backend.requests().iter().filter(|request| request.line().starts_with("POST /ping")).count();
    assert_eq!(pings, 1);
}
