//! Rule sets that nobody thought of, with and without shortcuts: levels switched off, skips, rules taken out by others.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use waf::{Compatibility, Environment, Evaluation, Exclusions, Phase, Response, Rules, Transaction};

const PHASES: [Phase; 5] =
    [Phase::RequestHead, Phase::RequestBody, Phase::ResponseHead, Phase::ResponseBody, Phase::Logging];

/// A directive without its id.
fn directive() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let number = 0..3_u8;
    let comparison = prop::sample::select(vec!["@eq", "@lt", "@ge", "!@eq"]);
    let expression = prop::sample::select(vec!["@rx attack", "@rx ^a", "@pm x attack", "@streq b", "!@rx a", "@rx ."]);
    let action = prop_oneof![
        3 => Just("log".to_owned()),
        3 => (0..3_u8).prop_map(|marker| format!("skipAfter:END{marker}")),
        3 => (name.clone(), number.clone()).prop_map(|(name, number)| format!("setvar:tx.{name}={number}")),
        1 => (name.clone(), name.clone()).prop_map(|(name, other)| format!("setvar:tx.{name}=%{{tx.{other}}}")),
        1 => name.clone().prop_map(|name| format!("setvar:tx.{name}=+1")),
        1 => (name.clone(), name.clone()).prop_map(|(name, other)| format!("setvar:tx.{name}=+%{{tx.{other}}}")),
        1 => name.clone().prop_map(|name| format!("setvar:tx.{name}=-2")),
        1 => name.clone().prop_map(|name| format!("setvar:!tx.{name}")),
        1 => Just("setvar:tx.%{ARGS.n}=2".to_owned()),
        1 => (1..20_u8).prop_map(|id| format!("ctl:ruleRemoveById={id}")),
        1 => (1..20_u8).prop_map(|id| format!("ctl:ruleRemoveTargetById={id};ARGS:q")),
        1 => prop::sample::select(vec!["allow:phase", "allow:request", "ctl:ruleEngine=Off", "deny", "capture"])
            .prop_map(str::to_owned),
    ];
    let phase = 1..5_u8;
    prop_oneof![
        2 => (phase.clone(), action.clone()).prop_map(|(phase, action)| format!("SecAction \"phase:{phase},pass,{action},")),
        4 => (name.clone(), comparison, number, phase.clone(), action.clone()).prop_map(
            |(name, comparison, number, phase, action)| {
                format!("SecRule TX:{name} \"{comparison} {number}\" \"phase:{phase},pass,nolog,{action},")
            }
        ),
        2 => (name.clone(), name.clone(), phase.clone(), action.clone()).prop_map(|(name, other, phase, action)| {
            format!("SecRule TX:{name} \"@ge %{{tx.{other}}}\" \"phase:{phase},pass,nolog,{action},")
        }),
        1 => (name.clone(), name.clone(), phase.clone(), action.clone()).prop_map(|(name, other, phase, action)| {
            format!("SecRule TX:{name} \"@ge 1\" \"phase:{phase},pass,nolog,{action},chain\nSecRule TX:{other} \"@lt 2\" \"setvar:tx.c=2,")
        }),
        2 => (name, phase.clone(), action.clone()).prop_map(
            |(name, phase, action)| format!("SecRule &TX:{name} \"@eq 0\" \"phase:{phase},pass,nolog,{action},")
        ),
        4 => (expression, phase, action).prop_map(
            |(expression, phase, action)| format!("SecRule ARGS|!ARGS:n \"{expression}\" \"phase:{phase},pass,t:lowercase,{action},")
        ),
        2 => (0..3_u8).prop_map(|marker| format!("SecMarker END{marker}")),
    ]
}

fn rules(directives: &[String]) -> Arc<Rules> {
    let mut content = "SecRuleEngine On\nSecDefaultAction \"phase:1,pass,log\"\n".to_owned();
    for (id, directive) in (1..).zip(directives) {
        if directive.starts_with("SecMarker") {
            writeln!(content, "{directive}").unwrap();
        } else if let Some((head, link)) = directive.split_once('\n') {
            let (head, link) = (head.trim_end_matches("chain"), link.trim_end_matches(','));
            writeln!(content, "{head}id:{id},chain\"\n{link}\"").unwrap();
        } else {
            writeln!(content, "{directive}id:{id}\"").unwrap();
        }
    }
    let loaded = Rules::parse("rules.conf", content.as_bytes(), Compatibility::Strict);
    Arc::new(loaded.unwrap_or_else(|findings| panic!("{content}\n{findings:?}")))
}

type Told = (Option<u64>, Vec<u8>, Vec<u8>, bool, bool);

/// What is said beside the rules, as `ctl` would say it.
fn exclusion() -> impl Strategy<Value = String> {
    let (first, more) = (1..20_u8, 0..5_u8);
    let target = prop::sample::select(vec!["TX:a", "TX:b", "TX:/^c/", "ARGS:q", "UNIQUE_ID"]);
    prop_oneof![
        (first.clone(), more).prop_map(|(first, more)| format!("ruleRemoveById={first}-{}", first + more)),
        (first, target).prop_map(|(id, target)| format!("ruleRemoveTargetById={id};{target}")),
    ]
}

/// What matched, and what `TX` holds in the end.
fn told(transaction: &mut Transaction, target: &str, phases: &[bool]) -> (Vec<Told>, Vec<Option<Vec<u8>>>) {
    transaction.request_line(b"GET", target.as_bytes(), b"HTTP/1.1");
    for (phase, is_run) in PHASES.into_iter().zip(phases) {
        match phase {
            Phase::RequestBody => transaction.request_body(Bytes::new()),
            Phase::ResponseHead => {
                transaction.response(&Response { protocol: b"HTTP/1.1", status: 200, reason: b"OK" });
            }
            _ => {}
        }
        if *is_run {
            transaction.phase(phase);
        }
    }
    let all = transaction.matches();
    let matches = all.map(|matched| {
        let id = matched.rule().and_then(|rule| rule.id());
        (id, matched.original().to_vec(), matched.value().to_vec(), matched.is_logged(), matched.is_complete())
    });
    let variables = ["a", "b", "c", "0"].map(|name| transaction.tx(name).map(<[u8]>::to_vec));
    (matches.collect(), variables.into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn shortcuts_change_nothing_of_what_matches(
        directives in prop::collection::vec(directive(), 1..20),
        phases in prop::collection::vec(prop::bool::weighted(0.9), 5),
        excluded in prop::collection::vec(exclusion(), 0..3),
    ) {
        let rules = rules(&directives);
        let mut exclusions = Exclusions::default();
        for excluded in &excluded {
            // Some mean no rule of these.
            exclusions.add(&rules, excluded).ok();
        }
        let environment = |evaluation| Environment { evaluation, ..Environment::default() };
        let mut fast = Transaction::new(Arc::clone(&rules), environment(Evaluation::Fast));
        // The same room takes one after another, so that what is remembered is tried too.
        for target in ["/?q=attack", "/?q=b&n=a", "/", "/?q=attack", "/?q=ATTACK&r=c", "/?q=b&n=a", "/?q=attack"] {
            fast = fast.renew(environment(Evaluation::Fast));
            let mut plain = Transaction::new(Arc::clone(&rules), environment(Evaluation::Plain));
            fast.exclude(&exclusions);
            plain.exclude(&exclusions);
            prop_assert_eq!(told(&mut fast, target, &phases), told(&mut plain, target, &phases), "{}", target);
        }
    }
}
