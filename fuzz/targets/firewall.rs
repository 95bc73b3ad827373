//! Requests before a rule set with every operator and every kind of effect: the shortcuts change nothing of what matches.

#![no_main]

use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use waf::{Compatibility, Environment, Evaluation, Phase, Rules, Transaction};

static RULES: LazyLock<Arc<Rules>> = LazyLock::new(|| {
    Arc::new(Rules::parse("rules.conf", CONTENT.as_bytes(), Compatibility::Strict).expect("the rules are right"))
});

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    target: &'a [u8],
    headers: Vec<(&'a [u8], &'a [u8])>,
    kind: u8,
    body: &'a [u8],
}

type Matches = Vec<(Option<u64>, Vec<u8>, Vec<u8>)>;

fuzz_target!(|input: Input<'_>| {
    let environment = |evaluation| Environment { evaluation, ..Environment::default() };
    let new = |evaluation| Transaction::new(Arc::clone(&RULES), environment(evaluation));
    let (plain, _) = matched(&input, new(Evaluation::Plain));
    let mut used = new(Evaluation::Fast);
    // The second and the third time, what was found out before is known.
    for _ in 0..3 {
        let (fast, transaction) = matched(&input, used);
        assert_eq!(fast, plain);
        used = transaction.renew(environment(Evaluation::Fast));
    }
});

fn matched(input: &Input<'_>, mut transaction: Transaction) -> (Matches, Transaction) {
    transaction.request_line(b"POST", input.target, b"HTTP/1.1");
    let kinds =
        ["application/x-www-form-urlencoded", "application/json", "text/xml", "multipart/form-data; boundary=b"];
    transaction.request_header(b"Content-Type", kinds[usize::from(input.kind) % kinds.len()].as_bytes());
    for (name, value) in &input.headers {
        transaction.request_header(name, value);
    }
    transaction.phase(Phase::RequestHead);
    transaction.request_body(Bytes::copy_from_slice(input.body));
    transaction.phase(Phase::RequestBody);
    transaction.phase(Phase::Logging);
    let all = transaction.matches();
    let all = all.map(|matched| {
        (matched.rule().and_then(|rule| rule.id()), matched.original().to_vec(), matched.value().to_vec())
    });
    (all.collect(), transaction)
}

const CONTENT: &str = include_str!("firewall.conf");
