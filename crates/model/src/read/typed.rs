//! A value read as a type, with every mistake at its place and not only the first.

use std::collections::{HashMap, HashSet};

use problem::{Finding, Pointer};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Reads a part of a document, such as the settings of a policy. Every mistake is found and stands at its place below `at`.
pub fn part<T: DeserializeOwned>(value: &Value, at: &Pointer) -> Result<T, Vec<Finding>> {
    let mut findings = Vec::new();
    match except(value, at, |_| None, &mut HashSet::new(), &mut findings) {
        Some(read) if findings.is_empty() => Ok(read),
        _ => Err(findings),
    }
}

/// Reads a value without what is known to be wrong in it, and adds what else is wrong, to both.
///
/// A type's reading ends at its first mistake. So the mistake is left out and the reading done again, until nothing is
/// wrong or what is left cannot be read for want of what was left out. Where something cannot be missing, `stand_in` may
/// give something else.
pub(crate) fn except<T: DeserializeOwned>(
    value: &Value,
    at: &Pointer,
    stand_in: StandIn,
    wrong: &mut HashSet<Pointer>,
    findings: &mut Vec<Finding>,
) -> Option<T> {
    let known: Vec<_> = findings.iter().map(|finding| finding.at.to_string()).collect();
    for _ in 0..MAX_MISTAKES {
        let left =
            if wrong.is_empty() { value.clone() } else { without(value, at, wrong, &substitutes(wrong, stand_in)) };
        let error = match serde_path_to_error::deserialize::<_, T>(&left) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let (place, found) = follow(value, at, error.path(), wrong);
        let message = error.inner().to_string();
        if !follows(&message, &place, &known, wrong) {
            findings.push(Finding::new(&place, explained(&message, found)));
        }
        let missing = missing(&message).map(|name| place.at(name)).filter(|at| stand_in(at).is_some());
        let place = missing.unwrap_or(place);
        if place == *at || !wrong.insert(place) {
            return None;
        }
    }
    findings.push(Finding::new(at, "there may be more mistakes; put these right first"));
    None
}

/// Whether a mistake is only what follows from one that is known: something is missing that was left out, or a whole
/// does not fit because a part does not.
fn follows(message: &str, place: &Pointer, known: &[String], wrong: &HashSet<Pointer>) -> bool {
    let below = format!("{place}/");
    known.iter().any(|at| at == place.as_str() || at.starts_with(&below))
        || missing(message).is_some_and(|name| wrong.contains(&place.at(name)))
}

/// The field that a type complains of not finding.
fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// What stands in for what is left out, by the place of the map that it belongs to.
fn substitutes(wrong: &HashSet<Pointer>, stand_in: StandIn) -> Substitutes {
    let mut substitutes = Substitutes::new();
    for at in wrong {
        if let (Some(parent), Some(key), Some(value)) = (at.parent(), super::source::steps(at).last(), stand_in(at)) {
            substitutes.entry(parent).or_default().push((key, value));
        }
    }
    substitutes
}

/// The value with everything left out that stands at one of these places.
fn without(value: &Value, at: &Pointer, wrong: &HashSet<Pointer>, substitutes: &Substitutes) -> Value {
    match value {
        Value::Array(items) => {
            let places = items.iter().enumerate().map(|(index, item)| (at.at(index), item));
            let kept = places.filter(|(at, _)| !wrong.contains(at));
            Value::Array(kept.map(|(at, item)| without(item, &at, wrong, substitutes)).collect())
        }
        Value::Object(entries) => {
            let places = entries.iter().map(|(key, value)| (at.at(key), key, value));
            let kept = places.filter(|(at, ..)| !wrong.contains(at));
            let kept = kept.map(|(at, key, value)| (key.clone(), without(value, &at, wrong, substitutes)));
            Value::Object(kept.chain(substitutes.get(at).cloned().unwrap_or_default()).collect())
        }
        _ => value.clone(),
    }
}

/// The place that a path leads to, whose indexes do not count what was left out.
fn follow<'a>(value: &'a Value, at: &Pointer, path: &Path, wrong: &HashSet<Pointer>) -> (Pointer, &'a Value) {
    let (mut value, mut at) = (value, at.clone());
    for segment in path {
        let next = match (segment, value) {
            (Segment::Seq { index }, Value::Array(items)) => {
                let places = items.iter().enumerate().map(|(index, item)| (at.at(index), item));
                places.filter(|(at, _)| !wrong.contains(at)).nth(*index)
            }
            (Segment::Map { key } | Segment::Enum { variant: key }, Value::Object(entries)) => {
                entries.get(key).map(|value| (at.at(key), value))
            }
            _ => None,
        };
        match next {
            Some(next) => (at, value) = next,
            None => break,
        }
    }
    (at, value)
}

/// A message together with the text that it is about.
fn explained(message: &str, value: &Value) -> String {
    match value {
        Value::String(text) if !message.contains(text.as_str()) => format!("`{text}`: {message}"),
        _ => message.to_owned(),
    }
}

/// Gives what can stand at a place whose own value is wrong or missing.
type StandIn = fn(&Pointer) -> Option<Value>;

/// Keys and values by the place of their map.
type Substitutes = HashMap<Pointer, Vec<(String, Value)>>;

/// How often a document is read again at most, each time without one more mistake.
const MAX_MISTAKES: usize = 200;
