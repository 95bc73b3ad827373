//! What rule files can say, and what is said of those that say it wrong.

use std::sync::Arc;

use waf::{Compatibility, Environment, Phase, Rules, Transaction, Verdict};

fn findings(content: &str) -> Vec<String> {
    match Rules::parse("rules.conf", content.as_bytes(), Compatibility::Strict) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn ten_mistakes_are_ten_findings_each_with_its_place() {
    let content = r#"SecRuleEngin On
SecRule ARGZ "@rx a" "id:1,pass"
SecRule ARGS "@rxx a" "id:2,pass"
SecRule ARGS "@rx (" "id:3,pass"
SecRule ARGS "@rx a" "id:4,pas"
SecRule ARGS "@rx a" "pass"
SecRule ARGS "@rx a" "id:4,pass,t:lowercas"
SecRule ARGS "@rx a" "id:6,phase:9"
SecRule ARGS "@rx a" "id:7,ctl:ruleEngine=Maybe"
SecRule ARGS "@pmFromFile none.data" "id:8,pass"
"#;
    let expected = [
        "rules.conf:1:1: there is no directive SecRuleEngin: is it SecRuleEngine?",
        "rules.conf:2:9: there is no variable ARGZ: is it ARGS?",
        "rules.conf:3:16: there is no operator @rxx: is it @rx?",
        "rules.conf:4:19: this expression cannot be read",
        "rules.conf:5:28: there is no action pas: is it pass?",
        "rules.conf:6:1: has no id",
        "rules.conf:7:1: another rule has the id 4 already",
        "rules.conf:8:34: there are phases 1 to 5",
        "rules.conf:9:43: must be On, Off or DetectionOnly",
        "rules.conf:10:27: none.data cannot be read",
    ];
    let found = findings(content);
    // The seventh line has two mistakes.
    assert!(
        found
            .iter()
            .any(|finding| finding.contains("rules.conf:7:35: there is no transformation lowercas: is it lowercase?"))
    );
    for expected in expected {
        assert!(
            found.iter().any(|finding| finding.starts_with(expected)),
            "{expected}\nis not in\n{}",
            found.join("\n")
        );
    }
    assert_eq!(found.len(), 11);
}

#[test]
fn a_chain_with_one_unknown_member_does_not_load() {
    let found = findings("SecRule ARGS a \"id:1,chain\"\nSecRule NOTHING b \"chain\"\nSecRule ARGS c");
    assert_eq!(found, ["rules.conf:2:9: there is no variable NOTHING: see the list in the reference"]);
}

#[test]
fn a_chain_that_has_no_end_is_found() {
    for content in ["SecRule ARGS a \"id:1,chain\"", "SecRule ARGS a \"id:1,chain\"\nSecMarker b"] {
        assert_eq!(
            findings(content),
            ["rules.conf:1:1: the chain goes on, and no rule follows: take `chain` out, or write the rule"]
        );
    }
}

#[test]
fn what_belongs_to_a_chain_is_written_at_its_head() {
    let found = findings("SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"deny\"");
    assert_eq!(
        found,
        ["rules.conf:2:17: what interrupts belongs to the whole chain: write it in the first rule of the chain"]
    );
}

#[test]
fn what_can_never_make_sense_is_refused_with_a_reason_or_left_out() {
    let content = "SecRule ARGS \"@inspectFile /bin/true\" \"id:1,pass\"\nSecRule ARGS a \"id:2,pass,exec:/bin/true\"\n\
                   SecRuleScript a.lua \"id:3\"";
    let found = findings(content);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|finding| finding.contains("done here")), "{found:?}");
    let lenient = Rules::parse("rules.conf", content.as_bytes(), Compatibility::Lenient).unwrap();
    assert_eq!(lenient.len(), 2);
    assert_eq!(lenient.notes().len(), 3);
}

#[test]
fn the_configuration_that_modsecurity_recommends_loads_with_notes() {
    let content = r#"
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
     "id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRequestBodyLimit 13107200
SecRequestBodyInMemoryLimit 131072
SecRequestBodyLimitAction Reject
SecRule REQBODY_ERROR "!@eq 0" \
"id:'200002', phase:2,t:none,log,deny,status:400,msg:'Failed to parse request body.',logdata:'%{reqbody_error_msg}',severity:2"
SecRule TX:/^MSC_/ "!@streq 0" \
        "id:'200005',phase:2,t:none,deny,msg:'ModSecurity internal error flagged: %{MATCHED_VAR_NAME}'"
SecPcreMatchLimit 100000
SecTmpDir /tmp/
SecDebugLog /opt/modsecurity/var/log/debug.log
SecAuditEngine RelevantOnly
SecAuditLogRelevantStatus "^(?:5|4(?!04))"
SecAuditLogParts ABIJDEFHZ
SecAuditLogType Serial
SecStatusEngine On
"#;
    let content = content.replace("^(?:5|4(?!04))", "^(?:5|40[^4])");
    let rules = Rules::parse("modsecurity.conf", content.as_bytes(), Compatibility::Strict).unwrap();
    assert_eq!(rules.len(), 3);
    assert_eq!(rules.notes().len(), 6);
}

#[test]
fn a_rule_that_is_left_out_never_matches_be_it_negated_or_not() {
    let content = "SecRule REQUEST_METHOD \"!@rx ^(?!x)\" \"id:1,phase:1,deny\"";
    let rules = Arc::new(Rules::parse("a.conf", content.as_bytes(), Compatibility::Lenient).unwrap());
    let mut transaction = Transaction::new(rules, Environment::default());
    transaction.request_line(b"GET", b"/", b"HTTP/1.1");
    assert_eq!(transaction.phase(Phase::RequestHead), Verdict::Pass);
    assert!(findings(content)[0].contains("cannot be done here"));
}

#[test]
fn updates_that_meet_no_rule_are_noted() {
    let rules = Rules::parse("a.conf", b"SecRuleUpdateTargetById 5 \"!ARGS:a\"", Compatibility::Strict).unwrap();
    assert_eq!(
        rules.notes()[0].to_string(),
        "a.conf:1:25: SecRuleUpdateTargetById changes nothing: no rule before it is 5"
    );
}
