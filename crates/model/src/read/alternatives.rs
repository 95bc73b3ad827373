//! Which of several schemas a value was meant for, and what to say if it was meant for none.

use problem::Pointer;
use serde_json::{Map, Value};

use super::check::{Check, Found, has_alternatives, kind_fits, types, words};
use super::suggest::{advice, nearest, quoted};
use super::tree::{Entry, Kind, Node, Scalar, plain};
use crate::formats;

type Schema = Map<String, Value>;

impl<'a> Check<'a> {
    /// Holds a value against the alternative that it was most likely meant for.
    pub(super) fn alternatives(&self, node: &Node, schema: &'a Schema, at: &Pointer, found: &mut Found) {
        let leaves = self.leaves(schema);
        let fitting: Vec<_> =
            leaves.iter().copied().filter(|leaf| leaf.as_object().is_none_or(|leaf| kind_fits(node, leaf))).collect();
        match (fitting.as_slice(), &node.kind) {
            ([], _) => self.mismatch(node, schema, at, found),
            ([only], _) => self.value(node, only, at, found),
            (several, Kind::Map(_)) => self.one_of_maps(node, several, at, found),
            (several, Kind::Scalar(_)) => self.one_of_scalars(node, several, at, found),
            (several, Kind::List(_)) => self.fewest(node, several, at, found),
        }
    }

