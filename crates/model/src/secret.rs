//! What in a document is not for everybody who may read it, and how it is hidden.
//!
//! Settings that are secrets say so in their schema: `writeOnly`. What was written as a reference stays, for it is none.

use problem::Pointer;
use serde_json::{Map, Value};

use crate::read::steps;

/// Knows from the schema of documents what in them is secret.
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    schema: &'a Value,
}

/// What may be said of one place: a schema, what it refers to, and all of its alternatives.
type Said<'a> = Vec<&'a Map<String, Value>>;

impl<'a> Secrets<'a> {
    /// By this schema.
    pub fn of(schema: &'a Value) -> Self {
        Self { schema }
    }

    /// Hides what is secret in a part of a document that stands at a place.
    pub fn hide(self, at: &Pointer, part: &mut Value) {
        let (mut said, mut is_secret) = (self.said(self.schema), false);
        for step in steps(at) {
            is_secret |= is_marked(&said) || is_credential(&step);
            said = self.below(&said, &step);
        }
        if is_secret { hide(part, Shown::References) } else { self.look(&said, part) }
    }

    fn look(self, said: &Said<'a>, part: &mut Value) {
        if is_marked(said) {
            return hide(part, Shown::References);
        }
        match part {
            Value::String(text) => hide_password(text),
            Value::Array(items) => {
                let said = self.below(said, "0");
                for item in items {
                    self.look(&said, item);
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    if is_credential(name) {
                        hide(value, Shown::Templates);
                    } else {
                        self.look(&self.below(said, name), value);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// What is said of a member, or of an item.
    fn below(self, said: &Said<'a>, step: &str) -> Said<'a> {
        let mut found = Vec::new();
        for schema in said {
            let member = schema.get("properties").and_then(|properties| properties.get(step));
            let others = || ["additionalProperties", "items"].into_iter().filter_map(|keyword| schema.get(keyword));
            match member {
                Some(member) => self.collect(member, DEPTH, &mut found),
                None => others().for_each(|other| self.collect(other, DEPTH, &mut found)),
            }
        }
        found
    }

    fn said(self, schema: &'a Value) -> Said<'a> {
        let mut found = Vec::new();
        self.collect(schema, DEPTH, &mut found);
        found
    }

    fn collect(self, schema: &'a Value, depth: usize, found: &mut Said<'a>) {
        let (Some(schema), Some(deeper)) = (schema.as_object(), depth.checked_sub(1)) else { return };
        found.push(schema);
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        let target = target.and_then(|target| self.schema.pointer(target));
        let alternatives =
            ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|keyword| schema.get(keyword)?.as_array());
        for part in target.into_iter().chain(alternatives.flatten()) {
            self.collect(part, deeper, found);
        }
    }
}

fn is_marked(said: &Said<'_>) -> bool {
    said.iter().any(|schema| schema.get("writeOnly") == Some(&Value::Bool(true)))
}

/// Whether a header's value lets somebody in, wherever headers are set.
fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|credential| name.eq_ignore_ascii_case(credential))
}

/// What is no secret in a text that may be one.
#[derive(Clone, Copy)]
enum Shown {
    /// `${env:NAME}` and `${file:PATH}`.
    References,
    /// Those, and attributes in braces.
    Templates,
}

/// Hides every text and number, unless it says only where the secret is.
fn hide(value: &mut Value, shown: Shown) {
    match value {
        Value::String(text) if says_only_where(text, shown) => {}
        Value::String(_) | Value::Number(_) => *value = MASK.into(),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, shown)),
        Value::Object(members) => members.values_mut().for_each(|member| hide(member, shown)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Whether a text has nothing but references, and perhaps the scheme of a credential before them.
fn says_only_where(text: &str, shown: Shown) -> bool {
    let begin = match shown {
        Shown::References => "${",
        Shown::Templates => "{",
    };
    let (mut rest, mut other) = (text, String::new());
    while let Some((before, (_, behind))) =
        rest.split_once(begin).and_then(|(before, inner)| Some((before, inner.split_once('}')?)))
    {
        other.push_str(before);
        rest = behind;
    }
    let other = [&other, rest].concat();
    let other = other.trim().trim_end_matches(|last| matches!((last, shown), ('$', Shown::Templates)));
    rest.len() < text.len() && (other.is_empty() || SCHEMES.contains(&other.trim()))
}

/// Hides what is secret wherever it stands: hashes of passwords, and names with passwords in URLs.
fn hide_password(text: &mut String) {
    if text.starts_with(PASSWORD_HASH) {
        return MASK.clone_into(text);
    }
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((_, host)) = rest.split('/').next().and_then(|authority| authority.rsplit_once('@'))
    {
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
        *text = format!("{scheme}://{MASK}@{host}{path}");
    }
}

const MASK: &str = "***";

const PASSWORD_HASH: &str = "$argon2";

const CREDENTIALS: [&str; 5] = ["authorization", "proxy-authorization", "x-api-key", "x-auth-token", "x-vault-token"];

const SCHEMES: [&str; 4] = ["Bearer", "Basic", "Token", "ApiKey"];

/// References and alternatives within each other at most: more are a circle.
const DEPTH: usize = 12;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hidden(mut document: Value) -> Value {
        let schema = json!({
            "properties": {
                "key": { "writeOnly": true },
                "sinks": { "items": { "$ref": "#/$defs/sink" } },
                "rooms": { "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/sink" }, { "type": "null" }] } },
            },
            "$defs": { "sink": { "properties": { "login": { "writeOnly": true }, "url": {}, "self": { "$ref": "#/$defs/sink" } } } },
        });
        Secrets::of(&schema).hide(&Pointer::default(), &mut document);
        document
    }

    #[test]
    fn what_is_marked_is_hidden_wherever_it_stands_and_with_all_that_is_in_it() {
        let found = hidden(json!({
            "key": ["a", 7, null, true],
            "sinks": [{ "url": "http://a/", "login": { "user": { "name": "n", "password": "p" } }, "self": { "login": "x" } }],
            "rooms": { "sale": { "login": "x", "other": "x" } },
        }));
        let expected = json!({
            "key": ["***", "***", null, true],
            "sinks": [{ "url": "http://a/", "login": { "user": { "name": "***", "password": "***" } }, "self": { "login": "***" } }],
            "rooms": { "sale": { "login": "***", "other": "x" } },
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn what_says_only_where_a_secret_is_stays() {
        for shown in ["${env:A}", "Bearer ${file:a/b}", "${env:A}${env:B}", "Basic ${env:A} "] {
            assert_eq!(hidden(json!({ "key": shown })), json!({ "key": shown }));
        }
        for secret in ["", "x${env:A}", "$${env:A}", "${env:A", "{caller.app}", "Bearer x", "${env:A}x"] {
            assert_eq!(hidden(json!({ "key": secret })), json!({ "key": "***" }), "{secret}");
        }
        let headers = |value: &str| hidden(json!({ "headers": { "Authorization": value } }));
        assert_eq!(headers("Bearer {secret.a}"), json!({ "headers": { "Authorization": "Bearer {secret.a}" } }));
        assert_eq!(headers("Bearer ${env:A}"), json!({ "headers": { "Authorization": "Bearer ${env:A}" } }));
        assert_eq!(headers("Bearer abc"), json!({ "headers": { "Authorization": "***" } }));
    }

    #[test]
    fn a_part_is_hidden_by_the_place_where_it_stands() {
        let schema = json!({ "properties": { "a": { "properties": { "keys": { "writeOnly": true } } } } });
        for (at, part, expected) in [
            (&["a", "keys"][..], json!("x"), json!("***")),
            (&["a", "keys", "0"], json!("x"), json!("***")),
            (&["a"], json!({ "keys": "x", "b": "x" }), json!({ "keys": "***", "b": "x" })),
            (&["b"], json!("$argon2id$v=19$abc"), json!("***")),
            (&["b"], json!("http://bob:secret@host:80/a@b"), json!("http://***@host:80/a@b")),
            (&["b"], json!("http://host/x@y"), json!("http://host/x@y")),
        ] {
            let (mut found, at) = (part, at.iter().fold(Pointer::default(), |at, step| at.at(step)));
            Secrets::of(&schema).hide(&at, &mut found);
            assert_eq!(found, expected, "{at}");
        }
    }
}
