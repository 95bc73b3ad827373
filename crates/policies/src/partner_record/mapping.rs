//! From a source's answer to a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::Record;
use problem::{Finding, Pointer};
use serde_json::Value;
use serde_json_path::JsonPath;

/// Where the members of a record are in an answer.
pub(super) struct Mapping {
    members: Vec<(Arc<str>, JsonPath, Need)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Needed,
    Optional,
}

impl Mapping {
    pub(super) fn compile(
        written: BTreeMap<String, String>,
        optional: &[String],
        at: &Pointer,
    ) -> Result<Self, Finding> {
        if written.is_empty() {
            return Err(Finding::new(&at.at("members"), "names nothing, so a record would be of no use"));
        }
        if let Some(index) = optional.iter().position(|name| !written.contains_key(name)) {
            return Err(Finding::new(&at.at("optional").at(index), "is none of `members`"));
        }
        let member = |(name, path): (String, String)| {
            let at = at.at("members").at(&name);
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(Finding::new(&at, "has a name that conditions cannot use: letters, digits and `_`"));
            }
            let path = JsonPath::parse(&path)
                .map_err(|error| Finding::new(&at, format!("is no JSONPath such as `$.account.tier`: {error}")))?;
            let need = if optional.contains(&name) { Need::Optional } else { Need::Needed };
            Ok((name.into(), path, need))
        };
        Ok(Self { members: written.into_iter().map(member).collect::<Result<_, _>>()? })
    }

    /// The record in an answer, or why it is none.
    pub(super) fn record(&self, answer: &[u8]) -> Result<Record, String> {
        let document: Value =
            serde_json::from_slice(answer).map_err(|error| format!("it answered no JSON: {error}"))?;
        let mut members = Vec::with_capacity(self.members.len());
        for (name, path, need) in &self.members {
            match path.query(&document).first().and_then(text) {
                Some(text) => members.push((name.clone(), text)),
                None if *need == Need::Optional => {}
                None => return Err(format!("its answer has no `{name}`")),
            }
        }
        Ok(Record { members })
    }
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
        let members = members.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
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
        ];
        let mapping = mapping(&members, &["no"]).unwrap();
        let record = mapping.record(br#"{"a":{"tier":"gold"},"l":[{"n":1},{"n":2,"on":true}]}"#).unwrap();
        let member = |name: &str| record.member(name);
        assert_eq!((member("tier"), member("first"), member("list")), (Some("gold"), Some("2"), Some("1")));
        assert_eq!((member("all"), member("no")), (Some(r#"{"tier":"gold"}"#), None));
    }

    #[test]
    fn what_lacks_a_needed_member_is_no_record() {
        let mapping = mapping(&[("tier", "$.tier")], &[]).unwrap();
        for answer in ["", "<html>", "[]", "{\"error\":1}", "{\"tier\":null}"] {
            assert!(mapping.record(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    #[test]
    fn mistakes_are_findings() {
        let finding =
            |members: &[(&str, &str)], optional: &[&str]| mapping(members, optional).err().unwrap().to_string();
        assert!(finding(&[], &[]).starts_with("/members: names nothing"));
        assert!(finding(&[("a", "b")], &[]).starts_with("/members/a: is no JSONPath"));
        assert!(finding(&[("a b", "$.b")], &[]).starts_with("/members/a b: has a name"));
        assert!(finding(&[("a", "$.b")], &["b"]).starts_with("/optional/0: is none of `members`"));
    }
}
