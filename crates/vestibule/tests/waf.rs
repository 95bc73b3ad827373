//! `vestibule waf` as security engineers use it.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail like one")]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

const DOCUMENT: &str = "version: 1
listeners: {public: {bind: \"127.0.0.1:0\"}}
upstreams: {a: {targets: [\"http://127.0.0.1:9\"]}}
apis:
  shop:
    match: {path: /shop}
    upstream: a
    policies:
      - waf: {exclusions: [{rules: [77140], targets: [\"ARGS:html\"], operations: [\"GET /edit\"]}]}
  other: {match: {path: /other}, upstream: a}
";

/// Runs `vestibule` in a folder with the document and these files.
fn run(files: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain(&[("vestibule.yaml", DOCUMENT)]) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Command::new(env!("CARGO_BIN_EXE_vestibule")).args(arguments).current_dir(folder.path()).output().unwrap()
}

/// The same of `vestibule waf`: its exit code and what it prints.
fn waf(files: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let output = run(files, &[&["waf"], arguments].concat());
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\nHost: a\n\n")
}

#[test]
fn a_request_is_explained_rule_by_rule_with_its_values() {
    let (code, printed) = waf(&[("r", &get("/shop?q=%253Cscript%253E"))], &["explain", "r"]);
    assert_eq!(code, 0);
    for line in [
        "/apis/shop/policies/0/waf",
        "77140 in phase 2: (builtin):",
        "    A script in a value",
        "    @detectXSS found in ARGS:q",
        "    value: %3Cscript%3E",
        "    after urlDecodeUni, htmlEntityDecode, removeNulls: <script>",
        "verdict: stopped with 403 by rule 77140 in phase 2",
    ] {
        assert!(printed.lines().any(|found| found.starts_with(line)), "{line} in\n{printed}");
    }
    let (_, printed) = waf(&[("r", &get("/shop?q=%3Cscript%3E"))], &["explain", "r", "--json"]);
    let told: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(told["firewalls"][0]["story"]["status"], 403);
}

#[test]
fn what_is_excluded_or_has_no_firewall_is_explained_too() {
    let (code, printed) = waf(&[("r", &get("/shop/edit?html=%3Cscript%3E"))], &["explain", "r"]);
    assert_eq!(
        (code, printed.contains("no rule matched"), printed.contains("verdict: passes")),
        (0, true, true),
        "{printed}"
    );
    let (code, printed) = waf(&[("r", &get("/other"))], &["explain", "r"]);
    assert_eq!((code, &*printed), (1, "no firewall looks at it: the API `other` has no policy `waf`\n"));
    let (code, printed) = waf(&[("r", &get("/shop/../x"))], &["explain", "r"]);
    assert_eq!((code, &*printed), (1, "no rule is asked: 400 ambiguous-path\n"));
}

#[test]
fn a_body_is_looked_at_with_or_without_its_length() {
    let request = "POST /shop HTTP/1.1\nHost: a\nContent-Type: application/json\n\n{\"a\": \"1' or '1'='1\"}";
    let (_, printed) = waf(&[("r", request)], &["explain", "r"]);
    assert!(printed.contains("@detectSQLi found in ARGS:a"), "{printed}");
}

const TESTS: &str = "rule_id: 77140
tests:
  - test_id: 1
    stages:
      - input: {uri: \"/?q=<script>\", headers: {Host: a}}
        output: {status: 403, log: {expect_ids: [77140]}}
  - test_id: 2
    stages:
      - input: {uri: \"/?q=hello\", headers: {Host: a}}
        output: {log: {expect_ids: [77140]}}
";

#[test]
fn regression_tests_run_against_the_rules_of_the_document() {
    let (code, printed) = waf(&[("t.yaml", TESTS)], &["test", "t.yaml"]);
    assert_eq!((code, &*printed), (1, "77140-2: 77140 is not in the log (in the log: )\n1 tests passed, 1 failed\n"));
    let overrides = "test_overrides: [{rule_id: 77140, test_ids: [2], reason: x, output: {status: 200}}]";
    let files = [("t.yaml", TESTS), ("o.yaml", overrides)];
    let (code, printed) = waf(&files, &["test", "t.yaml", "--overrides", "o.yaml", "--api", "shop"]);
    assert_eq!((code, &*printed), (0, "2 tests passed, 0 failed\n"));
    let (code, printed) = waf(&[("t.yaml", TESTS)], &["test", "t.yaml", "--detect"]);
    assert_eq!((code, printed.contains("the status is Some(200) and must be 403")), (1, true), "{printed}");
}

#[test]
fn a_folder_without_tests_is_told_and_so_is_each_file_that_cannot_be_read() {
    let wrong = TESTS.replace("test_id: 1", "test_ids: 1");
    let files = [("none/readme.txt", ""), ("wrong/a.yaml", &*wrong), ("wrong/b.yaml", &*wrong)];
    for (tests, told) in [
        ("none", &["vestibule: there is no test in none: "][..]),
        ("wrong", &["vestibule: wrong/a.yaml: a test has `test_ids`", "wrong/b.yaml: a test has `test_ids`"][..]),
    ] {
        let output = run(&files, &["waf", "test", tests]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), told.len()), "{said}");
        assert!(said.lines().zip(told).all(|(line, told)| line.starts_with(told)), "{said}");
    }
}

#[test]
fn rules_that_are_left_out_are_no_mistake_and_remarked() {
    let rule = "SecRule ARGS \"@rx ^(?!a)\" \"id:7,phase:2,deny\"";
    let document = DOCUMENT.replace("waf: {", "waf: {rules: [a.conf, builtin], compatibility: lenient, ");
    let files = [("a.conf", rule), ("b.yaml", &*document)];
    let output = run(&files, &["check", "b.yaml"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(0), 2), "{said}");
    assert!(lines[0].starts_with("a.conf:1:19: remark: rule 7 never matches: this expression is left out: "), "{said}");
    assert!(lines[1].ends_with("no findings, 1 remark"), "{said}");
    let told: Value = serde_json::from_slice(&run(&files, &["check", "--json", "b.yaml"]).stdout).unwrap();
    assert_eq!((&told["findings"], &told["remarks"][0]["line"]), (&Value::Array(Vec::new()), &1.into()));
}

#[test]
fn the_report_counts_and_says_what_to_paste() {
    let line = |client: &str| {
        format!(
            "{{\"client\":\"{client}\",\"action\":\"detected\",\"api\":\"shop\",\"operation\":\"POST /reviews\",\
             \"rules\":[{{\"id\":942100,\"target\":\"ARGS:text\",\"message\":\"SQL\"}}]}}\n"
        )
    };
    let log: String = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(line).concat();
    let (code, printed) = waf(&[("waf.log", &log)], &["report", "waf.log"]);
    assert_eq!(code, 0);
    for line in [
        "3 records, 0 blocked",
        "        3        3  942100 SQL",
        "  exclusions:",
        "    - {rules: [942100], targets: ['ARGS:text'], operations: ['POST /reviews']}",
        "  or in SecLang: SecRuleUpdateTargetById 942100 \"!ARGS:text\"",
    ] {
        assert!(printed.lines().any(|found| found == line), "{line} in\n{printed}");
    }
    assert_eq!(waf(&[("waf.log", "GET / 200\n")], &["report", "waf.log"]).0, 1);
}
