//! Test files: schemas 2 and 3 of `ftw-tests-schema`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Unreadable;
use crate::yaml::{self, Node};

/// The tests of one rule.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// The rule that they are about.
    pub rule: u64,
    /// The tests.
    pub tests: Vec<Test>,
}

/// A test: what is sent, in order, and what must come of it.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its number.
    pub number: u64,
    /// What is sent.
    pub stages: Vec<Stage>,
}

/// A request and what must come of it.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What is sent.
    pub input: Input,
    /// What must come of it.
    pub expected: Expected,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Input {
    /// The method.
    pub method: String,
    /// The target, as it is sent.
    pub uri: String,
    /// The protocol.
    pub version: String,
    /// Headers in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub data: Option<Vec<u8>>,
    /// The whole request, instead of all else.
    pub encoded_request: Option<Vec<u8>>,
    /// Whether headers are added that a client would send.
    pub autocomplete: bool,
}

/// What must come of a request; all of it.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The status.
    pub status: Option<u16>,
    /// An expression that the answer matches.
    pub response_contains: Option<String>,
    /// Rules that are in the log.
    pub expect_ids: Vec<u64>,
    /// Rules that are not.
    pub no_expect_ids: Vec<u64>,
    /// An expression that the log matches.
    pub match_regex: Option<String>,
    /// One that it does not match.
    pub no_match_regex: Option<String>,
    /// Whether there must be no proper answer, or must be one.
    pub expect_error: Option<bool>,
    /// Whether exactly one rule must be in the log.
    pub isolated: bool,
}

/// Reads a test file.
pub fn read(text: &str) -> Result<TestFile, Unreadable> {
    let Some(root) = yaml::parse(text)? else { return Ok(TestFile { rule: 0, tests: Vec::new() }) };
    let mut wrong = Vec::new();
    known(&root, "a file", &["author", "meta", "rule_id", "tests"], &mut wrong);
    let rule = number(&root, "rule_id").or_else(|| root.get("meta").and_then(|meta| number(meta, "rule_id")));
    let tests = root.get("tests").map(Node::list).unwrap_or_default();
    let tests = tests.iter().filter_map(|node| test(node, &mut wrong)).collect();
    if wrong.is_empty() { Ok(TestFile { rule: rule.unwrap_or_default(), tests }) } else { Err(Unreadable::Form(wrong)) }
}

/// Says what is not known here: a test that is run without some of what it says would pass, or fail, for no reason.
fn known(node: &Node, what: &str, keys: &[&str], wrong: &mut Vec<String>) {
    let unknown = node.entries().iter().map(|(key, _)| key).filter(|key| !keys.contains(&key.as_str()));
    wrong.extend(unknown.map(|key| undone(what, key)));
}

/// Says what cannot be done here, unless it is off.
fn off(node: &Node, keys: &[&str], wrong: &mut Vec<String>) {
    let is_on = |key: &&&str| node.get(key).and_then(Node::text).is_some_and(|text| text != "false");
    wrong.extend(keys.iter().filter(is_on).map(|key| undone("an input", key)));
}

fn undone(what: &str, key: &str) -> String {
    format!("{what} has `{key}`, which cannot be done here: take it out")
}

fn test(node: &Node, wrong: &mut Vec<String>) -> Option<Test> {
    let before = wrong.len();
    known(node, "a test", &["desc", "id", "payload", "rule_id", "stages", "test_id", "test_title"], wrong);
    let Some(number) = number(node, "test_id").or_else(|| number(node, "id")) else {
        wrong.push("a test has no test_id".to_owned());
        return None;
    };
    let stages = node.get("stages").map(Node::list).unwrap_or_default();
    // Older files have one level more.
    let stages =
        stages.iter().filter_map(|stage| self::stage(stage.get("stage").unwrap_or(stage), node, wrong)).collect();
    for one in wrong.iter_mut().skip(before) {
        *one = format!("test {number}: {one}");
    }
    Some(Test { number, stages })
}

