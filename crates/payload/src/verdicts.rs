//! Tests that the detectors judge as libinjection judges: its verdicts on values of all kinds are in `data/verdicts.txt`,
//! a line each: the fingerprint of an injection or `-`, whether it is a script, and the value with `\xHH` for odd bytes.

use crate::{sqli, xss};

const VERDICTS: &str = include_str!("../data/verdicts.txt");

#[test]
fn detectors_judge_as_libinjection_does() {
    let mut hits = 0;
    for line in VERDICTS.lines() {
        let mut parts = line.splitn(3, ' ');
        let (fingerprint, script, written) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let value = value(written);

        let found = sqli(&value);

        assert_eq!(found.as_ref().map_or("-", |found| found.as_str()), fingerprint, "{written}");
        assert_eq!(xss(&value), script == "1", "{written}");
        hits += usize::from(found.is_some());
    }
    assert!(hits > 200, "{hits}");
}

fn value(written: &str) -> Vec<u8> {
    let mut pieces = written.split("\\x");
    let mut value = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        value.push(u8::from_str_radix(digits, 16).unwrap());
        value.extend_from_slice(rest.as_bytes());
    }
    value
}
