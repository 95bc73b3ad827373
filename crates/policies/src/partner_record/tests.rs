use http::Response;
use pipeline::tester::{PolicyUnderTest, policy_with};
use pipeline::{Caller, Services};
use serde_json::{Value, json};

use super::*;

/// A source that answers every path like this, and remembers what it was asked.
struct Source {
    status: u16,
    body: &'static str,
    asked: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Backends for Source {
    fn named(&self, name: &str) -> Option<Arc<dyn Backend>> {
        let Self { status, body, asked } = self;
        (name == "crm").then(|| Arc::new(Self { status: *status, body, asked: asked.clone() }) as Arc<dyn Backend>)
    }

    fn names(&self) -> Vec<String> {
        vec!["crm".to_owned()]
    }
}

impl Backend for Source {
    fn ask(&self, request: Request<Bytes>, _: usize) -> BoxFuture<'static, Result<Response<Bytes>, String>> {
        self.asked.lock().push(request);
        let answer = Response::builder().status(self.status).body(Bytes::from(self.body)).unwrap();
        Box::pin(async move { Ok(answer) })
    }
}

struct Here;

impl Background for Here {
    #[expect(clippy::disallowed_methods, reason = "a test may start tasks")]
    fn run(&self, work: BoxFuture<'static, ()>) {
        drop(tokio::spawn(work));
    }
}

pub(super) type Asked = Arc<Mutex<Vec<Request<Bytes>>>>;

fn record(status: u16, body: &'static str, more: &Value) -> (PolicyUnderTest<PartnerRecord>, Asked) {
    record_with(status, body, more, Services::default())
}

pub(super) fn record_with(
    status: u16,
    body: &'static str,
    more: &Value,
    services: Services,
) -> (PolicyUnderTest<PartnerRecord>, Asked) {
    let mut with = json!({ "upstream": "crm", "path": "/p/{caller.company}?full", "members": { "tier": "$.tier" } });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let asked = Asked::default();
    let source = Source { status, body, asked: asked.clone() };
    let services = services.with::<dyn Backends>(Arc::new(source)).with::<dyn Background>(Arc::new(Here));
    (policy_with(with, services), asked)
}

pub(super) fn acme() -> Caller {
    Caller { company: Some("a/cme".into()), ..Caller::default() }
}

#[test]
fn the_record_of_a_caller_is_fetched_once_and_its_members_are_known() {
    let with = json!({ "headers": { "authorization": "Bearer {secret.t}" }, "secrets": { "t": "x{y" } });
    let (record, asked) = record(200, r#"{"tier":"gold"}"#, &with);
    for _ in 0..3 {
        let passed = record.request().called_by(acme()).passes();
        assert_eq!(passed.record.unwrap().member("tier"), Some("gold"));
    }
    let asked = asked.lock();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].uri(), "/p/a%2Fcme?full");
    assert_eq!(asked[0].headers()["authorization"], "Bearer x{y");
}

#[test]
fn a_caller_without_a_record_is_refused_and_a_source_in_trouble_is_no_refusal() {
    for (status, body, code) in [
        (404, "", "record-unknown"),
        (410, "", "record-unknown"),
        (500, "", "record-unavailable"),
        (200, "<html>", "record-unavailable"),
        (200, "{\"tier\":null}", "record-unavailable"),
        (204, "", "record-unavailable"),
    ] {
        let (record, _) = record(status, body, &json!({}));
        record.request().called_by(acme()).is_refused_with(code);
    }
}

#[test]
fn what_cannot_be_asked_for_names_policy_and_field() {
    let (record, asked) = record(200, "{}", &json!({}));
    let answer = record.request().is_refused_with("record-not-asked");
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&problem["policy"], &problem["field"]), (&"partner-record".into(), &"path".into()));
    assert!(asked.lock().is_empty());
}

#[test]
fn a_source_is_looked_after_for_as_long_as_anything_is_served_by_it() {
    let sources = Arc::new(Sources::default());
    let compiled = |settings: Value| {
        let services = Services::default().with(sources.clone());
        record_with(200, r#"{"tier":"gold"}"#, &settings, services).0
    };
    let serving = compiled(json!({}));
    serving.request().called_by(acme()).passes();
    // At the same place, as after a reload with other settings; what is open has the snapshot that it began with.
    let next = compiled(json!({ "ttl": "1m" }));
    assert_eq!((sources.all().len(), sources.readings().len()), (2, 1));

    // As with a configuration that is not taken in the end.
    drop(next);
    let [(_, reading)] = &sources.readings()[..] else { panic!("it is looked after no more") };
    assert_eq!(reading.entries, 1);
    drop(serving);
    assert!(sources.all().is_empty());
}

#[test]
fn no_value_of_a_caller_leads_to_another_path_of_the_source() {
    for path in ["/p/{caller.company}", "/p/{caller.company}?full", "/p/{caller.company}/x"] {
        let (record, asked) = record(200, r#"{"tier":"gold"}"#, &json!({ "path": path }));
        for company in ["..", ".", "../x"] {
            let caller = Caller { company: Some(company.into()), ..Caller::default() };
            record.request().called_by(caller).is_refused_with("record-not-asked");
        }
        assert!(asked.lock().is_empty());
        record.request().called_by(Caller { company: Some("x/y".into()), ..Caller::default() }).passes();
        assert!(asked.lock()[0].uri().path().contains("x%2Fy"));
    }
}

#[test]
fn mistakes_are_findings() {
    for (settings, expected) in [
        (json!({ "upstream": "cmr" }), "/with/upstream: there is no upstream `cmr`; did you mean `crm`?"),
        (json!({ "path": "p" }), "/with/path: must begin with `/`"),
        (json!({ "path": "/{x}" }), "/with/path: there is no `x`"),
        (json!({ "ttl": "0s" }), "/with/ttl: is no time at all"),
        (json!({ "ttl": "1m", "refresh_ahead": "1m" }), "/with/refresh_ahead: must be less than `ttl`"),
        (json!({ "members": {} }), "/with/members: names nothing"),
        (json!({ "headers": { "te": "x" } }), "/with/headers/te: `te` cannot be changed"),
    ] {
        let finding = record(200, "{}", &settings).0.finding();
        assert!(finding.contains(expected), "{finding}");
    }
}
