//! A tree held against a JSON Schema, with all mistakes at once and in an operator's words.

use std::collections::HashSet;

use problem::{Finding, Place, Pointer};
use regex_lite::Regex;
use serde_json::{Map, Value};

use super::suggest::{advice, nearest, quoted};
use super::tree::{Entry, Kind, Mark, Node, Scalar, plain};
use crate::formats;

/// What a check has found.
pub(crate) struct Checked {
    /// What is wrong.
    pub(crate) findings: Vec<Finding>,
    /// The places that cannot be read as a type, because they are wrong.
    pub(crate) wrong: HashSet<Pointer>,
    /// The value, with what references gave in the type that the schema asks for.
    pub(crate) value: Value,
}

/// Holds a tree against a schema, except at the places that are `skipped`.
pub(crate) fn check(tree: &Node, schema: &Value, file: &str, skipped: &HashSet<Pointer>) -> Checked {
    let mut found = Found::default();
    Check { root: schema, file, skipped }.value(tree, schema, &Pointer::default(), &mut found);
    let mut value = tree.value();
    for (at, coerced) in found.coerced {
        if let Some(place) = value.pointer_mut(at.as_str()) {
            *place = coerced;
        }
    }
    Checked { findings: found.findings, wrong: found.wrong, value }
}

/// What is known during a check.
pub(super) struct Check<'a> {
    root: &'a Value,
    file: &'a str,
    skipped: &'a HashSet<Pointer>,
}

/// What has been found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    pub(super) wrong: HashSet<Pointer>,
    pub(super) coerced: Vec<(Pointer, Value)>,
}

impl Found {
    /// Says that the value at a place is wrong.
    pub(super) fn wrong(&mut self, at: &Pointer, message: impl Into<String>) {
        self.wrong.insert(at.clone());
        self.findings.push(Finding::new(at, message));
    }

    /// Takes over what was found elsewhere.
    pub(super) fn extend(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.wrong.extend(other.wrong);
        self.coerced.extend(other.coerced);
    }
}

impl<'a> Check<'a> {
    /// Holds one value against one schema.
    pub(super) fn value(&self, node: &Node, schema: &'a Value, at: &Pointer, found: &mut Found) {
        if self.skipped.contains(at) {
            found.wrong.insert(at.clone());
            return;
        }
        let Some(schema) = schema.as_object() else { return };
        if let Some(target) = self.target(schema) {
            self.value(node, target, at, found);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.value(node, part, at, found);
        }
        if has_alternatives(schema) {
            self.alternatives(node, schema, at, found);
        }
        if !kind_fits(node, schema) {
            return self.mismatch(node, schema, at, found);
        }
        match &node.kind {
            Kind::Scalar(scalar) => self.scalar(scalar, schema, at, found),
            Kind::List(items) => self.list(items, schema, at, found),
            Kind::Map(entries) => self.map(entries, schema, at, found),
        }
    }

