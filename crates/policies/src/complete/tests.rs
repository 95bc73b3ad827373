use pipeline::Caller;
use pipeline::tester::{Judged, PolicyUnderTest, policy};
use serde_json::{Value, json};

use super::*;

fn acme() -> Caller {
    Caller { by: "api-key", credential: "k1".into(), company: Some("acme".into()), ..Caller::default() }
}

fn post<'a>(complete: &'a PolicyUnderTest<Complete>, content_type: &str, body: &'static str) -> Judged<'a> {
    complete.request().by("POST").header("content-type", content_type).body(body).called_by(acme())
}

/// The problem with which a request is refused.
fn refusal(judged: Judged<'_>, code: &str) -> Value {
    serde_json::from_slice(&judged.is_refused_with(code).body).unwrap()
}

#[test]
fn a_value_of_the_caller_s_is_kept_overridden_or_refused() {
    for (on_present, sent, expected) in [
        ("keep", Some("mine"), Some("mine")),
        ("keep", None, Some("acme")),
        ("override", Some("mine"), Some("acme")),
        ("override", None, Some("acme")),
        ("refuse", None, Some("acme")),
        ("refuse", Some("mine"), None),
    ] {
        let complete = policy::<Complete>(json!({
            "headers": { "x-company": { "value": "{caller.company}", "on_present": on_present } },
            "query": { "company": { "value": "{caller.company}", "on_present": on_present } },
        }));
        let ask = |header: bool, query: bool| {
            let mut request = complete.request().called_by(acme()).to("/a?b=1");
            if let Some(sent) = sent.filter(|_| header) {
                request = request.header("x-company", sent);
            }
            match sent.filter(|_| query) {
                Some(sent) => request.to(&format!("/a?b=1&company={sent}")),
                None => request,
            }
        };
        if let Some(expected) = expected {
            let passed = ask(true, true).passes();
            assert_eq!(passed.headers()["x-company"], expected, "{on_present} {sent:?}");
            assert_eq!(passed.head.uri.to_string(), format!("/a?b=1&company={expected}"));
        } else {
            assert_eq!(refusal(ask(true, false), "value-not-taken")["field"], "headers.x-company");
            assert_eq!(refusal(ask(false, true), "value-not-taken")["field"], "query.company");
        }
    }
}

#[test]
fn what_cannot_be_made_names_policy_and_field_and_nothing_else() {
    let complete = policy::<Complete>(json!({
        "headers": { "x-account": "{secret.token}-{caller.app}" }, "secrets": { "token": "hidden{" },
    }));
    let problem = refusal(complete.request().called_by(acme()), "completion-failed");
    assert_eq!(
        problem,
        json!({
            "type": "/problems/completion-failed", "title": COMPLETION_FAILED.title, "status": 502,
            "detail": "The policy `complete` has no value for `headers.x-account`.",
            "policy": "complete", "field": "headers.x-account",
        })
    );
    let path = policy::<Complete>(json!({ "path": "/v2/{caller.company}" }));
    assert_eq!(refusal(path.request(), "completion-failed")["field"], "path");
}

#[test]
fn what_may_be_missing_is_left_out_and_the_caller_s_own_with_it() {
    let complete = policy::<Complete>(json!({ "headers": { "x-app": "{caller.app}" }, "on_missing": "skip" }));
    let passed = complete.request().header("x-app", "forged").called_by(acme()).passes();
    assert!(passed.headers().is_empty());
}

#[test]
fn a_secret_is_set_as_it_is_written() {
    let complete = policy::<Complete>(json!({
        "headers": { "authorization": "Bearer {secret.token}" }, "secrets": { "token": "a{b}c" },
    }));
    assert_eq!(complete.request().passes().headers()["authorization"], "Bearer a{b}c");
}

#[test]
fn a_path_is_made_for_the_backend_and_leads_nowhere_else() {
    let complete = policy::<Complete>(json!({ "path": "/v2/{caller.company}/orders" }));
    let path = |company: &str| {
        complete.request().to("/orders?a=1").called_by(Caller { company: Some(company.into()), ..acme() })
    };
    assert_eq!(path("a/b").passes().head.uri, "/v2/a%2Fb/orders?a=1");
    path("..").is_refused_with("rewrite-impossible");
}

