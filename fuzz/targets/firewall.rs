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

fuzz_target!(|input: Input<'_>| {
    let [fast, plain] = [Evaluation::Fast, Evaluation::Plain].map(|evaluation| matched(&input, evaluation));
    assert_eq!(fast, plain);
});

fn matched(input: &Input<'_>, evaluation: Evaluation) -> Vec<(Option<u64>, Vec<u8>, Vec<u8>)> {
    let mut transaction = Transaction::new(Arc::clone(&RULES), Environment { evaluation, ..Environment::default() });
    transaction.request_line(b"POST", input.target, b"HTTP/1.1");
    let kinds = ["application/x-www-form-urlencoded", "application/json", "text/xml", "multipart/form-data; boundary=b"];
    transaction.request_header(b"Content-Type", kinds[usize::from(input.kind) % kinds.len()].as_bytes());
    for (name, value) in &input.headers {
        transaction.request_header(name, value);
    }
    transaction.phase(Phase::RequestHead);
    transaction.request_body(Bytes::copy_from_slice(input.body));
    transaction.phase(Phase::RequestBody);
    transaction.phase(Phase::Logging);
    let all = transaction.matches();
    all.map(|matched| (matched.rule().and_then(|rule| rule.id()), matched.original().to_vec(), matched.value().to_vec()))
        .collect()
}

const CONTENT: &str = include_str!("firewall.conf");
