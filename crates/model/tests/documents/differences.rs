//! What counts as a difference between two documents, and how it is shown.

use model::diff::diff;
use serde_json::json;

use crate::given::outcome;

/// The changes between two documents that follow the same head.
#[expect(clippy::unwrap_used, reason = "what helps a test may fail like one")]
fn changes(old: &str, new: &str) -> Vec<String> {
    let document =
        |rest: &str| outcome(&format!("version: 1\nlisteners: {{public: {{bind: \"127.0.0.1:0\"}}}}\n{rest}")).unwrap();
    let (old, new) = (document(old), document(new));
    diff((&old.0, &old.1), (&new.0, &new.1)).iter().map(ToString::to_string).collect()
}

#[test]
fn what_means_the_same_is_no_difference() {
    for (old, new) in [
        ("", ""),
        ("shutdown: {drain: 90s}", "shutdown: {drain: 1m30s}"),
        ("", "shutdown: {drain: 30s}"),
        ("limits: {head_bytes: 32KiB, headers: 5}", "limits: {headers: 0x5, head_bytes: 32768B}"),
        ("workers:", ""),
        (
            "upstreams: {a: {targets: [x]}, b: {targets: [y]}}",
            "upstreams:\n  b: {targets: [\"y\"]} # moved\n  a: {targets: [\n    x]}",
        ),
        (
            "apis: {a: {match: {path: /}, policies: [{quota: {rate: 1/s}, when: x}]}}",
            "apis: {a: {match: {path: /}, policies: [{when: x, quota: {rate: 1/s}, on_failure: close}]}}",
        ),
    ] {
        assert_eq!(changes(old, new), Vec::<String>::new(), "{old} and {new}");
    }
}

#[test]
fn a_difference_is_shown_at_its_place_as_it_was_written() {
    for (old, new, expected) in [
        ("", "workers: 4", vec!["+ /workers: 4"]),
        ("workers: 4", "", vec!["- /workers: 4"]),
        ("shutdown: {drain: 90s}", "shutdown: {drain: 1m}", vec!["~ /shutdown/drain: \"90s\" is now \"1m\""]),
        ("shutdown: {drain: 90s}", "", vec!["~ /shutdown/drain: \"90s\" is now \"30s\""]),
        (
            "upstreams: {a: {targets: [x]}}",
            "upstreams: {b: {targets: [x]}}",
            vec!["- /upstreams/a: {\"targets\":[\"x\"]}", "+ /upstreams/b: {\"targets\":[\"x\"]}"],
        ),
        (
            "upstreams: {a: {targets: [x, y]}}",
            "upstreams: {a: {targets: [z, x, y, w]}}",
            vec!["+ /upstreams/a/targets/0: \"z\"", "+ /upstreams/a/targets/3: \"w\""],
        ),
    ] {
        assert_eq!(changes(old, new), expected, "{old} and {new}");
    }
}

#[test]
fn the_order_of_policies_matters() {
    let policies = |list: &str| format!("apis: {{a: {{match: {{path: /}}, policies: [{list}]}}}}");
    let of = |old: &str, new: &str| changes(&policies(old), &policies(new));
    assert_eq!(
        of("{api-key: {}}, {quota: {rate: 1/s}}", "{quota: {rate: 1/s}}, {api-key: {}}"),
        ["- /apis/a/policies/0: {\"api-key\":{}}", "+ /apis/a/policies/1: {\"api-key\":{}}"]
    );
    assert_eq!(
        of("{api-key: {}}, {quota: {rate: 1/s}}", "{quota: {rate: 2/s}}"),
        ["- /apis/a/policies/0: {\"api-key\":{}}", "~ /apis/a/policies/0/quota/rate: \"1/s\" is now \"2/s\""]
    );
}

#[test]
fn secrets_are_shown_as_their_references() {
    let at = |otlp: &str| format!("tracing: {{otlp: \"{otlp}\"}}");
    assert_eq!(changes("", &at("${env:SECRET}")), ["+ /tracing: {\"otlp\":\"${env:SECRET}\"}"]);
    let changed = changes(&at("http://${env:SECRET}"), &at("http://${env:FOUR}"));
    assert_eq!(changed, ["~ /tracing/otlp: \"http://${env:SECRET}\" is now \"http://${env:FOUR}\""]);
    assert_eq!(changes(&at("${env:SECRET}"), &at("${file:token}")), Vec::<String>::new());
}

#[test]
fn machines_read_changes_as_json() {
    let document = |workers: u8| outcome(&format!("version: 1\nlisteners: {{}}\nworkers: {workers}\n")).unwrap();
    let (old, new) = (document(1), document(2));
    let changes = diff((&old.0, &old.1), (&new.0, &new.1));
    let expected = json!({ "pointer": "/workers", "change": "changed", "old": 1, "new": 2 });
    assert_eq!(changes.iter().map(model::diff::Change::as_json).collect::<Vec<_>>(), [expected]);
}