fn stage(node: &Node, test: &Node, wrong: &mut Vec<String>) -> Option<Stage> {
    known(node, "a stage", &["description", "input", "output"], wrong);
    let expected = node.get("output").map(|output| expected(output, wrong)).unwrap_or_default();
    let Some(input) = node.get("input") else {
        wrong.push("a stage has no input".to_owned());
        return None;
    };
    match self::input(input, test, wrong) {
        Ok(input) => Some(Stage { input, expected }),
        Err(what) => {
            wrong.push(what);
            None
        }
    }
}

fn input(node: &Node, test: &Node, wrong: &mut Vec<String>) -> Result<Input, String> {
    known(node, "an input", &[INPUT, UNDONE].concat(), wrong);
    off(node, UNDONE, wrong);
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    // What is written as an empty text is sent so; what is not written has a default.
    let written = |key: &str, default: &str| match node.get(key) {
        Some(Node::Scalar(text, _)) => text.clone(),
        _ => default.to_owned(),
    };
    let decode = |key: &str| -> Result<Option<Vec<u8>>, String> {
        let Some(text) = text(key) else { return Ok(None) };
        let compact: String = text.split_whitespace().collect::<String>().replace("\\n", "");
        STANDARD.decode(compact).map(Some).map_err(|cause| format!("{key} is no Base64: {cause}"))
    };
    let mut headers: Vec<(String, String)> = node
        .get("headers")
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|(name, value)| (name.clone(), scalar(value)))
        .collect();
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    for header in node.get("ordered_headers").map(Node::list).unwrap_or_default() {
        headers.push((
            header.get("name").map(scalar).unwrap_or_default(),
            header.get("value").map(scalar).unwrap_or_default(),
        ));
    }
    let data = match decode("encoded_data")? {
        Some(data) => Some(data),
        None => node.get("data").map(|data| filled(&scalar(data), test).into_bytes()),
    };
    let flag = |key: &str| text(key).map(|text| text == "true");
    let autocomplete = flag("autocomplete_headers").or_else(|| flag("stop_magic").map(|stop| !stop)).unwrap_or(true);
    Ok(Input {
        method: written("method", "GET"),
        uri: written("uri", "/"),
        version: written("version", "HTTP/1.1"),
        headers,
        data,
        encoded_request: decode("encoded_request")?,
        autocomplete,
    })
}

fn scalar(node: &Node) -> String {
    match node {
        Node::Scalar(text, _) => text.clone(),
        Node::Sequence(_) | Node::Mapping(_) => String::new(),
    }
}

/// Fills in `{{ "text" | repeat N }}` and `{{ .payload }}`, the templates that test files use.
fn filled(data: &str, test: &Node) -> String {
    let mut rest = data;
    let mut filled = String::new();
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, behind)) = after.split_once("}}") else { break };
        let Some(value) = evaluated(inner.trim(), test) else {
            filled.push_str(before);
            filled.push_str("{{");
            rest = after;
            continue;
        };
        filled.push_str(before);
        filled.push_str(&value);
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

fn evaluated(expression: &str, test: &Node) -> Option<String> {
    if expression == ".payload" {
        return test.get("payload").map(scalar);
    }
    let (text, count) = expression.split_once("| repeat ")?;
    let text = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(text.repeat(count.trim().parse().ok()?))
}

pub(crate) fn expected(node: &Node, wrong: &mut Vec<String>) -> Expected {
    // Whoever reads a log file may have to look twice; here it is there at once.
    known(node, "an output", &["expect_error", "isolated", "log", "response_contains", "retry_once", "status"], wrong);
    let log = node.get("log");
    if let Some(log) = log {
        known(log, "a log", &["expect_ids", "match_regex", "no_expect_ids", "no_match_regex"], wrong);
    }
    let ids = |key: &str| -> Vec<u64> {
        let list = log.and_then(|log| log.get(key)).map(Node::list).unwrap_or_default();
        list.iter().filter_map(|id| id.text()?.parse().ok()).collect()
    };
    let text =
        |node: Option<&Node>, key: &str| node.and_then(|node| node.get(key)).and_then(Node::text).map(str::to_owned);
    Expected {
        status: text(Some(node), "status").and_then(|status| status.parse().ok()),
        response_contains: text(Some(node), "response_contains"),
        expect_ids: ids("expect_ids"),
        no_expect_ids: ids("no_expect_ids"),
        match_regex: text(log, "match_regex"),
        no_match_regex: text(log, "no_match_regex"),
        expect_error: text(Some(node), "expect_error").map(|error| error == "true"),
        isolated: text(Some(node), "isolated").is_some_and(|isolated| isolated == "true"),
    }
}