    /// The schemas that are left when every choice and reference is followed.
    fn leaves(&self, schema: &'a Schema) -> Vec<&'a Value> {
        let choices = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
        choices.flat_map(|choice| self.leaves_of(choice)).collect()
    }

    fn leaves_of(&self, choice: &'a Value) -> Vec<&'a Value> {
        match choice.as_object() {
            Some(schema) if has_alternatives(schema) => self.leaves(schema),
            Some(schema) => self.target(schema).map_or_else(|| vec![choice], |target| self.leaves_of(target)),
            None => vec![choice],
        }
    }

    fn one_of_scalars(&self, node: &Node, several: &[&'a Value], at: &Pointer, found: &mut Found) {
        for leaf in several {
            let mut tried = Found::default();
            self.value(node, leaf, at, &mut tried);
            if tried.findings.is_empty() {
                return found.extend(tried);
            }
        }
        let is_free = |leaf: &&&'a Value| leaf.as_object().is_some_and(|leaf| words(leaf).is_empty());
        if let [free] = several.iter().filter(is_free).collect::<Vec<_>>().as_slice() {
            return self.value(node, free, at, found);
        }
        let names: Vec<_> =
            several.iter().filter_map(|leaf| leaf.as_object()).flat_map(words).filter_map(Value::as_str).collect();
        let Kind::Scalar(scalar) = &node.kind else { return };
        let shown = scalar.shown();
        let message = match nearest(shown, names.iter().copied()) {
            Some(near) => format!("`{shown}` is not known here; did you mean `{near}`?"),
            None => format!("`{shown}` is not known here; write {}", expected_of(several)),
        };
        found.wrong(at, message);
    }

    /// Maps are told apart by the keys that they know, or by a key whose value is one of a few words.
    fn one_of_maps(&self, node: &Node, several: &[&'a Value], at: &Pointer, found: &mut Found) {
        let Kind::Map(entries) = &node.kind else { return };
        // The last of the greatest wins; reversed, the first one does.
        let rated = several.iter().map(|leaf| (likeness(entries, leaf), leaf)).rev();
        let best = rated.max_by_key(|(likeness, _)| *likeness);
        match best {
            Some((1.., leaf)) => {
                let Some(tag) = single_key(leaf) else { return self.value(node, leaf, at, found) };
                let tags: Vec<_> = several.iter().filter_map(|leaf| single_key(leaf)).collect();
                for other in entries.iter().filter(|entry| entry.key != tag && tags.contains(&entry.key.as_str())) {
                    let message = format!("`{}` cannot stand beside `{tag}`; leave one of them out", other.key);
                    self.at_key(&at.at(&other.key), other.mark, message, found);
                }
                let is_second = |entry: &&Entry| entry.key == tag || !tags.contains(&entry.key.as_str());
                let kept = entries.iter().filter(is_second).cloned().collect();
                self.value(&Node { mark: node.mark, kind: Kind::Map(kept) }, leaf, at, found);
            }
            _ => self.no_map(node, several, at, found),
        }
    }

    /// No key says which map was meant.
    fn no_map(&self, node: &Node, several: &[&'a Value], at: &Pointer, found: &mut Found) {
        let Kind::Map(entries) = &node.kind else { return };
        let tags: Vec<_> = several.iter().filter_map(|leaf| single_key(leaf)).collect();
        if tags.len() < several.len() {
            return self.fewest(node, several, at, found);
        }
        for entry in entries {
            let message = format!("unknown key `{}`{}", entry.key, advice(&entry.key, &tags));
            self.at_key(&at.at(&entry.key), entry.mark, message, found);
        }
        if entries.is_empty() {
            found.wrong(at, format!("is empty; write one of {}", quoted(&tags, "or")));
        }
        found.wrong.insert(at.clone());
    }

    /// What the alternative finds that finds the least.
    fn fewest(&self, node: &Node, several: &[&'a Value], at: &Pointer, found: &mut Found) {
        let tried = several.iter().map(|leaf| {
            let mut tried = Found::default();
            self.value(node, leaf, at, &mut tried);
            tried
        });
        if let Some(best) = tried.min_by_key(|tried| tried.findings.len()) {
            found.extend(best);
        }
    }

    /// A value is of another type than all that the schema allows.
    pub(super) fn mismatch(&self, node: &Node, schema: &'a Schema, at: &Pointer, found: &mut Found) {
        let leaves = self.leaves_or_self(schema);
        let expected = join(&leaves);
        let message = match &node.kind {
            Kind::Map(_) => format!("is a map; write {expected}"),
            Kind::List(_) => format!("is a list; write {expected}"),
            Kind::Scalar(scalar) => match &scalar.reference {
                Some(written) => format!("what `{}` stands for does not fit; write {expected}", written.text),
                None => scalar_mismatch(scalar, &leaves, &expected),
            },
        };
        found.wrong(at, message);
    }

    fn leaves_or_self(&self, schema: &'a Schema) -> Vec<&'a Schema> {
        if has_alternatives(schema) {
            return self.leaves(schema).into_iter().filter_map(Value::as_object).collect();
        }
        vec![schema]
    }

    /// What a schema asks for, to be read after "write".
    pub(super) fn expected(&self, schema: &'a Schema) -> String {
        join(&self.leaves_or_self(schema))
    }
}

/// What to write instead of a scalar that is of none of the types of some schemas.
fn scalar_mismatch(scalar: &Scalar, leaves: &[&Schema], expected: &str) -> String {
    let text = scalar.text.as_str();
    let value = scalar.value();
    let allows = |kind: &str| leaves.iter().any(|leaf| types(leaf).contains(&kind));
    let is_key = |leaf: &&Schema| leaf.get("properties").is_some_and(|properties| properties.get(text).is_some());
    if value.is_string() {
        return match text {
            _ if allows("boolean") && YES.contains(&text) => format!("`{text}` is text; write `true`"),
            _ if allows("boolean") && NO.contains(&text) => format!("`{text}` is text; write `false`"),
            _ if plain(text).is_number() && (allows("integer") || allows("number")) => {
                format!("`\"{text}\"` is text; write it without quotes")
            }
            _ if leaves.iter().any(is_key) => format!("`{text}` is a key; write `{text}:` with its settings"),
            _ if text.chars().count() > SHOWN => format!("is text; write {expected}"),
            _ if allows("array") && !allows("object") => format!("`{text}` is not a list; write `[{text}]`"),
            _ => format!("`{text}` is not {expected}"),
        };
    }
    if value.is_null() {
        return if text.is_empty() {
            format!("is empty; write {expected}")
        } else {
            format!("`{text}` is not {expected}")
        };
    }
    let format = leaves.iter().find_map(|leaf| formats::named(leaf.get("format")?.as_str()?));
    match format.and_then(|format| (format.complaint)(text)) {
        Some(complaint) => complaint,
        None if allows("string") => format!("`{text}` is not text; put it in quotes: `\"{text}\"`"),
        None => format!("`{text}` is not {expected}"),
    }
}

fn expected_of(several: &[&Value]) -> String {
    join(&several.iter().filter_map(|leaf| leaf.as_object()).collect::<Vec<_>>())
}

/// What some schemas ask for: words first, then everything else, each once.
fn join(leaves: &[&Schema]) -> String {
    let words = leaves.iter().flat_map(|leaf| words(leaf)).map(|word| match word {
        Value::String(word) => format!("`{word}`"),
        other => format!("`{other}`"),
    });
    let others = leaves.iter().flat_map(|leaf| others(leaf));
    let mut all: Vec<String> = Vec::new();
    for one in words.chain(others) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    match all.as_slice() {
        [] => "something else".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn others(leaf: &Schema) -> Vec<String> {
    if !words(leaf).is_empty() {
        return Vec::new();
    }
    let format = leaf.get("format").and_then(Value::as_str).and_then(formats::named);
    let named = |kind: &str| match (kind, format) {
        ("string", Some(format)) => Some(format.form.to_owned()),
        ("string", None) => Some("text".to_owned()),
        ("integer", _) => Some("a whole number".to_owned()),
        ("number", _) => Some("a number".to_owned()),
        ("boolean", _) => Some("`true` or `false`".to_owned()),
        ("array", _) => Some("a list".to_owned()),
        ("object", _) => Some(map_form(leaf)),
        _ => None,
    };
    types(leaf).into_iter().filter_map(named).collect()
}

fn map_form(leaf: &Schema) -> String {
    let required = leaf.get("required").and_then(Value::as_array).into_iter().flatten();
    let required: Vec<_> = required.filter_map(Value::as_str).collect();
    if required.is_empty() { "a map".to_owned() } else { format!("a map with {}", quoted(&required, "and")) }
}

/// How much a map looks like what a schema describes.
fn likeness(entries: &[Entry], leaf: &Value) -> usize {
    let Some(properties) = leaf.get("properties").and_then(Value::as_object) else { return 0 };
    let of = |entry: &Entry| match (properties.get(&entry.key), &entry.value.kind) {
        (None, _) => 0,
        (Some(Value::Object(schema)), Kind::Scalar(scalar)) if words(schema).contains(&&scalar.value()) => TAG,
        (Some(_), _) => 1,
    };
    entries.iter().map(of).sum()
}

/// The only key that a map can have, where it tells the alternatives apart.
fn single_key(leaf: &Value) -> Option<&str> {
    let properties = leaf.get("properties")?.as_object()?;
    let mut keys = properties.keys();
    let (only, None) = (keys.next()?, keys.next()) else { return None };
    leaf.get("required")?.as_array()?.iter().any(|name| name == only.as_str()).then_some(only)
}

/// How many keys in common one fitting word outweighs.
const TAG: usize = 100;
/// A text longer than this is not repeated in a message.
const SHOWN: usize = 60;
const YES: [&str; 6] = ["yes", "Yes", "YES", "on", "On", "ON"];
const NO: [&str; 6] = ["no", "No", "NO", "off", "Off", "OFF"];
