//! What the audit log has of an exchange, and what it must not have.

use super::*;

/// The record of an exchange, as JSON and in sections.
fn record(request: pipeline::tester::Judged<'_>, answer: Response<Body>) -> (String, String) {
    let exchange = request.ended(answer);
    let audited = exchange.audited.get().unwrap();
    let (mut json, mut sections) = (Vec::new(), Vec::new());
    audited.json(&mut json);
    audited.sections(&mut sections);
    (String::from_utf8(json).unwrap(), String::from_utf8(sections).unwrap())
}

fn html(body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(body.as_bytes())));
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
    response
}

#[test]
fn no_secret_is_told_wherever_rules_put_it() {
    let telling = r#"SecAction "id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On"
SecRule REQUEST_BODY|QUERY_STRING|REQUEST_LINE|FULL_REQUEST|XML:/*|ARGS "@rx S3CRE[T](.*)" "id:2,phase:2,pass,capture,msg:'m %{TX.1} %{MATCHED_VAR}',logdata:'%{MATCHED_VAR_NAME}=%{MATCHED_VAR} %{TX.0} %{TX.1}'"
SecAction "id:3,phase:2,pass,msg:'q %{QUERY_STRING}',logdata:'%{QUERY_STRING} %{ARGS.token} %{REQUEST_HEADERS.authorization} %{REQUEST_COOKIES.sid}'"
"#;
    let (waf, _folder) = with_rules(telling, &json!({"mode": "detect"}));
    for (kind, body) in [
        ("application/x-www-form-urlencoded", "password=S3CRET-in-body&x=\"y\""),
        ("application/x-www-form-urlencoded", "password=S3CRET-in-body&again=S3CRET-in-body"),
        ("application/json", r#"{"user": {"password": "S3CRET-in-body"}}"#),
        ("text/xml", "<a><password>S3CRET-in-body</password></a>"),
        ("text/plain", "password=S3CRET-in-body&x=\"y\""),
    ] {
        let request = waf.request().by("POST").to("/?q=open&token=S3CRET-in-query").header("content-type", kind);
        let request =
            request.header("authorization", "Bearer S3CRET-in-header").header("cookie", "sid=S3CRET-in-cookie");
        let (json, sections) = record(request.body(body), Response::new(Body::Empty));
        for text in [&json, &sections] {
            assert!(!text.contains("S3CRET") && !text.contains("-in-"), "{kind} {body}: {text}");
        }
        assert!(json.contains("q=open"), "{json}");
    }
}

#[test]
fn of_a_body_there_is_what_a_rule_says_of_it_and_no_more() {
    let content = "SecRule RESPONSE_BODY \"@rx ORA-[0-9]+\" \"id:1,phase:4,pass,capture,logdata:'%{TX.0}'\"";
    let (waf, _folder) = with_rules(content, &json!({"response_body": {"inspect": "on"}}));

    let (json, sections) = record(waf.request(), html("<html>Ada Lovelace: ORA-01017"));

    assert!(!json.contains("Ada") && !sections.contains("Ada"), "{json} {sections}");
    assert!(json.contains(r#""data":"ORA-01017","target":"RESPONSE_BODY","tags""#), "{json}");
    assert!(sections.contains("Operator @rx ORA-[0-9]+ matched at RESPONSE_BODY. ["), "{sections}");
}

#[test]
fn what_a_limit_refused_has_a_reason() {
    let answers = json!({"inspect": "on", "limit": "8B", "beyond": "refuse"});
    let more = json!({"request_body": {"limit": "8B", "beyond": "refuse"}, "response_body": answers});
    let (waf, _folder) = with_rules("SecAction \"id:1,phase:1,pass,nolog\"", &more);
    let form = waf.request().by("POST").header("content-type", "application/x-www-form-urlencoded");

    let refused = record(form.body("a=123456789"), html("a"));
    let answer = record(waf.request(), html("<html>123456789"));

    for ((json, sections), what, place) in
        [(refused, "the body", "code 413 (phase 2)"), (answer, "the answer", "code 502 (phase 4)")]
    {
        let reason = format!("{what} is larger than can be inspected");
        assert!(json.contains(&format!(r#""reason":"{reason}""#)), "{json}");
        assert!(sections.contains(&format!("Message: Access denied with {place}. Reason: {reason}.\n")), "{sections}");
    }
}
