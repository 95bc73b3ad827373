//! What a good document is read as, and what its source knows of it.

use model::read::{Known, Machine, References, part};
use problem::{Finding, Pointer};
use serde::Deserialize;
use serde_json::json;

use crate::given::{Given, outcome};

const HEAD: &str = "version: 1\nlisteners: {public: {bind: \"127.0.0.1:0\"}}\n";

fn pointer(keys: &[&str]) -> Pointer {
    keys.iter().fold(Pointer::default(), |at, key| at.at(key))
}

#[test]
fn references_take_the_type_that_is_asked_for() {
    let text = format!(
        "{HEAD}workers: ${{env:FOUR}}\ntracing: {{otlp: \"x/${{env:FOUR}}/$${{env:FOUR}}\", sample: \"${{env:HALF}}\", service: \"${{file:token}}\"}}\n"
    );
    let (document, source) = outcome(&text).unwrap();
    assert_eq!(document.workers, Some(4));
    let tracing = document.tracing.unwrap();
    assert_eq!(
        (tracing.otlp.as_str(), tracing.sample, tracing.service.as_str()),
        ("x/4/${env:FOUR}", 0.5, "swordfish")
    );
    assert_eq!(source.reference(&pointer(&["tracing", "service"])), Some("${file:token}"));
    assert_eq!(source.reference(&pointer(&["tracing"])), None);
}

#[test]
fn aliases_stand_for_what_they_name() {
    let text = format!("{HEAD}upstreams:\n  a: &shared {{targets: [x]}}\n  b: *shared\n");
    let (document, source) = outcome(&text).unwrap();
    assert_eq!(document.upstreams["b"].targets[0].url(), "x");
    assert_eq!(source.place(&pointer(&["upstreams", "b"])).line, 5);
}

#[test]
fn maps_keep_the_order_in_which_they_were_written() {
    let text = format!("{HEAD}upstreams: {{z: {{targets: [x]}}, a: {{targets: [x]}}, m: {{targets: [x]}}}}\n");
    let (document, _) = outcome(&text).unwrap();
    assert_eq!(document.upstreams.keys().collect::<Vec<_>>(), ["z", "a", "m"]);
}

#[test]
fn everything_has_a_place_even_what_is_not_there() {
    let text = format!("{HEAD}apis:\n  a/b:\n    match: {{path: /}}\n    policies:\n      - quota: {{rate: 1/s}}\n");
    let (_, source) = outcome(&text).unwrap();
    for (keys, line, column) in [
        (&[][..], 1, 1),
        (&["version"], 1, 10),
        (&["listeners", "public", "bind"], 2, 28),
        (&["apis"], 3, 1),
        (&["apis", "a/b"], 4, 3),
        (&["apis", "a/b", "match"], 5, 12),
        (&["apis", "a/b", "upstream"], 4, 3),
        (&["apis", "a/b", "policies", "0"], 7, 9),
        (&["apis", "a/b", "policies", "0", "quota", "rate"], 7, 23),
        (&["apis", "a/b", "policies", "1"], 6, 5),
        (&["nothing", "at", "all"], 1, 1),
    ] {
        let place = source.place(&pointer(keys));
        assert_eq!((place.line, place.column), (line, column), "{keys:?}");
    }
}

#[test]
fn findings_of_others_get_places_and_lose_secrets() {
    let text = format!("{HEAD}tracing: {{otlp: \"${{env:SECRET}}\"}}\n");
    let (_, source) = outcome(&text).unwrap();
    let mut findings = [Finding::new(&pointer(&["tracing", "otlp"]), "`swordfish` is no URL")];
    source.locate(&mut findings);
    assert_eq!(findings[0].to_string(), "v.yaml:3:17: /tracing/otlp: `${env:SECRET}` is no URL");
    assert!(!format!("{source:?}").contains("swordfish"));
}

#[test]
fn findings_lose_each_secret_of_a_text_and_parts_of_secrets() {
    let text = format!("{HEAD}tracing: {{otlp: \"{{${{env:SECRET}}}} ${{env:LONG}}\"}}\n");
    let (_, source) = outcome(&text).unwrap();
    for (told, expected) in [
        ("there is no `swordfish`; known are", "there is no `${env:SECRET}`; known are"),
        ("unexpected `battery-staple`", "what `{${env:SECRET}} ${env:LONG}` stands for does not fit here"),
        ("is no URL", "is no URL"),
    ] {
        for place in [&["tracing", "otlp"][..], &["tracing"], &["tracing", "otlp", "inner"]] {
            let mut findings = [Finding::new(&pointer(place), told)];
            source.locate(&mut findings);
            assert_eq!(findings[0].message, expected);
        }
    }
}

#[test]
fn a_document_that_is_sent_has_the_references_of_the_one_that_serves_and_no_others() {
    let serving = format!("{HEAD}tracing: {{otlp: \"x/${{env:SECRET}}\", service: \"${{file:token}}\"}}\n");
    let (_, source) = outcome(&serving).unwrap();
    let known = Known::of(&source, Given);
    assert_eq!(known.variable("SECRET").as_deref(), Ok("swordfish"));
    assert_eq!(known.file("token".as_ref()).as_deref(), Ok("swordfish"));
    for refused in
        [known.variable("FOUR"), known.variable("token"), known.file("SECRET".as_ref()), known.file("./token".as_ref())]
    {
        assert!(refused.unwrap_err().starts_with("a document that is sent"));
    }
}

#[test]
fn a_part_is_read_with_all_of_its_mistakes() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it is read matters")]
    struct Settings {
        addresses: Vec<std::net::IpAddr>,
        name: String,
        port: u16,
    }
    let at = Pointer::default().at("with");
    let settings = json!({ "addresses": ["10.0.0.1", "ten", "10.0.0.2", "eleven"], "name": "x", "porte": 1 });

    let findings: Vec<_> = part::<Settings>(&settings, &at).unwrap_err().iter().map(ToString::to_string).collect();

    assert_eq!(
        findings,
        [
            "/with/addresses/1: `ten`: invalid IP address syntax",
            "/with/addresses/3: `eleven`: invalid IP address syntax",
            "/with/porte: unknown field `porte`, expected one of `addresses`, `name`, `port`",
            "/with: missing field `port`",
        ]
    );
}

#[test]
fn files_are_looked_up_beside_the_document_and_lose_their_last_line_break() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "one\ntwo\n").unwrap();
    let machine = Machine::beside(&folder.path().join("vestibule.yaml"));
    assert_eq!(machine.file("token".as_ref()).unwrap(), "one\ntwo");
    assert!(machine.file("none".as_ref()).unwrap_err().starts_with("No such file"));
    assert_eq!(machine.variable("VESTIBULE_TEST_UNSET").unwrap_err(), "the variable is not set");
}
