//! What holds for all rules of a chain.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like one")]

use std::sync::Arc;

use waf::{Compatibility, Environment, Exclusions, Phase, Rules, Transaction, Verdict};

/// A rule of the Core Rule Set, made short: it looks at arguments only in a link.
const LENGTH: &str = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.arg_length=4\"\n\
    SecRule &TX:ARG_LENGTH \"@eq 1\" \"id:920370,phase:1,deny,tag:'limits',msg:'long',chain\"\n\
    SecRule ARGS \"@rx ^.{5,}$\" \"t:none\"\n";

fn is_stopped(more: &str, exclude: Option<&str>, query: &str) -> bool {
    let content = format!("{LENGTH}{more}");
    let rules = Arc::new(Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap());
    let mut exclusions = Exclusions::default();
    if let Some(exclude) = exclude {
        exclusions.add(&rules, exclude).unwrap();
    }
    let mut transaction = Transaction::new(rules, Environment::default());
    transaction.exclude(&exclusions);
    transaction.request_line(b"GET", query.as_bytes(), b"HTTP/1.1");
    transaction.phase(Phase::RequestHead) != Verdict::Pass
}

#[test]
fn a_target_is_taken_out_of_each_link_of_a_chain() {
    assert!(is_stopped("", None, "/?comment=longer"));
    for update in [
        "SecRuleUpdateTargetById 920370 \"!ARGS:comment\"",
        "SecRuleUpdateTargetByTag limits \"!ARGS:comment\"",
        "SecRuleUpdateTargetByMsg long \"!ARGS:comment\"",
        "SecRuleUpdateTargetById 920370:1 \"!ARGS:comment\"",
        "SecRuleUpdateTargetById 920370 \"ARGS:title\" \"ARGS\"",
    ] {
        assert!(!is_stopped(update, None, "/?comment=longer"), "{update}");
        assert!(is_stopped(update, None, "/?title=longer"), "{update}");
    }
    assert!(is_stopped("SecRuleUpdateTargetById 920370:0 \"!ARGS:comment\"", None, "/?comment=longer"));
}

#[test]
fn an_exclusion_of_a_route_holds_for_each_link_of_a_chain() {
    for exclude in ["ruleRemoveTargetById=920370;ARGS:comment", "ruleRemoveTargetByTag=limits;ARGS:comment"] {
        assert!(!is_stopped("", Some(exclude), "/?comment=longer"), "{exclude}");
        assert!(is_stopped("", Some(exclude), "/?title=longer"), "{exclude}");
    }
}

#[test]
fn ctl_takes_targets_out_of_the_first_rule_of_a_chain_alone() {
    let content = format!(
        "SecAction \"id:2,phase:1,pass,nolog,ctl:ruleRemoveTargetById=920370;ARGS:comment,ctl:ruleRemoveTargetById=3;ARGS\"\n\
         {LENGTH}SecRule ARGS longer \"id:3,phase:1,deny,chain\"\nSecRule ARGS longer\n"
    );
    let logged = |query: &str| {
        let rules = Arc::new(Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap());
        let mut transaction = Transaction::new(rules, Environment::default());
        transaction.request_line(b"GET", query.as_bytes(), b"HTTP/1.1");
        transaction.phase(Phase::RequestHead);
        transaction.matches().filter(waf::Matched::is_logged).filter_map(|one| one.rule()?.id()).collect::<Vec<_>>()
    };
    assert_eq!(logged("/?comment=longer"), [920_370]);
}
