//! What a request can make the engine hold: matches are counted, and not all of them are kept.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use waf::{Compatibility, Environment, Matched, Phase, Rules, Transaction, Verdict};

fn rules(content: &str) -> Arc<Rules> {
    Arc::new(Rules::parse("rules.conf", content.as_bytes(), Compatibility::Strict).unwrap())
}

/// A form that went through the first two phases.
fn judged(rules: &Arc<Rules>, form: &str) -> (Transaction, Verdict) {
    let mut transaction = Transaction::new(Arc::clone(rules), Environment::default());
    transaction.request_line(b"POST", b"/", b"HTTP/1.1");
    transaction.request_header(b"Content-Type", b"application/x-www-form-urlencoded");
    transaction.phase(Phase::RequestHead);
    transaction.request_body(Bytes::copy_from_slice(form.as_bytes()));
    let verdict = transaction.phase(Phase::RequestBody);
    (transaction, verdict)
}

fn form(arguments: usize) -> String {
    let mut form = String::new();
    for number in 0..arguments {
        write!(form, "a{number}=attack&").unwrap();
    }
    form
}

const BODY: &str = "SecRequestBodyAccess On\n";

#[test]
fn of_a_rule_that_matches_a_thousand_values_some_are_kept_and_all_are_counted() {
    let rules = rules(&format!(
        "{BODY}SecRuleEngine DetectionOnly\n\
         SecRule ARGS \"@rx attack\" \"id:1,phase:2,pass,log,logdata:'%{{MATCHED_VAR}}',setvar:tx.found=+1\"\n\
         SecRule ARGS \"@rx attack\" \"id:2,phase:2,pass,log,chain\"\nSecRule MATCHED_VARS \"@rx attack\""
    ));
    let (transaction, _) = judged(&rules, &form(900));
    for id in [1, 2] {
        let of_rule = || {
            let all = transaction.matches().filter(Matched::is_complete);
            all.filter(move |matched| matched.rule().and_then(|rule| rule.id()) == Some(id))
        };
        assert_eq!(of_rule().count(), 32);
        assert_eq!(of_rule().map(|matched| 1 + matched.repeated()).sum::<u32>(), 900);
    }
    assert_eq!(transaction.tx("found"), Some(&b"900"[..]), "each match has its effects");
}

#[test]
fn what_is_said_of_a_long_value_is_its_beginning() {
    let rules = rules(&format!(
        "{BODY}SecRule ARGS \"@rx attack\" \"id:1,phase:2,pass,log,msg:'%{{MATCHED_VAR}}',logdata:'in %{{MATCHED_VAR}}'\""
    ));
    let (transaction, _) = judged(&rules, &format!("a=attack{}", "x".repeat(100_000)));
    let matched = transaction.matches().next().unwrap();
    assert_eq!((matched.message().unwrap().len(), matched.data().unwrap().len()), (1024, 1027));
    assert_eq!(matched.value().len(), 100_006);
}

#[test]
fn a_rule_that_begins_to_block_late_blocks() {
    let rules = rules(&format!(
        "{BODY}SecRuleEngine DetectionOnly\nSecRule ARGS \"@rx attack\" \"id:1,phase:2,deny,status:403,chain\"\n\
         SecRule TX:/^none/|ARGS_NAMES \"@rx .\" \"ctl:ruleEngine=On\""
    ));
    let (_, verdict) = judged(&rules, &form(100));
    assert!(matches!(verdict, Verdict::Interrupt(intervention) if intervention.status == 403));
}

#[test]
fn targets_that_each_value_takes_out_again_are_taken_out_once() {
    let rules = rules(&format!(
        "{BODY}SecRule ARGS \"@rx attack\" \"id:1,phase:2,pass,nolog,ctl:ruleRemoveTargetById=2;ARGS:a1\"\n\
         SecRule ARGS \"@rx attack\" \"id:2,phase:2,pass,log\""
    ));
    let (transaction, _) = judged(&rules, &form(20));
    let found = transaction.matches().filter(Matched::is_logged);
    assert_eq!(found.count(), 19);
}
