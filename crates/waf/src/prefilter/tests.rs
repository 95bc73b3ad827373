//! What is said of expressions never turns a value away that they match.

use patterns::Search;
use payload::ByteSet;
use payload::candidates::{Demand, Domain};
use payload::candidates::{NONE, Scanner};
use proptest::prelude::*;

/// Expressions of all that matters to what is worked out about them, over few bytes.
fn expression() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        5 => "[abAB1 _]{1,4}",
        2 => "[.,'(<;=]".prop_map(|sign| format!("\\{sign}")),
        1 => Just("\\x00".to_owned()),
        2 => prop::sample::select(vec!["[a-c]", "[^a]", "[ab1']", ".", "\\s", "\\w", "[\\x00a]", "[<(]"])
            .prop_map(str::to_owned),
        2 => prop::sample::select(vec!["^", "$", "\\b", "(?:^|;)", "(?:a|$)", "\\B"]).prop_map(str::to_owned),
    ];
    piece.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            3 => prop::collection::vec(inner.clone(), 2..5).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            3 => (inner.clone(), prop::sample::select(vec!["?", "*", "+", "{2}", "{2,3}", "{1,}", "{0,2}", "{5,9}", "+?"]))
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
            1 => inner.clone().prop_map(|part| format!("(?i:{part})")),
            1 => inner.prop_map(|part| format!("({part})")),
        ]
    })
}

fn may_match(expression: &str, value: &[u8]) -> bool {
    let demands = [Demand::pattern(expression, Domain::Request)];
    let scanner = Scanner::of(&demands);
    let mut candidates = vec![NONE; scanner.rows()];
    let (held, mut met) = (ByteSet::of(value), candidates.clone());
    scanner.sift(value.len(), &held, &mut candidates);
    scanner.search((value, &held), Domain::Request, &mut met, &mut Vec::new());
    candidates[0][0] & met[0][0] & 1 == 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_value_that_matches_is_a_candidate(
        expression in expression(),
        values in prop::collection::vec("[abAB1 _.,'(<;=\0]{0,12}", 1..24),
    ) {
        let regex = Search::compile(expression.as_bytes()).unwrap();
        for value in values.iter().map(String::as_bytes) {
            if regex.is_match(value) {
                prop_assert!(may_match(regex.text(), value), "{expression} {value:?}");
            }
        }
    }
}
