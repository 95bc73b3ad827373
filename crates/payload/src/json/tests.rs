//! What values are called, and what is no JSON.

use proptest::prelude::*;

use super::*;

fn values(body: &str) -> Vec<(String, String)> {
    let json = read(body.as_bytes(), &Limits::default());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    json.arguments.iter(body.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
}

fn expect(body: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    assert_eq!(values(body), expected, "{body}");
}

fn error(body: &str) -> Option<String> {
    read(body.as_bytes(), &Limits::default()).error.map(Cow::into_owned)
}

#[test]
fn names_are_the_keys_that_lead_to_a_value() {
    expect(
        r#"{"a":1,"b":{"c":"x","d":{"e":true}},"f":null}"#,
        &[("a", "1"), ("b.c", "x"), ("b.d.e", "true"), ("f", "")],
    );
    expect(r#"{"a":[1,2,{"b":3}],"c":4}"#, &[("a.a", "1"), ("a.a", "2"), ("a.a.b", "3"), ("c", "4")]);
    expect(r#"{"a":[[1],[2]],"b":[]}"#, &[("a.a.a", "1"), ("a.a.a", "2")]);
    expect("[1,[2]]", &[("array.array", "1"), ("array.array.array", "2")]);
    expect(r#"[{"a":1},{"b":2}]"#, &[("array.array.a", "1"), ("array.array.b", "2")]);
    expect(r#""alone""#, &[("", "alone")]);
    expect(" \t\x0B\x0C{ } ", &[]);
    expect("", &[]);
}

#[test]
fn dots_in_keys_count_as_levels_that_end_with_the_object() {
    expect(r#"{"a.b":{"c":1},"d":2}"#, &[("a.b.c", "1"), ("a.d", "2")]);
}

#[test]
fn after_an_array_its_key_is_still_the_key() {
    expect("[[1],2]", &[("array.array.array", "1"), ("array.array", "2")]);
}

#[test]
fn escapes_are_decoded_and_a_zero_ends_a_key() {
    expect(r#"{"\u0061\n":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}"#, &[("a\n", "\"\\/\x08\x0C\n\r\té😀")]);
    expect(r#"{"a\u0000b":"x\u0000y"}"#, &[("a", "x\0y")]);
    expect(r#"["\ud83dxy","\ud83d"]"#, &[("array.array", "?xy"), ("array.array", "?")]);
}

#[test]
fn what_was_read_before_a_mistake_stays() {
    for (body, expected, said) in [
        (r#"{"a":1,"b":2"#, &[("a", "1"), ("b", "2")][..], "premature EOF"),
        (r#"{"a":1,}"#, &[("a", "1")], "invalid object key"),
        (r#"{"a":1 2}"#, &[("a", "1")], "after key and value"),
        ("[1,]", &[("array.array", "1")], "unallowed token"),
        ("[1 2]", &[("array.array", "1")], "after array element"),
        (r#"{"a":1} x"#, &[("a", "1")], "trailing garbage"),
        ("{1:2}", &[], "invalid object key"),
        (r#"{"a" 1}"#, &[], "separated by a colon"),
        ("[tru]", &[], "invalid string"),
        ("[+1]", &[], "invalid char"),
        ("[01]", &[("array.array", "0")], "after array element"),
        ("[-]", &[], "after the minus"),
        ("[1.]", &[], "after the decimal"),
        ("[1e]", &[], "after the exponent"),
        ("[\"\n\"]", &[], "invalid character inside string"),
        (r#"["\x"]"#, &[], "before a character which it may not"),
        (r#"["\u12g4"]"#, &[], "non-hex"),
        ("\"open", &[], "premature EOF"),
        ("{", &[], "premature EOF"),
        (" ", &[], "premature EOF"),
        ("// x", &[], "invalid char"),
    ] {
        expect(body, expected);
        let message = error(body).unwrap_or_default();
        assert!(message.contains(said), "{body}: {message}");
    }
    let bytes = read(b"[\"a\xFF\"]", &Limits::default());
    assert_eq!(bytes.error.as_deref(), Some("lexical error: invalid bytes in UTF8 string."));
}

#[test]
fn depth_values_and_names_have_limits() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let limits = Limits { depth: 3, arguments: 2, names: 0 };
    let said = |body: &str| read(body.as_bytes(), &limits).error.map(Cow::into_owned);
    assert_eq!(said(&deep(3)), None);
    assert_eq!(said(&deep(4)).as_deref(), Some("JSON depth limit exceeded"));
    assert_eq!(said(r#"{"a":{"b":{"c":{"d":1}}}}"#), None);
    assert_eq!(said(r#"{"a":{"b":{"c":{"d":{}}}}}"#).as_deref(), Some("JSON depth limit exceeded"));
    let many = read(b"[1,2,3]", &limits);
    assert_eq!(many.error.as_deref(), Some("More than 2 JSON keys"));
    assert!(many.arguments.over_limit && many.arguments.len() == 2);
    let wide = format!("{{\"{}\":[{}]}}", "x".repeat(500), "[],".repeat(100));
    assert_eq!(said(&wide).as_deref(), Some("JSON names are too long"));
}

#[test]
fn very_deep_bodies_need_no_stack() {
    let limits = Limits { depth: usize::MAX, ..Limits::default() };
    let body = "[".repeat(200_000);
    assert!(read(body.as_bytes(), &Limits::default()).error.is_some());
    assert!(read("{\"a\":".repeat(100_000).as_bytes(), &limits).error.is_some());
}

proptest! {
    #[test]
    fn any_text_is_read(body in r#"[\[\]{}:,"\\ua1.e\-tn ]{0,40}"#) {
        let json = read(body.as_bytes(), &Limits::default());
        // The library is stricter about surrogates, and about nothing else.
        if serde_json_agrees(&body) {
            prop_assert_eq!(json.error, None);
        }
    }

    #[test]
    fn any_bytes_are_read(body: Vec<u8>) {
        let json = read(&body, &Limits::default());
        prop_assert!(json.error.is_some() || body.is_empty() || std::str::from_utf8(&body).is_ok());
    }
}

fn serde_json_agrees(body: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(body).is_ok()
}