    /// The schema that a `$ref` names.
    pub(super) fn target(&self, schema: &Map<String, Value>) -> Option<&'a Value> {
        let reference = schema.get("$ref")?.as_str()?;
        self.root.pointer(reference.strip_prefix('#')?)
    }

    fn scalar(&self, scalar: &Scalar, schema: &Map<String, Value>, at: &Pointer, found: &mut Found) {
        let mut value = scalar.value();
        let allowed = types(schema);
        if scalar.reference.is_some() && !allowed.is_empty() && !allowed.contains(&"string") {
            value = plain(&scalar.text);
            found.coerced.push((at.clone(), value.clone()));
        }
        let words = words(schema);
        if !words.is_empty() && !words.contains(&&value) {
            return unknown_word(scalar, &words, at, found);
        }
        let complaint = match &value {
            Value::Number(number) => range(schema, number.as_f64().unwrap_or_default(), scalar.shown()),
            Value::String(text) => form(schema, text),
            _ => None,
        };
        let Some(complaint) = complaint else { return };
        match &scalar.reference {
            Some(written) if !value.is_number() => {
                let written = &written.text;
                found.wrong(at, format!("what `{written}` stands for does not fit; write {}", self.expected(schema)));
            }
            _ => found.wrong(at, complaint),
        }
    }

    fn list(&self, items: &[Node], schema: &'a Map<String, Value>, at: &Pointer, found: &mut Found) {
        if let Some(message) = bounds(schema, "Items", items.len(), "one entry", "entries") {
            found.wrong(at, message);
        }
        let Some(schema) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.value(item, schema, &at.at(index), found);
        }
    }

    fn map(&self, entries: &[Entry], schema: &'a Map<String, Value>, at: &Pointer, found: &mut Found) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let known: Vec<&str> = properties.iter().flat_map(|properties| properties.keys()).map(String::as_str).collect();
        let mut meant = Vec::new();
        for entry in entries {
            let place = at.at(&entry.key);
            match (properties.and_then(|properties| properties.get(&entry.key)), schema.get("additionalProperties")) {
                (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => {
                    self.value(&entry.value, schema, &place, found);
                }
                (None, Some(Value::Bool(false))) => {
                    meant.extend(nearest(&entry.key, known.iter().copied()));
                    let free: Vec<_> = known.iter().copied().filter(|name| !has(entries, name)).collect();
                    let message = format!("unknown key `{}`{}", entry.key, advice(&entry.key, &free));
                    self.at_key(&place, entry.mark, message, found);
                }
                _ => {}
            }
        }
        if let Some(message) = bounds(schema, "Properties", entries.len(), "one entry", "entries") {
            found.wrong(at, message);
        }
        for name in strings(schema.get("required")).filter(|name| !has(entries, name) && !meant.contains(name)) {
            let about = properties.and_then(|properties| properties.get(name)).and_then(|schema| self.about(schema));
            let about = about.map(|about| format!(": {about}")).unwrap_or_default();
            found.findings.push(Finding::new(at, format!("`{name}` is missing{about}")));
        }
        if let Some(names) = exclusive(schema) {
            self.exactly_one(entries, &names, at, found);
        }
    }

    /// Of some keys one must be there, and only one.
    fn exactly_one(&self, entries: &[Entry], names: &[&str], at: &Pointer, found: &mut Found) {
        let present: Vec<_> = entries.iter().filter(|entry| names.contains(&entry.key.as_str())).collect();
        match present.as_slice() {
            [_] => {}
            [] => {
                let stranger = found.findings.iter().any(|finding| finding.at.parent().as_ref() == Some(at));
                found.wrong.insert(at.clone());
                if !stranger {
                    let message = if names.len() > MANY { String::new() } else { format!(": {}", quoted(names, "or")) };
                    found.findings.push(Finding::new(at, format!("one key is missing{message}")));
                }
            }
            [first, others @ ..] => {
                for other in others {
                    let message = format!("`{}` cannot stand beside `{}`; begin it with `-`", other.key, first.key);
                    self.at_key(&at.at(&other.key), other.mark, message, found);
                }
            }
        }
    }

    /// Says that a key is wrong, at the place of the key.
    pub(super) fn at_key(&self, at: &Pointer, mark: Mark, message: String, found: &mut Found) {
        let place = Place { file: self.file.to_owned(), line: mark.line, column: mark.column };
        found.wrong.insert(at.clone());
        found.findings.push(Finding { at: at.clone(), place: Some(place), message });
    }

    /// The first sentence of a schema's description.
    fn about(&self, schema: &'a Value) -> Option<&'a str> {
        let schema = schema.as_object()?;
        let description = schema.get("description").and_then(Value::as_str);
        let description = description.or_else(|| self.target(schema)?.get("description")?.as_str())?;
        Some(description.split(". ").next().unwrap_or(description).trim_end_matches('.'))
    }
}

/// Whether a value is of the type that a schema asks for.
pub(super) fn kind_fits(node: &Node, schema: &Map<String, Value>) -> bool {
    let allowed = types(schema);
    allowed.is_empty() || kinds(node).iter().any(|kind| allowed.contains(kind))
}

fn unknown_word(scalar: &Scalar, words: &[&Value], at: &Pointer, found: &mut Found) {
    let written: Vec<_> =
        words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
    let names: Vec<_> = written.iter().map(String::as_str).collect();
    let shown = scalar.shown();
    let message = match nearest(shown, names.iter().copied()) {
        Some(near) => format!("`{shown}` is not known here; did you mean `{near}`?"),
        None => format!("`{shown}` is not known here; write {}", quoted(&names, "or")),
    };
    found.wrong(at, message);
}

/// Whether a schema leaves a choice of schemas.
pub(super) fn has_alternatives(schema: &Map<String, Value>) -> bool {
    schema.contains_key("anyOf") || schema.contains_key("oneOf") && exclusive(schema).is_none()
}

/// The keys of which exactly one must be there, if `oneOf` says that and nothing else.
fn exclusive(schema: &Map<String, Value>) -> Option<Vec<&str>> {
    let required =
        |part: &'_ Value| -> Option<String> { part.as_object()?.get("required")?.get(0)?.as_str().map(str::to_owned) };
    let parts = schema.get("oneOf")?.as_array()?;
    let only = |part: &Value| part.as_object().is_some_and(|part| part.len() == 1) && required(part).is_some();
    if !parts.iter().all(only) {
        return None;
    }
    Some(parts.iter().filter_map(|part| part.get("required")?.get(0)?.as_str()).collect())
}

/// The types that a schema allows; none means all.
pub(super) fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(only)) => vec![only],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => words(schema).into_iter().map(kind).collect(),
    }
}

