//! What rule files can say, and what is said of those that say it wrong.

use std::sync::Arc;

use waf::{Compatibility, Environment, Phase, Rules, Source, Transaction, Verdict};

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
        [
            "rules.conf:2:17: what interrupts belongs to the whole chain: write it in the first rule of the chain, in line 1 \
          of rules.conf"
        ]
    );
}

#[test]
fn a_chain_without_an_end_takes_in_no_rule_of_the_next_file() {
    let source = |name, content: &'static str| Source::Text { name, content: content.as_bytes() };
    let open = source("a.conf", "SecRule ARGS a \"id:1,phase:2,deny,chain\"");
    for next in ["SecRule ARGS b \"id:2,phase:2,deny\"", "SecRule ARGS b \"t:none\""] {
        let found = Rules::read(&[open, source("b.conf", next)], Compatibility::Strict).unwrap_err();
        assert!(found[0].to_string().starts_with("a.conf:1:1: the chain goes on, and no rule follows"), "{}", found[0]);
        assert_eq!(found.len(), if next.contains("id") { 1 } else { 2 }, "{next}");
    }
}

#[test]
fn what_is_no_file_of_rules_is_told_in_few_findings() {
    let found = findings(&"\u{1}\u{2}\n".repeat(5000));
    assert_eq!(found.len(), 101);
    assert_eq!(found[100], "rules.conf:101:1: there are 4900 findings more from here on: is it a file of rules?");
}

#[test]
fn what_is_set_before_a_file_is_a_mistake_if_no_rule_asks_for_it() {
    let content = b"SecAction \"id:1,phase:1,pass,nolog,setvar:tx.level=3,setvar:tx.old_level=3\"";
    let set = Source::Before { file: "INIT", name: "(set)", content };
    let rules = |content: &'static str| Source::Text { name: "a.conf", content: content.as_bytes() };
    let found = Rules::read(&[set, rules("SecRule TX:other \"@gt 1\" \"id:2,phase:1,deny\"")], Compatibility::Strict);
    assert_eq!(found.unwrap_err()[0].to_string(), "(set):1:1: sets what no rule asks for");
    for asks in [
        "SecRule TX:old_level \"@gt 1\" \"id:2,phase:1,deny\"",
        "SecRule ARGS:level \"@gt %{tx.LEVEL}\" \"id:2,phase:1,deny\"",
    ] {
        assert!(Rules::read(&[set, rules(asks)], Compatibility::Strict).is_ok(), "{asks}");
    }
}

#[test]
fn operators_are_shown_with_their_macros_and_a_mark_where_they_are_cut() {
    let long = "a".repeat(300);
    let content = format!(
        "SecRule &ARGS \"@ge %{{tx.Limit}}\" \"id:1,phase:1,pass,tag:'at %{{tx.Limit}}/a'\"\n\
         SecRule ARGS \"!@rx {long}\" \"id:2,phase:1,pass\""
    );
    let rules = Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap();
    let mut transaction = Transaction::new(Arc::new(rules), Environment::default());
    transaction.request_line(b"GET", b"/?a=b", b"HTTP/1.1");
    transaction.phase(Phase::RequestHead);
    let matched: Vec<_> = transaction.matches().filter_map(|one| one.rule()).collect();
    let shown: Vec<String> = matched.iter().map(waf::Described::operator).collect();
    assert_eq!(shown, ["@ge %{tx.Limit}".to_owned(), format!("!@rx {}...", "a".repeat(200))]);
    assert_eq!(matched[0].tags().collect::<Vec<_>>(), ["at %{tx.Limit}/a"]);
}

#[test]
fn what_is_left_out_names_its_rule_and_why() {
    let content = "SecRule ARGS \"@rx ^(?!a)\" \"id:1,phase:2,deny\"\n\
                   SecRule ARGS a \"id:2,phase:2,deny,chain\"\nSecRule REMOTE_ADDR \"@rbl a.example\"\n\
                   SecRule ARGS a \"id:3,phase:2,pass,exec:/bin/true\"\nSecGeoLookupDb a.dat";
    let rules = Rules::parse("a.conf", content.as_bytes(), Compatibility::Lenient).unwrap();
    let told: Vec<String> = rules.left_out().iter().map(ToString::to_string).collect();
    let beginnings = [
        "a.conf:1:19: rule 1 never matches: this expression is left out: ",
        "a.conf:3:23: rule 2 never matches: @rbl is left out: no name server is asked about clients",
        "a.conf:4:35: rule 3: `exec` is left out: ",
        "a.conf:5:1: SecGeoLookupDb is left out: ",
    ];
    assert_eq!(told.len(), beginnings.len(), "{told:?}");
    for (told, beginning) in told.iter().zip(beginnings) {
        assert!(told.starts_with(beginning), "{told}");
    }
    assert!(rules.notes().is_empty());
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
    assert_eq!(lenient.left_out().len(), 3);
}

