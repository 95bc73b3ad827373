//! Attacks that stand where a reader may not look, and what nobody could look into.

use std::fmt::Write;

use super::*;

/// Settings with the rules that come with the gateway, and with others that know nothing of what could not be read.
fn both() -> [(PolicyUnderTest<Waf>, tempfile::TempDir); 2] {
    let attack = "SecRule ARGS|REQUEST_COOKIES|XML:/*|XML://@* \"@rx sleep\" \"id:1,phase:2,deny,status:403\"";
    [(own(), tempfile::tempdir().unwrap()), with_rules(attack, &json!({}))]
}

fn status_of(waf: &PolicyUnderTest<Waf>, kind: &str, body: &[u8]) -> u16 {
    let request = waf.request().by("POST").header("user-agent", BROWSER).header("content-type", kind);
    request.body(body.to_vec()).answered(Response::new(Body::Empty)).status.as_u16()
}

const SQL: &str = "1'%20or%20sleep(5)--%20";

#[test]
fn more_arguments_than_are_looked_at_are_refused_wherever_they_stand() {
    for (waf, _folder) in both() {
        let many = "a&".repeat(1000);
        let target = format!("/?{many}q={SQL}");
        let refused = waf.request().to(&target).answered(Response::new(Body::Empty));
        assert_eq!(refused.status, 400);
        // A body that is too long, and cut off for that, does not excuse it.
        let request = waf.request().by("POST").to(&target).header("content-type", "application/json");
        let long = format!("[\"{}\"]", "x".repeat(131_080));
        assert_eq!(request.body(long).answered(Response::new(Body::Empty)).status, 400);
        assert_eq!(status_of(&waf, "application/x-www-form-urlencoded", format!("{many}q={SQL}").as_bytes()), 400);
        let json = format!("[{}\"1' or sleep(5)-- \"]", "1,".repeat(1000));
        assert_eq!(status_of(&waf, "application/json", json.as_bytes()), 400);
        let ordinary = waf.request().to(&format!("/?{}", "a&".repeat(900))).answered(Response::new(Body::Empty));
        assert_eq!(ordinary.status, 200);
    }
}

#[test]
fn however_many_cookies_there_are_each_is_looked_at() {
    for (waf, _folder) in both() {
        let cookies = format!("{}q=../../../../etc/passwd?sleep", "a=1; ".repeat(1500));
        waf.request().header("cookie", &cookies).is_refused_with("request-blocked");
        waf.request().header("cookie", &"a=1; ".repeat(1500)).passes();
    }
}

#[test]
fn bodies_that_nobody_could_look_into_are_refused_whatever_the_rules() {
    let part = "--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n1' or sleep(5)-- \r\n";
    let spaced = "--b\r\nContent-Disposition: form-data; name=\"q\"\r\nContent-Disposition : form-data; name=\"r\"\r\n\r\nx\r\n--b--\r\n";
    for (waf, _folder) in both() {
        for (kind, body) in [
            ("application/json", "{\"q\": \"1' or sleep(5)-- \""),
            ("multipart/form-data; boundary=b", part),
            ("multipart/form-data; boundary=b", spaced),
            ("multipart/form-data; boundary=b", &format!("x\r\n{part}--b--\r\n").replace("sleep", "wake")),
            ("text/xml", "<a><b x=1/><c>1' or sleep(5)-- </c></a>"),
            ("text/xml", "<!DOCTYPE a [<!ENTITY x \"1' or sleep(5)-- -\">]><a>&x;</a>"),
            ("text/xml", "<!DOCTYPE a [<!ATTLIST a b CDATA \"1' or sleep(5)-- -\">]><a/>"),
        ] {
            assert!(matches!(status_of(&waf, kind, body.as_bytes()), 400 | 403), "{kind} {body}");
        }
        for kind in ["application/json", "text/xml", "application/x-www-form-urlencoded"] {
            waf.request().header("user-agent", BROWSER).header("content-type", kind).passes();
        }
        let marked = "\u{FEFF}{\"q\": \"1\\u0027 or sleep(5)-- \"}";
        assert_eq!(status_of(&waf, "application/json", marked.as_bytes()), 403);
        assert_eq!(status_of(&waf, "application/json", "\u{FEFF}{\"q\": \"hello\"}".as_bytes()), 200);
        assert_eq!(status_of(&waf, "multipart/form-data; boundary=b", spaced.replace("on :", "on-x:").as_bytes()), 200);
    }
}

#[test]
fn whoever_has_rules_about_unreadable_bodies_or_excludes_ours_decides_alone() {
    let broken = b"{\"q\": ";
    let rules = "SecRule REQBODY_ERROR \"!@eq 0\" \"id:200002,phase:2,pass\"\nSecRuleRemoveById 200002";
    let excluded = json!({"exclusions": [{"rules": ["77112-77116"]}]});
    for (rules, more, status) in [
        (rules, json!({}), 200),
        ("SecAction \"id:1,phase:1,pass\"", json!({}), 400),
        ("SecAction \"id:1,phase:1,pass\"", excluded, 200),
        ("SecAction \"id:1,phase:1,pass,ctl:ruleRemoveById=77112\"", json!({}), 200),
        ("SecAction \"id:1,phase:1,pass\"", json!({"directives": "SecRuleRemoveById 77112"}), 200),
        ("SecAction \"id:1,phase:1,pass\"", json!({"mode": "detect"}), 200),
    ] {
        let (waf, _folder) = with_rules(rules, &more);
        assert_eq!(status_of(&waf, "application/json", broken), status, "{rules} {more}");
    }
    let limit = json!({"request_body": {"limit": "1KiB", "beyond": "pass"}});
    let (waf, _folder) = with_rules("SecAction \"id:1,phase:1,pass\"", &limit);
    let mut long = String::from("[");
    for number in 0..500 {
        write!(long, "{number},").unwrap();
    }
    assert_eq!(status_of(&waf, "application/json", long.as_bytes()), 200, "a body that was cut off is not to blame");
}

#[test]
fn attributes_and_texts_of_xml_are_looked_at_one_by_one() {
    let waf = own();
    for body in [
        "<a b=\"1' or sleep(5)-- \"/>",
        "<a><b>hello</b><c>http://169.254.169.254/latest/</c></a>",
        "<a><b>hello</b><c d='file:///etc/hostname'/></a>",
        "<a>1' or <b/>'1'='1</a>",
    ] {
        assert_eq!(status_of(&waf, "text/xml", body.as_bytes()), 403, "{body}");
    }
    let ordinary = "<order id='7' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'><to>Tom's</to></order>";
    assert_eq!(status_of(&waf, "text/xml", ordinary.as_bytes()), 200);
}

#[test]
fn a_control_character_hides_no_text_and_pictures_are_no_text() {
    let waf = own();
    for body in ["1' or sleep(5)-- \u{1}", "\u{1}<script>alert(1)</script>", "\u{0}<script>x"] {
        assert_eq!(status_of(&waf, "text/plain", body.as_bytes()), 403, "{body:?}");
    }
    let picture: Vec<u8> = (0..=255).cycle().take(5000).chain(*b"<script>x").collect();
    assert_eq!(status_of(&waf, "image/png", &picture), 200);
}
