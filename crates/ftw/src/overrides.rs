//! Overrides: what is expected of tests on a platform that cannot do what they expect.

use crate::Unreadable;
use crate::file::{Expected, TestFile, expected};
use crate::yaml::{self, Node};

/// What is expected of some tests instead of what they say.
#[derive(Clone, Debug, Default)]
pub struct Overrides(Vec<Override>);

#[derive(Clone, Debug)]
struct Override {
    rule: u64,
    tests: Vec<u64>,
    /// All stages, if none is named.
    stages: Vec<u64>,
    expected: Expected,
}

impl Overrides {
    /// Reads a file of overrides. An entry without `output` lets everything pass.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let root = yaml::parse(text)?;
        let entries = root.as_ref().and_then(|root| root.get("test_overrides")).map(Node::list).unwrap_or_default();
        let mut wrong = Vec::new();
        let overrides = entries.iter().filter_map(|entry| one(entry, &mut wrong)).collect();
        if wrong.is_empty() { Ok(Self(overrides)) } else { Err(Unreadable::Form(wrong)) }
    }

    /// Puts what is expected instead into the tests of a file.
    pub fn apply(&self, file: &mut TestFile) {
        for entry in self.0.iter().filter(|entry| entry.rule == file.rule) {
            for test in file.tests.iter_mut().filter(|test| entry.tests.contains(&test.number)) {
                for (number, stage) in (0..).zip(&mut test.stages) {
                    if entry.stages.is_empty() || entry.stages.contains(&number) {
                        stage.expected = entry.expected.clone();
                    }
                }
            }
        }
    }
}

fn one(node: &Node, wrong: &mut Vec<String>) -> Option<Override> {
    let numbers = |key: &str| -> Vec<u64> {
        let list = node.get(key).map(Node::list).unwrap_or_default();
        list.iter().filter_map(|number| number.text()?.parse().ok()).collect()
    };
    let rule = node.get("rule_id").and_then(Node::text).and_then(|rule| rule.parse().ok());
    let expected = node.get("output").map(|output| expected(output, wrong)).unwrap_or_default();
    if rule.is_none() {
        wrong.push("an override has no rule_id".to_owned());
    }
    Some(Override { rule: rule?, tests: numbers("test_ids"), stages: numbers("stage_ids"), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_replaces_what_is_expected_of_its_tests_and_no_others() {
        let test = "{test_id: N, stages: [{input: {}, output: {status: 400}}]}";
        let tests = [1, 2, 3].map(|number| test.replace('N', &number.to_string())).join(", ");
        let mut file = crate::read(&format!("rule_id: 9\ntests: [{tests}]")).unwrap();
        let overrides = "test_overrides:\n  - {rule_id: 9, test_ids: [1], reason: x, output: {status: 403}}\n  \
                         - {rule_id: 9, test_ids: [2], reason: y}\n  - {rule_id: 8, test_ids: [3], reason: z}\n";

        Overrides::read(overrides).unwrap().apply(&mut file);

        let statuses: Vec<_> = file.tests.iter().map(|test| test.stages[0].expected.status).collect();
        assert_eq!(statuses, [Some(403), None, Some(400)]);
    }
}
