//! What can be read of a document in which something is wrong, so that all of its mistakes are told at once.

use std::collections::HashSet;

use problem::{Finding, Pointer};
use serde_json::{Value, json};

use super::source::{Source, steps};
use crate::Document;

/// A document that cannot be served as it is written.
#[derive(Debug)]
pub struct Wrong {
    /// Everything that reading has found.
    pub findings: Vec<Finding>,
    /// What is left without it, unless that makes no sense.
    pub rest: Option<Box<Rest>>,
}

/// A document without what is wrong in it. It is there to be looked at, and never to be served.
#[derive(Debug)]
pub struct Rest {
    /// The document.
    pub document: Document,
    /// Where each part of it is written.
    pub source: Source,
    value: Value,
    left_out: HashSet<Pointer>,
    touched: HashSet<Pointer>,
}

impl Rest {
    pub(super) fn new(
        document: Document,
        source: Source,
        value: Value,
        left_out: HashSet<Pointer>,
        mut touched: HashSet<Pointer>,
    ) -> Self {
        touched.extend(left_out.iter().cloned());
        Self { document, source, value, left_out, touched }
    }

    /// Whether something is wrong with this part of the text, so that nothing can be concluded from what is left of it, or
    /// from that it is missing.
    pub fn is_doubtful(&self, at: &Pointer) -> bool {
        let mut parts = std::iter::successors(Some(at.clone()), Pointer::parent);
        let is_missing = |part: &Pointer| is_section(part) && self.value.pointer(part.as_str()).is_none();
        // A section that is not there may be the one whose name is written wrong.
        let may_be_meant = |part: &Pointer| is_missing(part) && self.left_out.iter().any(is_section);
        self.touched.iter().any(|wrong| stands_in(wrong, at))
            || parts.any(|part| self.left_out.contains(&part) || may_be_meant(&part))
    }

    /// Keeps of what was found about the document what does not follow from what is wrong anyway, at the places of the text.
    pub fn keep_new(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let written = findings.into_iter().map(|finding| Finding { at: self.written(&finding.at), ..finding });
        written.filter(|finding| !self.is_doubtful(&finding.at)).collect()
    }

    /// Where in the text a place of the document is: lists have become shorter by what was left out.
    fn written(&self, at: &Pointer) -> Pointer {
        let (mut place, mut value) = (Pointer::default(), Some(&self.value));
        for step in steps(at) {
            let key = match (value, step.parse::<usize>()) {
                (Some(Value::Array(items)), Ok(index)) => {
                    let kept = (0..items.len()).filter(|index| !self.left_out.contains(&place.at(index)));
                    kept.clone().nth(index).map_or(step, |index| index.to_string())
                }
                _ => step,
            };
            place = place.at(&key);
            value = value.and_then(|value| match value {
                Value::Array(items) => items.get(key.parse::<usize>().ok()?),
                Value::Object(entries) => entries.get(&key),
                _ => None,
            });
        }
        place
    }
}

/// Whether a place is this part or in it.
fn stands_in(place: &Pointer, part: &Pointer) -> bool {
    let rest = place.as_str().strip_prefix(part.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_section(at: &Pointer) -> bool {
    at.parent() == Some(Pointer::default())
}

/// What stands where something is wrong that no document can be without, so that everything around it can be looked at.
pub(super) fn stand_in(at: &Pointer) -> Option<Value> {
    let steps: Vec<_> = steps(at).collect();
    let steps: Vec<_> = steps.iter().map(String::as_str).collect();
    match steps.as_slice() {
        ["version"] => Some(json!(1)),
        ["listeners"] => Some(json!({})),
        ["listeners", _, "bind"] => Some(json!("127.0.0.1:0")),
        ["upstreams", _, "targets"] => Some(json!(["http://127.0.0.1:9"])),
        ["apis", _, "match"] => Some(json!({ "path": "/" })),
        ["apis", _, "match", "path"] | ["apis", _, "match", _, "path"] => Some(json!("/")),
        ["products", _, "operations"] => Some(json!([])),
        _ => None,
    }
}
