//! From a source's answer to a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use pipeline::Record;
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;

/// How a member of a record is found in an answer.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Member {
    /// A `JSONPath`.
    Path(String),
    /// A program.
    Program(Program),
}

/// A program in jq.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    /// The program, such as `[.users[] | select(.active) | .name] | join(",")`. It has the language whole, and of its functions those
    /// about values: no regular expressions, dates, modules, or anything from outside of the answer. A run that takes too many
    /// steps, or makes too much, finds no record.
    jq: String,
}

/// Where the members of a record are in an answer.
pub(super) struct Mapping {
    members: Vec<(Arc<str>, Finds, Need)>,
}

enum Finds {
    Path(Box<JsonPath>),
    Program(jq::Program),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Needed,
    Optional,
}

impl Mapping {
    pub(super) fn compile(
        written: BTreeMap<String, Member>,
        optional: &[String],
        at: &Pointer,
    ) -> Result<Self, Finding> {
        if written.is_empty() {
            return Err(Finding::new(&at.at("members"), "names nothing, so a record would be of no use"));
        }
        if let Some(index) = optional.iter().position(|name| !written.contains_key(name)) {
            return Err(Finding::new(&at.at("optional").at(index), "is none of `members`"));
        }
        let member = |(name, finds): (String, Member)| {
            let at = at.at("members").at(&name);
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(Finding::new(&at, "has a name that conditions cannot use: letters, digits and `_`"));
            }
            let need = if optional.contains(&name) { Need::Optional } else { Need::Needed };
            Ok((name.into(), finds.compile(&at)?, need))
        };
        Ok(Self { members: written.into_iter().map(member).collect::<Result<_, _>>()? })
    }

    /// The record in an answer, or why it is none.
    pub(super) fn record(&self, answer: &[u8]) -> Result<Record, String> {
        let document: Value =
            serde_json::from_slice(answer).map_err(|error| format!("it answered no JSON: {error}"))?;
        let mut members = Vec::with_capacity(self.members.len());
        for (name, finds, need) in &self.members {
            let found = match finds {
                Finds::Path(path) => path.query(&document).first().and_then(text),
                Finds::Program(program) => {
                    let first =
                        program.first(&document).map_err(|failure| format!("its answer has no `{name}`: {failure}"))?;
                    first.as_ref().and_then(text)
                }
            };
            match found {
                Some(text) => members.push((name.clone(), text)),
                None if *need == Need::Optional => {}
                None => return Err(format!("its answer has no `{name}`")),
            }
        }
        Ok(Record { members })
    }
}

impl Member {
    fn compile(self, at: &Pointer) -> Result<Finds, Finding> {
        match self {
            Self::Path(path) => match JsonPath::parse(&path) {
                Ok(path) => Ok(Finds::Path(Box::new(path))),
                Err(error) => {
                    let message =
                        format!("is no JSONPath such as `$.account.tier`: {error}; a program is written `{{jq: ...}}`");
                    Err(Finding::new(at, message))
                }
            },
            Self::Program(Program { jq }) => match jq::Program::compile(&jq) {
                Ok(program) => Ok(Finds::Program(program)),
                Err(mistake) => Err(Finding::new(&at.at("jq"), mistake.to_string())),
            },
        }
    }
}

/// The record in an answer. Programs take a while, and so run where nobody else waits.
pub(super) async fn record(mapping: Arc<Mapping>, answer: Bytes) -> Result<Record, String> {
    if mapping.members.iter().all(|(_, finds, _)| matches!(finds, Finds::Path(_))) {
        return mapping.record(&answer);
    }
    let found = tokio::task::spawn_blocking(move || mapping.record(&answer)).await;
    found.unwrap_or_else(|_panicked| Err("its answer could not be looked through".to_owned()))
}

/// A value as an attribute has it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(members: &[(&str, &str)], optional: &[&str]) -> Result<Mapping, Finding> {
        let member = |finds: &str| match finds.strip_prefix("jq ") {
            Some(program) => Member::Program(Program { jq: program.to_owned() }),
            None => Member::Path(finds.to_owned()),
        };
        let members = members.iter().map(|(name, finds)| ((*name).to_owned(), member(finds))).collect();
        let optional: Vec<_> = optional.iter().map(|name| (*name).to_owned()).collect();
        Mapping::compile(members, &optional, &Pointer::default())
    }

    #[test]
    fn members_are_found_by_their_paths() {
        let members = [
            ("tier", "$.a.tier"),
            ("first", "$.l[?@.on == true].n"),
            ("list", "$.l[*].n"),
            ("all", "$.a"),
            ("no", "$.x"),
            ("names", "jq [.l[] | \"\\(.n)\"] | join(\"+\")"),
            ("level", "jq if .a.tier == \"gold\" then 3 else 1 end"),
            ("never", "jq .l[] | select(.n > 2)"),
        ];
        let mapping = mapping(&members, &["no", "never"]).unwrap();
        let record = mapping.record(br#"{"a":{"tier":"gold"},"l":[{"n":1},{"n":2,"on":true}]}"#).unwrap();
        let member = |name: &str| record.member(name);
        assert_eq!((member("tier"), member("first"), member("list")), (Some("gold"), Some("2"), Some("1")));
        assert_eq!((member("all"), member("no")), (Some(r#"{"tier":"gold"}"#), None));
        assert_eq!((member("names"), member("level"), member("never")), (Some("1+2"), Some("3"), None));
    }

    #[test]
    fn what_lacks_a_needed_member_is_no_record() {
        let mapping = mapping(&[("tier", "$.tier")], &[]).unwrap();
        for answer in ["", "<html>", "[]", "{\"error\":1}", "{\"tier\":null}"] {
            assert!(mapping.record(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    #[test]
    fn a_program_that_fails_or_runs_on_finds_no_record() {
        for (program, expected) in [
            ("jq .tier.name", "its answer has no `tier`: the program failed: cannot index \"gold\" with \"name\""),
            ("jq def f: f; f", "its answer has no `tier`: the program takes too many steps"),
            ("jq empty", "its answer has no `tier`"),
        ] {
            let told = mapping(&[("tier", program)], &[]).unwrap().record(br#"{"tier":"gold"}"#).err().unwrap();
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn mistakes_are_findings() {
        let finding =
            |members: &[(&str, &str)], optional: &[&str]| mapping(members, optional).err().unwrap().to_string();
        assert!(finding(&[], &[]).starts_with("/members: names nothing"));
        assert!(finding(&[("a", "b")], &[]).starts_with("/members/a: is no JSONPath"));
        assert!(
            finding(&[("a", "jq .b | lenght")], &[]).starts_with("/members/a/jq: line 1, column 6: there is no filter")
        );
        assert!(finding(&[("a b", "$.b")], &[]).starts_with("/members/a b: has a name"));
        assert!(finding(&[("a", "$.b")], &["b"]).starts_with("/optional/0: is none of `members`"));
    }
}
