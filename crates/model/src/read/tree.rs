//! A document as it was written: every key and value with its line and column.

use problem::Pointer;
use serde_json::{Map, Number, Value};

/// A line and a column, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// The line.
    pub(crate) line: usize,
    /// The column.
    pub(crate) column: usize,
}

/// One value, with where it begins.
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Clone, PartialEq)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One entry of a map.
#[derive(Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) mark: Mark,
    pub(crate) value: Node,
}

/// A value without parts.
#[derive(Clone, PartialEq)]
pub(crate) struct Scalar {
    /// Its characters; where there were references, with what they stand for.
    pub(crate) text: String,
    /// How it was written.
    pub(crate) style: Style,
    /// Its characters before references were resolved, if there were any. The text is then a secret.
    pub(crate) reference: Option<Written>,
}

/// A text with references, as it was written.
#[derive(Clone, PartialEq)]
pub(crate) struct Written {
    /// The whole text.
    pub(crate) text: String,
    /// What its references stand for.
    pub(crate) secrets: Vec<Secret>,
}

/// A reference and what it stands for.
#[derive(Clone, PartialEq)]
pub(crate) struct Secret {
    pub(crate) written: String,
    pub(crate) value: String,
}

/// Whether a scalar can be anything but text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes: what it is follows from its characters.
    Plain,
    /// In quotes or as a block: text.
    Quoted,
}

impl Scalar {
    /// The value by YAML's core schema. A reference's value is text, whatever its characters.
    pub(crate) fn value(&self) -> Value {
        match (self.style, &self.reference) {
            (Style::Plain, None) => plain(&self.text),
            _ => Value::String(self.text.clone()),
        }
    }

    /// The characters that may be shown to people: never a secret.
    pub(crate) fn shown(&self) -> &str {
        self.reference.as_ref().map_or(&self.text, |written| &written.text)
    }
}

impl Node {
    /// The entry of a map by its key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Kind::List(_) | Kind::Scalar(_) => None,
        }
    }

    /// The value as JSON.
    pub(crate) fn value(&self) -> Value {
        self.map_scalars(&Scalar::value)
    }

    /// The value as JSON, references unresolved.
    pub(crate) fn written(&self) -> Value {
        self.map_scalars(&|scalar| match &scalar.reference {
            Some(written) => Value::String(written.text.clone()),
            None => scalar.value(),
        })
    }

    fn map_scalars(&self, value: &impl Fn(&Scalar) -> Value) -> Value {
        match &self.kind {
            Kind::Scalar(scalar) => value(scalar),
            Kind::List(items) => Value::Array(items.iter().map(|item| item.map_scalars(value)).collect()),
            Kind::Map(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.clone(), entry.value.map_scalars(value)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// The scalars at and below this node, each with its place.
    pub(crate) fn scalars<'a>(&'a self, at: &Pointer, visit: &mut impl FnMut(&Pointer, &'a Scalar)) {
        match &self.kind {
            Kind::Scalar(scalar) => visit(at, scalar),
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.scalars(&at.at(index), visit);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    entry.value.scalars(&at.at(&entry.key), visit);
                }
            }
        }
    }
}

/// What a plain scalar is by the core schema of YAML 1.2.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// The number that these characters are by the core schema, if they are one and it is finite.
fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+')).map(Number::from);
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let begins_well = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let digits = unsigned.bytes().any(|byte| byte.is_ascii_digit());
    let characters = unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if !begins_well || !digits || !characters {
        return None;
    }
    let whole = unsigned.bytes().all(|byte| byte.is_ascii_digit());
    let integer = || text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from)).ok();
    whole.then(integer).flatten().or_else(|| text.parse().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_are_what_the_core_schema_of_yaml_1_2_says() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("True", json!(true)),
            ("no", json!("no")),
            ("on", json!("on")),
            ("1", json!(1)),
            ("+1", json!(1)),
            ("-7", json!(-7)),
            ("010", json!(10)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("1.2", json!(1.2)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1e999", json!("1e999")),
            (".inf", json!(".inf")),
            ("1_000", json!("1_000")),
            ("5s", json!("5s")),
            ("-", json!("-")),
            (".", json!(".")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("0x+1", json!("0x+1")),
            ("12:30", json!("12:30")),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }
}
