//! The policy alone, over sessions in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use pipeline::tester::{Judged, PolicyUnderTest, policy_with};
use pipeline::{Body, Caller, Services};
use secrets::SealingKey;
use serde_json::{Value, json};
use sessions::{Sessions as Desk, group_of};
use store::InMemoryLeases;
use store::suite::leases::SetClock;

use super::*;
use crate::outside::Backend;

/// An upstream that writes down what it is asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Backend for Asked {
    fn ask(&self, request: Request<Bytes>, _: usize) -> BoxFuture<'static, Result<Response<Bytes>, String>> {
        let token = request.headers().get("x-token").and_then(|token| token.to_str().ok()).unwrap_or_default();
        let body = String::from_utf8_lossy(request.body());
        self.0.lock().push(format!("{} {} {token} {body}", request.method(), request.uri()));
        std::future::ready(Ok(Response::new(Bytes::new()))).boxed()
    }
}

impl Backends for Asked {
    fn named(&self, name: &str) -> Option<Arc<dyn Backend>> {
        (name == "crm").then(|| Arc::new(self.clone()) as Arc<dyn Backend>)
    }

    fn names(&self) -> Vec<String> {
        vec!["crm".to_owned()]
    }
}

/// Does at once what never waits here.
struct AtOnce;

impl Background for AtOnce {
    fn run(&self, work: BoxFuture<'static, ()>) {
        work.now_or_never().expect("nothing waits in memory");
    }
}

struct Bench {
    desk: Arc<Desk>,
    asked: Asked,
    policy: PolicyUnderTest<Sessions>,
}

fn bench(settings: Value) -> Bench {
    let clock = SetClock::default().clock();
    let leases = Arc::new(InMemoryLeases::new(clock.clone()));
    let desk = Arc::new(Desk::new(leases, SealingKey::generate().unwrap(), clock));
    let asked = Asked::default();
    let services = Services::default()
        .with(desk.clone())
        .with::<dyn Backends>(Arc::new(asked.clone()))
        .with::<dyn Background>(Arc::new(AtOnce));
    Bench { desk, asked, policy: policy_with(settings, services) }
}

/// These settings, and those of a plain policy where they say nothing.
fn with(settings: &Value) -> Value {
    let mut all = json!({
        "name": "crm",
        "id": [{ "header": "x-session" }],
        "open": [{ "when": "request.path == '/login'", "id": { "header": "x-session" } }],
    });
    for (name, value) in settings.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

impl Bench {
    fn request(&self, target: &str) -> Judged<'_> {
        let caller = Caller { company: Some("acme".into()), app: Some("shop".into()), ..Caller::default() };
        self.policy.request().to(target).called_by(caller)
    }

    /// Asks for a session, which the backend opens as `id`.
    fn opens(&self, id: &str) {
        let answer = Response::builder().header("x-session", id).header("x-token", "t7").body(Body::Empty).unwrap();
        assert_eq!(self.request("/login").answered(answer).status, 200);
    }

    fn count(&self) -> u32 {
        self.desk.count(&group_of(Some("crm"), Some("acme"), Some("shop"))).now_or_never().unwrap().unwrap()
    }
}

#[test]
fn a_session_is_open_only_if_the_answer_says_so() {
    let answer = |status: u16, state: &str, body: &'static str| {
        let response = Response::builder().status(status).header("x-state", state).header("x-session", "s1");
        response.body(Body::from(Bytes::from(body))).unwrap()
    };
    let (json_body, xml_body) = (r#"{"ok":true}"#, "<login state='ok'/>");
    for (answered, response, opened) in [
        (json!({}), answer(204, "", ""), 1),
        (json!({}), answer(302, "", ""), 0),
        (json!({ "status": [302] }), answer(302, "", ""), 1),
        (json!({ "headers": { "x-state": "open" } }), answer(200, "open", ""), 1),
        (json!({ "headers": { "x-state": "open" } }), answer(200, "opened", ""), 0),
        (json!({ "json": { "$.ok": "true" } }), answer(200, "", json_body), 1),
        (json!({ "json": { "$.ok": "false" } }), answer(200, "", json_body), 0),
        (json!({ "json": { "$.ok": "true" } }), answer(200, "", xml_body), 0),
        (json!({ "xml": { "login/@state": "ok" } }), answer(200, "", xml_body), 1),
        (json!({ "xml": { "login/@state": "ok" }, "status": [201] }), answer(200, "", xml_body), 0),
    ] {
        let rule = json!([{ "when": "true", "answered": answered, "id": { "header": "x-session" } }]);
        let bench = bench(with(&json!({ "open": rule })));
        bench.request("/login").answered(response);
        assert_eq!(bench.count(), opened, "{answered}");
    }
}