#[test]
fn members_are_set_in_bodies_of_each_type_and_the_rest_stays() {
    let with = json!({
        "form": { "company": "{caller.company}" },
        "json": { "/order/company": "{caller.company}", "/limit": { "value": "5.0", "as": "json" } },
        "xml": { "order/company": "{caller.company}" },
    });
    let complete = policy::<Complete>(with.clone());
    let compiled = serde_json::from_value::<Config>(with).unwrap().compile(&Pointer::default()).unwrap();
    for (content_type, body, expected) in [
        ("application/x-www-form-urlencoded", "a=%41&company=me", "a=%41&company=acme"),
        ("application/json", r#"{"z": 1.10, "limit":9 }"#, r#"{"z": 1.10, "limit":5.0,"order":{"company":"acme"} }"#),
        ("application/vnd.x+json; charset=utf-8", "{}", r#"{"limit":5.0,"order":{"company":"acme"}}"#),
        ("Text/XML", "<order> <x/></order>", "<order> <x/><company>acme</company></order>"),
    ] {
        let mut exchange = post(&complete, content_type, "").passes();
        let mut body = Bytes::from(body);
        exchange.head.headers.insert("content-digest", HeaderValue::from_static("sha-256=:x:"));
        assert!(matches!(compiled.on_request_body(&mut exchange, &mut body), Ok(Flow::Next)));
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        assert!(!exchange.headers().contains_key("content-digest"), "the digest is of another body");
    }
}

#[test]
fn a_body_that_cannot_be_completed_is_refused_unless_others_may_pass() {
    let with = json!({ "json": { "/a": "x" } });
    let complete = policy::<Complete>(with.clone());
    for (content_type, body, code) in [
        ("application/json", "[]", "body-unfit"),
        ("application/json", "{\"a\":", "body-unfit"),
        ("application/xml", "<a/>", "body-type-unfit"),
        ("text/plain", "{}", "body-type-unfit"),
    ] {
        post(&complete, content_type, body).is_refused_with(code);
    }
    post(&complete, "application/json", "{}").header("content-encoding", "gzip").is_refused_with("body-type-unfit");
    post(&complete, "application/json", "{}").header("content-type", "text/plain").is_refused_with("body-type-unfit");

    let mut with = with;
    with["other_bodies"] = "pass".into();
    let passing = policy::<Complete>(with);
    post(&passing, "text/plain", "{}").passes();
    post(&passing, "application/json", "[]").is_refused_with("body-unfit");
}

#[test]
fn a_value_that_is_no_json_is_never_written_as_json() {
    let complete =
        policy::<Complete>(json!({ "json": { "/a": { "value": "{request.headers.x-limit}", "as": "json" } } }));
    let post = |limit: &str| post(&complete, "application/json", "{}").header("x-limit", limit);
    post("[1, 2]").passes();
    assert_eq!(refusal(post("1,\"admin\":true"), "completion-failed")["field"], "json./a");
}

#[test]
fn mistakes_are_findings() {
    for (settings, expected) in [
        (json!({}), "/with: sets nothing"),
        (
            json!({ "headers": { "x": "{caller.compny}" } }),
            "/with/headers/x: there is no `caller.compny`; did you mean",
        ),
        (json!({ "headers": { "content-length": "1" } }), "/with/headers/content-length: `content-length` cannot"),
        (json!({ "headers": { "x": "a\r\nb" } }), "/with/headers/x: cannot stand in a header"),
        (json!({ "headers": { "x": "{request.path}\u{0}" } }), "/with/headers/x: cannot stand in a header"),
        (json!({ "query": { "x": "{secret.tokn}" }, "secrets": { "token": "T" } }), "did you mean `token`?"),
        (json!({ "query": { "x": "{secret.token}" } }), "there is no secret `token`; write it into `secrets`"),
        (json!({ "path": "v2" }), "/with/path: must begin with `/`"),
        (json!({ "json": { "order": "x" } }), "/with/json/order: `order` is no JSON Pointer"),
        (json!({ "json": { "/a": { "value": "{{", "as": "json" } } }), "is no JSON: EOF"),
        (json!({ "json": { "/a": { "value": "[{product}]", "as": "json" } } }), "must be one attribute alone"),
        (json!({ "xml": { "order": "x" } }), "/with/xml/order: names nothing within a root element"),
        (json!({ "form": { "": "x" } }), "is no name"),
    ] {
        let finding = policy::<Complete>(settings).finding();
        assert!(finding.contains(expected), "{finding}");
    }
}