/// The values that a schema allows; none means all.
pub(super) fn words(schema: &Map<String, Value>) -> Vec<&Value> {
    let several = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    schema.get("const").into_iter().chain(several).collect()
}

/// The types that a value is of. A whole number is a number too, and a reference can give anything that is no map or list.
pub(super) fn kinds(node: &Node) -> Vec<&'static str> {
    let mut kinds = match &node.kind {
        Kind::List(_) => vec!["array"],
        Kind::Map(_) => vec!["object"],
        Kind::Scalar(scalar) if scalar.reference.is_some() => vec!["string", kind(&plain(&scalar.text))],
        Kind::Scalar(scalar) => vec![kind(&scalar.value())],
    };
    if kinds.contains(&"integer") {
        kinds.push("number");
    }
    kinds
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What is wrong with the form of a text.
fn form(schema: &Map<String, Value>, text: &str) -> Option<String> {
    let format = schema.get("format").and_then(Value::as_str).and_then(formats::named);
    if let Some(format) = format {
        return (format.complaint)(text);
    }
    if let Some(message) = bounds(schema, "Length", text.chars().count(), "one character", "characters") {
        return Some(message);
    }
    let pattern = schema.get("pattern")?.as_str()?;
    let fits = Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
    let example = schema.get("examples").and_then(|examples| examples.get(0)).and_then(Value::as_str);
    let example = example.map(|example| format!(", such as `{example}`")).unwrap_or_default();
    (!fits).then(|| format!("`{text}` does not have the form `{pattern}`{example}"))
}

/// What is wrong with the size of a number.
fn range(schema: &Map<String, Value>, number: f64, shown: &str) -> Option<String> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let format = schema.get("format").and_then(Value::as_str);
    let largest = WIDTHS.iter().find(|(name, _)| Some(*name) == format).map(|(_, largest)| *largest);
    let largest = bound("maximum").into_iter().chain(largest).reduce(f64::min);
    if let Some(least) = bound("minimum").filter(|least| number < *least) {
        return Some(format!("`{shown}` is too small; the least is {least}"));
    }
    if let Some(largest) = largest.filter(|largest| number > *largest) {
        return Some(format!("`{shown}` is too large; the most is {largest}"));
    }
    if let Some(least) = bound("exclusiveMinimum").filter(|least| number <= *least) {
        return Some(format!("`{shown}` is too small; write more than {least}"));
    }
    let most = bound("exclusiveMaximum").filter(|most| number >= *most)?;
    Some(format!("`{shown}` is too large; write less than {most}"))
}

/// What is wrong with how many parts something has.
fn bounds(schema: &Map<String, Value>, what: &str, count: usize, one: &str, many: &str) -> Option<String> {
    let bound = |name: &str| schema.get(&format!("{name}{what}")).and_then(Value::as_u64);
    let named = |bound: u64| if bound == 1 { one.to_owned() } else { format!("{bound} {many}") };
    if let Some(least) = bound("min").filter(|least| (count as u64) < *least) {
        return Some(format!("is too short; write at least {}", named(least)));
    }
    let most = bound("max").filter(|most| count as u64 > *most)?;
    Some(format!("is too long; write at most {}", named(most)))
}

fn has(entries: &[Entry], key: &str) -> bool {
    entries.iter().any(|entry| entry.key == key)
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// How many names are worth listing.
const MANY: usize = 24;

/// The largest numbers of the formats that schemas give to types of numbers.
const WIDTHS: [(&str, f64); 6] = [
    ("uint8", 255.0),
    ("uint16", 65_535.0),
    ("uint32", 4_294_967_295.0),
    ("int8", 127.0),
    ("int16", 32_767.0),
    ("int32", 2_147_483_647.0),
];
