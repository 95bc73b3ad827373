//! What rules do with a request.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use waf::{
    Compatibility, Difference, Engine, Environment, Evaluation, Kept, Moment, Persistence, Phase, Place, Rules,
    Transaction, Verdict,
};

fn rules(content: &str) -> Arc<Rules> {
    let loaded = Rules::parse("rules.conf", content.as_bytes(), Compatibility::Strict);
    Arc::new(loaded.unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }))
}

fn get(rules: &Arc<Rules>, target: &str, evaluation: Evaluation) -> Transaction {
    let environment = Environment { evaluation, unique_id: "id".into(), ..Environment::default() };
    let mut transaction = Transaction::new(Arc::clone(rules), environment);
    transaction.connection("192.0.2.7:4000".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
    transaction.request_line(b"GET", target.as_bytes(), b"HTTP/1.1");
    transaction.request_header(b"Host", b"a.example:8080");
    transaction.request_header(b"Cookie", b"one=1; two=2");
    transaction
}

/// The ids that are logged when a request with these arguments is taken through the phases of requests.
fn logged(content: &str, target: &str) -> Vec<u64> {
    let rules = rules(content);
    let run = |evaluation| {
        let mut transaction = get(&rules, target, evaluation);
        transaction.phase(Phase::RequestHead);
        transaction.phase(Phase::RequestBody);
        ids(&transaction)
    };
    assert_eq!(run(Evaluation::Fast), run(Evaluation::Plain), "the shortcuts change what matches");
    run(Evaluation::Fast)
}

fn ids(transaction: &Transaction) -> Vec<u64> {
    let logged = transaction.matches().filter(waf::Matched::is_logged);
    logged.filter_map(|matched| matched.rule()?.id()).collect()
}

#[test]
fn a_rule_is_asked_about_each_value_after_its_transformations() {
    let content = r#"SecRule ARGS "@streq attack" "id:1,phase:2,pass,t:urlDecodeUni,t:lowercase""#;
    assert_eq!(logged(content, "/?a=ATT%2541CK&b=ok&c=attack"), [1, 1]);
}

#[test]
fn targets_are_selected_excluded_and_counted() {
    for (rule, count) in [
        (r#"SecRule ARGS|!ARGS:b "@rx ^x$" "id:1,phase:2,pass""#, 1),
        (r#"SecRule ARGS:/^[bc]$/ "@rx ^x$" "id:1,phase:2,pass""#, 2),
        (r#"SecRule &ARGS "@eq 3" "id:1,phase:2,pass""#, 1),
        (r#"SecRule &ARGS:nothing "@eq 0" "id:1,phase:2,pass""#, 1),
        (r#"SecRule ARGS:nothing "!@rx z" "id:1,phase:2,pass""#, 0),
        (r#"SecRule ARGS_NAMES "@within b c" "id:1,phase:2,pass""#, 2),
        (r#"SecRule REQUEST_COOKIES:TWO "@eq 2" "id:1,phase:2,pass""#, 1),
        (r#"SecRule REQUEST_HEADERS:host "@contains example" "id:1,phase:2,pass""#, 1),
        (r#"SecRule SERVER_NAME "@streq a.example" "id:1,phase:2,pass""#, 1),
        (r#"SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24,::1" "id:1,phase:2,pass""#, 1),
        (r#"SecRule QUERY_STRING "@beginsWith a=" "id:1,phase:2,pass""#, 1),
        (r#"SecRule REQUEST_BASENAME "@streq path" "id:1,phase:2,pass""#, 1),
    ] {
        assert_eq!(logged(rule, "/a/path?a=y&b=x&c=x").len(), count, "{rule}");
    }
}

#[test]
fn a_chain_matches_when_all_its_rules_do_and_its_effects_happen_as_it_goes() {
    let content = r#"
SecRule ARGS:a "@rx ^1$" "id:1,phase:2,pass,chain,setvar:tx.seen=+1"
SecRule ARGS:b "@rx ^1$" "setvar:tx.all=1"
SecRule TX:seen "@eq 1" "id:2,phase:2,pass"
SecRule TX:all "@eq 1" "id:3,phase:2,pass"
"#;
    assert_eq!(logged(content, "/?a=1&b=2"), [2]);
    assert_eq!(logged(content, "/?a=1&b=1"), [1, 2, 3]);
}

#[test]
fn later_rules_of_a_chain_see_what_matched_before() {
    let content = r#"
SecRule ARGS "@rx ^(\w+)=(\w+)$" "id:1,phase:2,pass,capture,chain"
SecRule TX:1 "@streq left" "chain"
SecRule MATCHED_VARS "@contains right" "chain"
SecRule MATCHED_VAR_NAME "@streq ARGS:q" "t:none"
"#;
    assert_eq!(logged(content, "/?q=left%3dright"), [1]);
    assert_eq!(logged(content, "/?p=left%3dright"), [] as [u64; 0]);
}

#[test]
fn rules_are_skipped_by_number_and_up_to_a_marker() {
    let content = r#"
SecRule ARGS:skip "@eq 1" "id:1,phase:2,pass,skip:2"
SecAction "id:2,phase:2,pass"
SecRule ARGS:skip "@rx ." "id:3,phase:2,pass,chain"
SecRule ARGS:skip "@rx ."
SecRule ARGS:skip "@eq 2" "id:4,phase:2,pass,skipAfter:END"
SecAction "id:5,phase:2,pass"
SecMarker END
SecAction "id:6,phase:2,pass"
"#;
    assert_eq!(logged(content, "/?skip=1"), [1, 5, 6]);
    assert_eq!(logged(content, "/?skip=2"), [2, 3, 4, 6]);
}

#[test]
fn variables_are_set_raised_lowered_and_unset() {
    let content = r#"
SecAction "id:1,phase:1,nolog,pass,setvar:tx.a=5,setvar:tx.a=+3,setvar:tx.a=-2,setvar:tx.b=%{tx.a}x,setvar:tx.c"
SecAction "id:2,phase:1,nolog,pass,setvar:!tx.c,setvar:tx.low=-1,setvar:tx.%{tx.b}=named"
SecRule TX:A "@eq 6" "id:3,phase:2,pass"
SecRule TX:b "@streq 6x" "id:4,phase:2,pass"
SecRule &TX:c "@eq 0" "id:5,phase:2,pass"
SecRule TX:low "@eq 0" "id:6,phase:2,pass"
SecRule TX:6x "@streq named" "id:7,phase:2,pass"
"#;
    assert_eq!(logged(content, "/"), [3, 4, 5, 6, 7]);
}

#[test]
fn multi_match_looks_at_each_stage_of_a_value() {
    let content = r#"SecRule ARGS:a "@rx A|b" "id:1,phase:2,pass,multiMatch,t:lowercase,t:removeWhitespace""#;
    assert_eq!(logged(content, "/?a=A+B"), [1, 1, 1]);
    assert_eq!(logged(content, "/?a=a"), [] as [u64; 0]);
}

#[test]
fn rules_and_targets_are_taken_away_while_loading_and_while_running() {
    let rule = |id: u32| format!("SecRule ARGS \"@rx x\" \"id:{id},phase:2,pass,msg:'m{id}',tag:'t{id}'\"\n");
    let all: String = (1..=4).map(rule).collect();
    for (before, after, left) in [
        ("", "SecRuleRemoveById 1 3-4", vec![2]),
        ("", "SecRuleRemoveByTag ^t[12]$", vec![3, 4]),
        ("", "SecRuleRemoveByMsg m4", vec![1, 2, 3]),
        ("", "SecRuleUpdateTargetById 2-3 !ARGS:a", vec![1, 4]),
        ("", "SecRuleUpdateTargetByTag t1 !ARGS:/^a/", vec![2, 3, 4]),
        ("", "SecRuleUpdateTargetById 1 REQUEST_METHOD ARGS", vec![2, 3, 4]),
        ("", "SecRuleUpdateActionById 1 nolog", vec![2, 3, 4]),
        ("ctl:ruleRemoveById=2", "", vec![1, 3, 4]),
        ("ctl:ruleRemoveById=2-3", "", vec![1, 4]),
        ("ctl:ruleRemoveByTag=t[34]", "", vec![1, 2]),
        ("ctl:ruleRemoveByMsg=m1", "", vec![2, 3, 4]),
        ("ctl:ruleRemoveTargetById=4;ARGS:a", "", vec![1, 2, 3]),
        ("ctl:ruleRemoveTargetByTag=t1;ARGS", "", vec![2, 3, 4]),
        ("ctl:ruleRemoveTargetByMsg=m2;ARGS:/A/", "", vec![1, 3, 4]),
        ("ctl:ruleEngine=Off", "", vec![]),
    ] {
        let first = if before.is_empty() { "nolog" } else { before };
        let content = format!("SecAction \"id:9,phase:1,pass,nolog,{first}\"\n{all}{after}\n");
        assert_eq!(logged(&content, "/?a=x"), left, "{before}{after}");
    }
}

#[test]
fn what_interrupts_does_so_unless_only_looking_on() {
    for (setting, verdict) in [("On", Some(418)), ("DetectionOnly", None), ("Off", None)] {
        let content = format!("SecRuleEngine {setting}\nSecRule ARGS \"@rx x\" \"id:1,phase:2,deny,status:418\"");
        let mut transaction = get(&rules(&content), "/?a=x", Evaluation::Fast);
        transaction.phase(Phase::RequestHead);
        let found = match transaction.phase(Phase::RequestBody) {
            Verdict::Pass => None,
            Verdict::Interrupt(intervention) => Some(intervention.status),
        };
        assert_eq!(found, verdict, "{setting}");
        assert_eq!(transaction.engine() == Engine::Off, ids(&transaction).is_empty());
    }
}

#[test]
fn block_is_what_the_default_action_says() {
    let content = "SecDefaultAction \"phase:2,deny,status:409,log\"\nSecRule ARGS x \"id:1,phase:2,block\"";
    let mut transaction = get(&rules(content), "/?a=x", Evaluation::Fast);
    let Verdict::Interrupt(intervention) = transaction.phase(Phase::RequestBody) else { panic!("not interrupted") };
    assert_eq!(intervention.status, 409);
}

#[test]
fn a_redirect_names_where_to_go() {
    let content = "SecRule ARGS x \"id:1,phase:2,redirect:'https://a.example/%{ARGS.a}'\"";
    let mut transaction = get(&rules(content), "/?a=x", Evaluation::Fast);
    let Verdict::Interrupt(intervention) = transaction.phase(Phase::RequestBody) else { panic!("not interrupted") };
    assert_eq!((intervention.status, intervention.redirect), (302, Some(b"https://a.example/x".to_vec())));
}

#[test]
fn allow_skips_the_phase_the_request_or_everything() {
    for (allow, expected) in [("allow:phase", vec![1, 3, 4]), ("allow:request", vec![1, 4]), ("allow", vec![1])] {
        let content = format!(
            "SecAction \"id:1,phase:1,{allow}\"\nSecAction \"id:2,phase:1,pass\"\nSecAction \"id:3,phase:2,pass\"\n\
             SecAction \"id:4,phase:3,pass\"\n"
        );
        let mut transaction = get(&rules(&content), "/", Evaluation::Fast);
        for phase in [Phase::RequestHead, Phase::RequestBody, Phase::ResponseHead] {
            transaction.phase(phase);
        }
        assert_eq!(ids(&transaction), expected, "{allow}");
    }
}

#[test]
fn a_body_is_read_by_its_type() {
    let content = r#"
SecRule REQUEST_HEADERS:Content-Type "@rx json" "id:1,phase:1,nolog,pass,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "@rx xml" "id:2,phase:1,nolog,pass,ctl:requestBodyProcessor=XML"
SecRule ARGS_POST|XML:/* "@rx attack" "id:3,phase:2,pass"
SecRule REQBODY_ERROR "@eq 1" "id:4,phase:2,pass"
SecRule FILES "@endsWith .php" "id:5,phase:2,pass"
SecRule FILES_COMBINED_SIZE "@eq 6" "id:6,phase:2,pass"
"#;
    let rules = rules(content);
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.php\"\r\n\r\nattack\r\n--b--\r\n";
    for (kind, body, expected) in [
        ("application/x-www-form-urlencoded", "a=1&b=att%61ck", vec![3]),
        ("application/json", "{\"a\":[\"attack\"]}", vec![3]),
        ("application/json", "{\"a\":", vec![4]),
        ("text/xml", "<a><b>attack</b></a>", vec![3]),
        ("text/xml", "<a><b>", vec![4]),
        ("multipart/form-data; boundary=b", multipart, vec![5, 6]),
    ] {
        let mut transaction = get(&rules, "/", Evaluation::Fast);
        transaction.request_header(b"Content-Type", kind.as_bytes());
        transaction.phase(Phase::RequestHead);
        transaction.request_body(Bytes::copy_from_slice(body.as_bytes()));
        transaction.phase(Phase::RequestBody);
        assert_eq!(ids(&transaction), expected, "{kind} {body}");
    }
}

#[test]
fn a_body_beyond_its_limit_is_refused_or_looked_at_in_part() {
    for (action, status, found) in [("Reject", Some(413), vec![]), ("ProcessPartial", None, vec![1])] {
        let content = format!(
            "SecRequestBodyLimit 4\nSecRequestBodyLimitAction {action}\nSecRule INBOUND_DATA_ERROR \"@eq 1\" \
             \"id:1,phase:2,pass\"\nSecRule ARGS:b \"@rx .\" \"id:2,phase:2,pass\""
        );
        let mut transaction = get(&rules(&content), "/", Evaluation::Fast);
        transaction.request_header(b"Content-Type", b"application/x-www-form-urlencoded");
        transaction.phase(Phase::RequestHead);
        transaction.request_body(Bytes::from_static(b"a=1&b=2"));
        let verdict = match transaction.phase(Phase::RequestBody) {
            Verdict::Pass => None,
            Verdict::Interrupt(intervention) => Some(intervention.status),
        };
        assert_eq!((verdict, ids(&transaction)), (status, found), "{action}");
    }
}

/// Keeps collections in memory.
#[derive(Default)]
struct Memory(Mutex<Vec<(Vec<u8>, Kept)>>);

impl Persistence for Memory {
    fn load(&self, place: &Place<'_>) -> Vec<Kept> {
        self.0.lock().iter().filter(|(key, _)| key == place.key).map(|(_, kept)| kept.clone()).collect()
    }

    fn store(&self, place: &Place<'_>, changes: &[Difference], _: u64) {
        let mut all = self.0.lock();
        for change in changes {
            let Difference::Added { name, by } = change else { continue };
            let old = all.iter().position(|(key, kept)| key == place.key && kept.name == *name);
            let number = old.map_or(0, |old| String::from_utf8(all.remove(old).1.value).unwrap().parse().unwrap());
            let value = (number + by).to_string().into_bytes();
            all.push((place.key.to_vec(), Kept { name: name.clone(), value, expires: None, changed: 0 }));
        }
    }
}

#[test]
fn collections_outlive_a_transaction_by_how_they_changed() {
    let content = r#"
SecAction "id:1,phase:1,nolog,pass,initcol:ip=%{REMOTE_ADDR},setvar:ip.seen=+1"
SecRule IP:seen "@gt 2" "id:2,phase:1,pass"
"#;
    let rules = rules(content);
    let memory: Arc<Memory> = Arc::default();
    let run = || {
        let persistence: Arc<dyn Persistence> = Arc::<Memory>::clone(&memory);
        let environment = Environment {
            now: Moment { seconds: 1000, micros: 0, offset: 0 },
            persistence: Some(persistence),
            ..Environment::default()
        };
        let mut transaction = Transaction::new(Arc::clone(&rules), environment);
        transaction.connection("192.0.2.7:4000".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
        transaction.phase(Phase::RequestHead);
        transaction.finish();
        ids(&transaction)
    };
    assert_eq!([run(), run(), run()], [vec![], vec![], vec![2]]);
}

#[test]
fn a_match_says_where_and_on_what_it_was() {
    let content = r#"SecRule ARGS "@rx ^b" "id:1,phase:2,pass,t:lowercase,msg:'found %{MATCHED_VAR}',logdata:'in %{MATCHED_VAR_NAME}'""#;
    let mut transaction = get(&rules(content), "/?a=Bad", Evaluation::Fast);
    transaction.phase(Phase::RequestBody);
    let matched = transaction.matches().next().unwrap();
    assert_eq!((matched.original(), matched.value()), (&b"Bad"[..], &b"bad"[..]));
    assert_eq!((matched.message(), matched.data()), (Some(&b"found bad"[..]), Some(&b"in ARGS:a"[..])));
    assert_eq!(matched.rule().unwrap().transformations()[0].name(), "lowercase");
    assert_eq!(matched.rule().unwrap().operator(), "@rx ^b");
}

#[test]
fn what_rules_set_keeps_its_signs_in_an_expression_as_in_modsecurity_2_9() {
    for (set, matching, other) in [
        ("x|y", "y", "x|y"),
        ("x*", "xxx", "x*"),
        ("^x$", "x", "^x$"),
        ("x{2}", "xx", "x{2}"),
        ("x.y", "x.y", "xzy"),
        ("x+", "x%2b", "xx"),
        ("[xy]", "[xy]", "x"),
        ("(x)", "(x)", "x"),
        ("x?y", "x?y", "y"),
        ("x/y", "x/y", "xy"),
        ("x-y", "x-y", "xy"),
    ] {
        let content = format!(
            "SecAction \"id:1,phase:1,nolog,pass,setvar:'tx.a={set}'\"\n\
             SecRule ARGS:q \"@rx ^(?:%{{tx.a}})$\" \"id:2,phase:1,pass\""
        );
        assert_eq!(logged(&content, &format!("/?q={matching}")), [2], "{set}");
        assert_eq!(logged(&content, &format!("/?q={other}")), [0; 0], "{set}");
    }
}

#[test]
fn what_a_client_sends_stands_for_itself_in_an_expression() {
    let direct = "SecRule ARGS:q \"@rx ^%{args.a}$\" \"id:2,phase:1,pass\"";
    let kept = "SecRule ARGS:a \"@rx .*\" \"id:1,phase:1,nolog,pass,setvar:'tx.a=%{args.a}'\"\n\
                SecRule ARGS:q \"@rx ^%{tx.a}$\" \"id:2,phase:1,pass\"";
    let captured = "SecRule ARGS:a \"@rx .*\" \"id:1,phase:1,pass,capture,chain\"\n\
                    SecRule ARGS:q \"@rx ^%{tx.0}$\"";
    for content in [direct, kept] {
        assert_eq!(logged(content, "/?a=x|y&q=y"), [0; 0], "{content}");
        assert_eq!(logged(content, "/?a=x|y&q=x|y"), [2], "{content}");
    }
    assert_eq!(logged(captured, "/?a=|&q=y"), [0; 0]);
    assert_eq!(logged(captured, "/?a=|&q=|"), [1]);
}