#[test]
fn an_answer_that_is_read_is_not_compressed_and_others_are_left_alone() {
    for (id, is_left_alone) in [(json!({ "header": "x-session" }), true), (json!({ "json": "$.id" }), false)] {
        let rule = json!([{ "when": "true", "answered": { "status": [201] }, "id": id }]);
        let bench = bench(with(&json!({ "open": rule })));
        let passed = bench.request("/login").header("accept-encoding", "gzip").passes();
        assert_eq!(passed.headers().contains_key("accept-encoding"), is_left_alone, "{id}");
    }
}

#[test]
fn an_answer_that_is_too_long_to_be_read_opens_nothing_that_can_be_used() {
    let rule = json!([{ "when": "true", "id": { "json": "$.id" } }]);
    let bench = bench(with(&json!({ "open": rule, "answer_limit": "1KiB", "maximum": { "app": 1 } })));
    let long = format!(r#"{{"id":"s1","x":"{}"}}"#, "x".repeat(2000));

    let answer = bench.request("/login").answered(Response::new(Body::from(Bytes::from(long))));

    assert_eq!(answer.status, 502);
    assert_eq!(bench.count(), 1, "the backend may have a session now");
}

#[test]
fn who_belongs_to_no_session_is_refused_or_passes_as_configured() {
    let strict = bench(with(&json!({})));
    let refused = strict.request("/x").is_refused_with("session-needed");
    assert_eq!((refused.status.as_u16(), &refused.headers["www-authenticate"]), (401, &"Session".parse().unwrap()));
    strict.request("/x").header("x-session", "s1").is_refused_with("session-unknown");

    let open = bench(with(&json!({ "missing": "pass", "unknown": "pass" })));
    open.request("/x").passes();
    let passed = open.request("/x").header("x-session", "s1").passes();
    assert_eq!(passed.session, None);
}

#[test]
fn a_request_cannot_show_one_session_and_use_another() {
    let id = json!([{ "header": "x-session" }, { "cookie": "sid" }, { "query": "s" }]);
    for with in [json!({ "id": id }), json!({ "id": id, "missing": "pass", "unknown": "pass" })] {
        let bench = bench(self::with(&with));
        bench.opens("own");
        let ask = |target: &str, headers: &[(&'static str, &'static str)]| {
            headers.iter().fold(bench.request(target), |request, (name, value)| request.header(name, value))
        };
        for (target, headers) in [
            ("/x", &[("x-session", "own"), ("x-session", "victim")][..]),
            ("/x", &[("x-session", ""), ("x-session", "own"), ("x-session", "victim")]),
            ("/x", &[("x-session", "own"), ("cookie", "sid=victim")]),
            ("/x", &[("cookie", "sid=own; sid=victim")]),
            ("/x", &[("cookie", "sid=own"), ("cookie", "a=b; sid=victim")]),
            ("/x?s=own&s=victim", &[]),
            ("/x?s=own&%73=victim", &[]),
            ("/x?s=victim", &[("x-session", "own")]),
        ] {
            ask(target, headers).is_refused_with("session-ambiguous");
        }
        ask("/x?s=own&s=own", &[("x-session", "own"), ("cookie", "sid=own")]).passes();
    }
}

#[test]
fn templates_and_conditions_know_the_session() {
    let bench = bench(with(&json!({})));
    bench.opens("s1");

    let passed = bench.request("/x").header("x-session", "s1").passes();

    assert_eq!(passed.session.unwrap().member("id"), Some("s1"));
}

#[test]
fn a_session_ends_as_its_rules_say() {
    for (rules, status, left) in [
        (json!([{ "when": "request.method == 'DELETE'" }]), 204, 0),
        (json!([{ "when": "request.method == 'DELETE'" }]), 500, 1),
        (json!([{ "when": "request.method == 'POST'" }]), 204, 1),
        (json!([{ "answered": { "status": [401, 440] } }]), 440, 0),
    ] {
        let bench = bench(with(&json!({ "end": rules })));
        bench.opens("s1");
        let answer = Response::builder().status(status).body(Body::Empty).unwrap();
        bench.request("/x").by("DELETE").header("x-session", "s1").answered(answer);
        assert_eq!(bench.count(), left, "{rules} {status}");
    }
}

#[test]
fn the_request_that_closes_a_session_is_made_of_what_was_known_when_it_was_opened() {
    let rule = json!([{
        "when": "request.path == '/login'", "id": { "header": "x-session" }, "values": { "token": { "header": "x-token" } }
    }]);
    let close = json!({
        "upstream": "crm", "method": "POST", "path": "/{caller.company}/end?s={session.id}",
        "headers": { "x-token": "{secret.k}{session.token}", "content-type": "application/json" },
        "body": "{{\"id\":\"{session.id}\"}}", "secrets": { "k": "{k}" },
    });
    let settings = json!({
        "open": rule, "close": close, "maximum": { "app": 1 }, "on_maximum": "close-oldest"
    });
    let bench = bench(with(&settings));
    bench.opens("s\"1");

    bench.opens("s2");

    assert_eq!(*bench.asked.0.lock(), ["POST /acme/end?s=s%221 {k}t7 {\"id\":\"s\\\"1\"}"]);
    assert_eq!(bench.count(), 1);
    bench.request("/x").header("x-session", "s2").passes();
    bench.request("/x").header("x-session", "s\"1").is_refused_with("session-unknown");
}

#[test]
fn no_value_leads_to_another_path_when_a_session_is_closed() {
    let close = json!({ "upstream": "crm", "path": "/sessions/{session.id}/end?now" });
    let bench = bench(with(&json!({ "close": close })));
    let answer = Response::builder().header("x-session", "..").body(Body::Empty).unwrap();

    let refused = bench.request("/login").answered(answer);

    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status.as_u16(), &problem["field"]), (502, &json!("close.path")));
}

