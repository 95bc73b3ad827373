//! Canonical form: what it looks like, that it stays as it is, and that it means the same.

use model::fmt::format;
use proptest::prelude::*;

#[test]
fn documents_take_their_canonical_form() {
    let (written, expected) = (include_str!("golden/written.yaml"), include_str!("golden/canonical.yaml"));
    let formatted = format(written, "v.yaml").unwrap();
    assert_eq!(formatted, expected, "\n{formatted}");
    assert_eq!(format(expected, "v.yaml").unwrap(), expected);
}

#[test]
fn what_cannot_be_formatted_is_left_alone() {
    for (text, expected) in [
        ("a: &x 1\nb: 2\n", "v.yaml:1:1: anchors are not formatted; leave it out"),
        (
            "a: b: c\n",
            "v.yaml:1:5: is not YAML: a key begins a line of its own, and a text with `: ` in it stands in quotes",
        ),
        ("a: 1\na: 2\n", "v.yaml:2:1: /a: `a` is written twice, first in line 1"),
    ] {
        let findings: Vec<_> = format(text, "v.yaml").unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(findings, [expected]);
    }
}

#[test]
fn a_space_that_does_not_break_is_a_letter() {
    let text = "a: b\u{a0}# c\nd: \u{2003}\n";
    assert_eq!(format(text, "v.yaml").as_deref(), Ok(text));
}

#[test]
fn a_file_without_values_stays_as_it_is() {
    assert_eq!(format("# nothing\n", "v.yaml").unwrap(), "# nothing\n");
}

/// A document with comments, as somebody might write it: keys, values and indentation at random.
fn somehow() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just(String::new()),
        "[a-z]{1,5}",
        "'[a-z# :\"\\\\]{0,6}'",
        "\"[a-z# :']{0,6}\"",
        "[0-9]{1,3}",
        Just("|\n          x  # y\n\n           z".to_owned()),
        Just(">-\n          x\n          y\n\n".to_owned()),
    ];
    let flow = "(\\{a: [a-z]{0,3}, 'b' : \\[1,2 , x\\]\\}|\\[\\]|\\{\\}|\\[a, \\{b: c\\}\\]|\\[ # c\n         a,\n\n # d\n         b\n # e\n         ])";
    let value = prop_oneof![3 => scalar, 1 => flow];
    let ending = "( *(  # [a-z]{0,4})?\n(\n| {0,6}#[a-z ]{0,4}\n){0,2})";
    let line = (prop_oneof![Just(0), Just(1), Just(2)], any::<bool>(), value, ending);
    prop::collection::vec(line, 1..12).prop_map(|lines| {
        let lines = lines.into_iter().enumerate().map(|(number, (depth, is_list, value, ending))| {
            let ending = if value.contains('\n') { "\n".to_owned() } else { ending };
            match (depth, is_list) {
                (0, _) => format!("k{number}: {value}{ending}"),
                (1, true) => format!("k{number}:\n- {value}{ending}- n: {value}{ending}  m: 1\n"),
                (1, false) => format!("k{number}:\n   a: {value}{ending}   b: {value}{ending}"),
                (_, true) => format!("k{number}: # x\n  a:\n   - - {value}{ending}     - y{ending}   - - z\n"),
                (_, false) => format!("k{number}:\n    a:{ending}      b: {value}{ending}    c: d\n"),
            }
        });
        lines.collect()
    })
}

proptest! {
    #[test]
    fn formatting_twice_changes_nothing_more(text in somehow()) {
        if let Ok(once) = format(&text, "v.yaml") {
            let twice = format(&once, "v.yaml").map_err(|findings| format!("{findings:?} in {once}"));
            prop_assert_eq!(twice, Ok(once));
        }
    }

    #[test]
    fn what_is_read_is_formatted(text in somehow()) {
        let formatted = format(&text, "v.yaml");
        let cannot = |findings: &Vec<problem::Finding>| findings.iter().any(|finding| finding.message.contains("cannot be formatted"));
        prop_assert!(!formatted.as_ref().is_err_and(cannot), "{:?}\n{}", formatted, text);
    }

    #[test]
    fn any_text_is_formatted_or_refused_without_a_panic(text: String, lines in "([ab'\"|>#:\\-\\[\\]{},&*? \n]|\\|-|: |\r\n){0,60}") {
        drop(format(&text, "v.yaml"));
        drop(format(&lines, "v.yaml"));
    }
}