#[test]
fn the_configuration_that_modsecurity_recommends_loads_with_notes() {
    let file = std::path::Path::new("/etc/modsecurity/modsecurity.conf-recommended");
    assert!(file.exists(), "the Debian package libapache2-mod-security2 must be installed");
    let rules = Rules::load(&[file], Compatibility::Strict).unwrap();
    assert_eq!(rules.len(), 6);
    let status = rules.settings().audit_status.as_ref().unwrap();
    assert!(status.is_match(b"403") && status.is_match(b"500") && !status.is_match(b"404"));
    let noted: Vec<String> = rules.notes().iter().map(ToString::to_string).collect();
    assert!(noted.iter().all(|note| note.contains(" has no effect: ")), "{noted:?}");
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
fn whatever_cannot_be_done_is_left_out_alone_if_reading_is_lenient() {
    for (content, rules) in [
        ("SecRule ARGS \"@verifyCC (?<!x)\\d{13,16}\" \"id:1,phase:2,deny\"", 1),
        ("SecRule ARGS \"@verifySSN (?=x)\" \"id:1,phase:2,deny\"", 1),
        ("SecRule ARGS x \"id:1,phase:2,pass,ctl:ruleRemoveByTag=^(?!a)\"", 1),
        ("SecRule ARGS x \"id:1,phase:2,pass,ctl:ruleRemoveTargetByMsg=^(?!a);ARGS:a\"", 1),
        ("SecRuleRemoveByTag ^(?!a)\nSecRule ARGS x \"id:1,phase:2,pass\"", 1),
        ("SecRuleUpdateTargetByTag ^(?!a) !ARGS:a", 0),
        ("SecRule XML:/a/b[1] x \"id:1,phase:2,deny\"", 1),
        ("SecRule ARGS:/^(?!a)/ x \"id:1,phase:2,deny\"", 1),
        ("SecRule ARGS|!ARGS:/^(?!a)/ x \"id:1,phase:2,pass\"", 1),
        (r#"SecRule ARGS "@rx a\Kb" "id:1,phase:2,deny""#, 1),
        ("SecRule ARGS \"@rx (?|(a)|(b))\" \"id:1,phase:2,deny\"", 1),
        ("SecRule ARGS \"@rx (a(?1)?b)\" \"id:1,phase:2,deny\"", 1),
    ] {
        let strict = findings(content);
        assert!(strict.len() == 1 && strict[0].contains(" cannot be done here: "), "{content}: {strict:?}");
        let lenient = Rules::parse("rules.conf", content.as_bytes(), Compatibility::Lenient).unwrap();
        assert_eq!((lenient.len(), lenient.left_out().len()), (rules, 1), "{content}");
        let mut transaction = Transaction::new(Arc::new(lenient), Environment::default());
        transaction.request_line(b"POST", b"/?a=xabxx&b=4111111111111111", b"HTTP/1.1");
        transaction.request_header(b"Content-Type", b"text/xml");
        assert_eq!(transaction.phase(Phase::RequestHead), Verdict::Pass, "{content}");
        assert_eq!(transaction.phase(Phase::RequestBody), Verdict::Pass, "{content}");
    }
}

#[test]
fn what_expressions_would_keep_is_noted_and_their_quotations_and_ends_are_known() {
    for (expression, value, notes) in
        [(r"^a++b", "aab", 1), (r"^(?>a|ab)c", "ac", 1), (r"\Qa.b\E\Z", "a.b", 0), (r"a(?#b)c", "ac", 0)]
    {
        let content = format!("SecRule ARGS \"@rx {expression}\" \"id:1,phase:1,deny\"");
        let rules = Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap();
        assert_eq!(rules.notes().len(), notes, "{expression}");
        let mut transaction = Transaction::new(Arc::new(rules), Environment::default());
        transaction.request_line(b"GET", format!("/?a={value}").as_bytes(), b"HTTP/1.1");
        assert_ne!(transaction.phase(Phase::RequestHead), Verdict::Pass, "{expression}");
    }
}

#[test]
fn the_parts_of_a_time_have_two_digits() {
    let content = "SecRule TIME_HOUR|TIME_MIN|TIME_SEC|TIME_DAY|TIME_MON \"@rx ^0[1-9]$\" \"id:1,phase:1,pass\"\n\
                   SecRule DURATION \"@eq 1500\" \"id:2,phase:1,pass\"";
    let rules = Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap();
    let now = waf::Moment { seconds: 86_400 * 32 + 3723, ..waf::Moment::default() };
    let mut transaction = Transaction::new(Arc::new(rules), Environment { now, ..Environment::default() });
    transaction.lasts(1500);
    transaction.phase(Phase::RequestHead);
    assert_eq!(transaction.matches().count(), 6);
}

#[test]
fn updates_that_meet_no_rule_are_noted() {
    let rules = Rules::parse("a.conf", b"SecRuleUpdateTargetById 5 \"!ARGS:a\"", Compatibility::Strict).unwrap();
    assert_eq!(
        rules.notes()[0].to_string(),
        "a.conf:1:25: SecRuleUpdateTargetById changes nothing: no rule before it is 5"
    );
}