#[test]
fn what_cannot_be_closed_later_is_a_problem_that_names_the_field_and_no_value() {
    let close = json!({ "upstream": "crm", "path": "/end", "headers": { "x-token": "{session.token}" } });
    let bench = bench(with(&json!({ "close": close })));
    let answer = Response::builder().header("x-session", "s-secret").body(Body::Empty).unwrap();

    let refused = bench.request("/login").answered(answer);

    assert_eq!(refused.status, 502);
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((&problem["policy"], &problem["field"]), (&json!("sessions"), &json!("close.headers.x-token")));
    assert!(!problem.to_string().contains("s-secret"));
}

#[test]
fn who_cannot_be_counted_is_not_let_in() {
    let bench = bench(with(&json!({ "maximum": { "company": 1 } })));
    bench.policy.request().to("/login").is_refused_with("policy-failed");
    assert_eq!(bench.count(), 0);
}

#[test]
fn each_maximum_is_told_as_what_it_is() {
    for (maximum, told) in [
        (json!({ "app": 1 }), "Your app has 1 of 1 sessions."),
        (json!({ "company": 1 }), "Your company has 1 of 1 sessions."),
        (json!({ "all": 1 }), "There are 1 of 1 sessions."),
    ] {
        let bench = bench(with(&json!({ "maximum": maximum })));
        bench.opens("s1");
        let refused = bench.request("/login").is_refused_with("too-many-sessions");
        let problem: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(problem["detail"], format!("{told} Close one, or wait until one ends."));
        assert_eq!(problem["maximum"], 1);
    }
}

#[test]
fn mistakes_are_findings() {
    for (settings, finding) in [
        (json!({ "id": [] }), "/with/id: names no place"),
        (json!({ "open": [] }), "/with/open: has no rule"),
        (json!({ "name": "a b" }), "/with/name: has letters"),
        (json!({ "idle": "10ms" }), "/with/idle: must be a second at least"),
        (json!({ "idle": "2h", "limit": "1h" }), "/with/limit: must not be less than `idle`"),
        (json!({ "maximum": { "app": 0 } }), "/with/maximum/app: lets nobody in"),
        (json!({ "open": [{ "when": "x", "id": { "json": "$.a" } }] }), "/with/open/0/when: "),
        (json!({ "open": [{ "when": "true", "id": { "json": "a" } }] }), "/with/open/0/id: is no JSONPath"),
        (json!({ "open": [{ "when": "true", "id": { "xml": "a" } }] }), "/with/open/0/id: names nothing"),
        (
            json!({ "open": [{ "when": "true", "id": { "json": "$.a" }, "values": { "id": { "header": "a" } } }] }),
            "/with/open/0/values/id: has a name",
        ),
        (json!({ "end": [{ "answered": { "status": [99] } }] }), "/with/end/0/answered/status/0: is no status"),
        (json!({ "close": { "upstream": "crn", "path": "/" } }), "/with/close/upstream: there is no upstream `crn`"),
        (json!({ "close": { "upstream": "crm", "path": "x" } }), "/with/close/path: must begin"),
        (json!({ "close": { "upstream": "crm", "path": "/", "timeout": "1h" } }), "/with/close/timeout: is 1ms"),
        (json!({ "close": { "upstream": "crm", "path": "/{x}" } }), "/with/close/path: there is no `x`"),
    ] {
        let found = bench(with(&settings)).policy.finding();
        assert!(found.starts_with(finding), "{found} instead of {finding}");
    }
    let found = pipeline::tester::policy::<Sessions>(with(&json!({}))).finding();
    assert_eq!(found, "/with: needs a place where sessions are kept: configure a `store`");
}