fn number(node: &Node, key: &str) -> Option<u64> {
    node.get(key)?.text()?.parse().ok()
}

/// What an input may have.
const INPUT: &[&str] = &[
    "autocomplete_headers",
    "data",
    "dest_addr",
    "encoded_data",
    "encoded_request",
    "headers",
    "method",
    "ordered_headers",
    "port",
    "protocol",
    "stop_magic",
    "uri",
    "version",
];

/// What an input may only have if it is off.
const UNDONE: &[&str] = &["follow_redirect", "save_cookie", "virtual_host_mode"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_told() {
        for (stage, told) in [
            ("{input: {follow_redirect: true}}", "an input has `follow_redirect`"),
            ("{input: {save_cookie: true}}", "an input has `save_cookie`"),
            ("{input: {bodies: []}}", "an input has `bodies`"),
            ("{input: {}, output: {log_contains: x}}", "an output has `log_contains`"),
            ("{input: {}, output: {log: {expect_id: 1}}}", "a log has `expect_id`"),
        ] {
            let said =
                read(&format!("rule_id: 1\ntests: [{{test_id: 1, stages: [{stage}]}}]")).unwrap_err().to_string();
            assert_eq!(said, format!("test 1: {told}, which cannot be done here: take it out"), "{stage}");
        }
        let off =
            "rule_id: 1\ntests: [{test_id: 1, stages: [{input: {save_cookie: false}, output: {retry_once: true}}]}]";
        assert_eq!(read(off).unwrap().tests.len(), 1);
    }

    #[test]
    fn everything_that_is_wrong_with_a_file_is_told_with_its_test() {
        let stage = "{input: {bodies: [], encoded_data: '?'}, output: {log: {expect_id: 1}}}";
        let file = format!("rule_id: 1\ntests: [{{test_id: 1, stages: [{stage}]}}, {{tset_id: 2}}]");
        let Err(Unreadable::Form(wrong)) = read(&file) else { panic!("it was read") };
        let beginnings = [
            "test 1: a log has `expect_id`",
            "test 1: an input has `bodies`",
            "test 1: encoded_data is no Base64",
            "a test has `tset_id`",
            "a test has no test_id",
        ];
        assert_eq!(wrong.len(), beginnings.len(), "{wrong:?}");
        for (one, beginning) in wrong.iter().zip(beginnings) {
            assert!(one.starts_with(beginning), "{one}");
        }
    }

    #[test]
    fn a_test_is_read_with_its_defaults() {
        let file = read(
            "meta: {author: x}\nrule_id: 920100\ntests:\n  - test_id: 3\n    stages:\n      - input:\n          headers: {Host: a, \
             Accept: b}\n          data: 'a{{ \"1\" | repeat 3 }}{{x}}'\n          version: \"\"\n        output:\n          \
             status: 400\n          log: {expect_ids: [1, 2]}\n",
        )
        .unwrap();
        let stage = &file.tests[0].stages[0];
        assert_eq!((file.rule, file.tests[0].number), (920_100, 3));
        assert_eq!(stage.input.headers[0].0, "Accept");
        assert_eq!(stage.input.data.as_deref(), Some(&b"a111{{x}}"[..]));
        assert_eq!((stage.input.method.as_str(), stage.input.version.as_str()), ("GET", ""));
        assert_eq!(stage.expected.status, Some(400));
        assert_eq!(stage.expected.expect_ids, [1, 2]);
    }
}
