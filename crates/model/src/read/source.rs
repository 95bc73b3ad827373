//! Where everything in a document stands, and what in it is secret.

use std::collections::BTreeMap;
use std::fmt;

use problem::{Finding, Place, Pointer};
use serde_json::Value;

use super::tree::{Kind, Mark, Node, Written};

/// The file that a document was read from.
#[derive(Clone)]
pub struct Source {
    file: String,
    root: Node,
    references: BTreeMap<String, Reference>,
}

/// A text that came from somewhere else, wholly or in part.
#[derive(Clone)]
struct Reference {
    written: Written,
    resolved: String,
}

impl Source {
    pub(crate) fn new(file: &str, root: Node) -> Self {
        let mut references = BTreeMap::new();
        root.scalars(&Pointer::default(), &mut |at, scalar| {
            if let Some(written) = &scalar.reference {
                let reference = Reference { written: written.clone(), resolved: scalar.text.clone() };
                references.insert(at.to_string(), reference);
            }
        });
        Self { file: file.to_owned(), root, references }
    }

    /// The file as the operator named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where something stands. What is not there stands where it should be: in the nearest map or list around it.
    pub fn place(&self, at: &Pointer) -> Place {
        let (mut node, mut mark) = (&self.root, self.root.mark);
        for step in steps(at) {
            match &node.kind {
                Kind::Scalar(_) => break,
                Kind::List(items) => {
                    let Some(item) = step.parse::<usize>().ok().and_then(|index| items.get(index)) else { break };
                    (node, mark) = (item, item.mark);
                }
                Kind::Map(_) => {
                    let Some(entry) = node.entry(&step) else { break };
                    node = &entry.value;
                    mark = if node.begins_on_the_line_of(entry.mark) { node.mark } else { entry.mark };
                }
            }
        }
        Place { file: self.file.clone(), line: mark.line, column: mark.column }
    }

    /// Adds the place to findings that have none yet, and takes out secrets that others have put in.
    pub fn locate(&self, findings: &mut [Finding]) {
        for finding in findings {
            if finding.place.is_none() {
                finding.place = Some(self.place(&finding.at));
            }
            for reference in self.references.values() {
                mask(&mut finding.message, &reference.resolved, &reference.written.text);
                for secret in &reference.written.secrets {
                    mask(&mut finding.message, &secret.value, &secret.written);
                }
            }
            // A message may quote a part of a secret only, such as the word at which an expression makes no sense.
            let about = self.references.iter().filter(|(at, _)| is_about(&finding.at, at));
            if let Some((_, reference)) = about.into_iter().find(|(_, reference)| reference.is_in(&finding.message)) {
                finding.message = does_not_fit(&reference.written.text);
            }
        }
    }

    /// Whether something in the document is this reference.
    pub(crate) fn refers_to(&self, reference: &str) -> bool {
        let mut secrets = self.references.values().flat_map(|reference| &reference.written.secrets);
        secrets.any(|secret| secret.written == reference)
    }

    /// Puts findings in order: each with its place, by places, and none twice. What stands in another file follows, and is told
    /// once, however many parts of the document name that file.
    pub fn tidy(&self, findings: &mut Vec<Finding>) {
        self.locate(findings);
        for finding in &mut *findings {
            if finding.place.as_ref().is_some_and(|place| place.file != self.file) {
                finding.at = Pointer::default();
            }
        }
        let order = |place: &Place| (place.file != self.file, place.file.clone(), place.line, place.column);
        findings.sort_by_cached_key(|finding| finding.place.as_ref().map(order));
        findings.dedup();
    }

    /// What was written instead of the value at this place, if the value came from a reference.
    pub fn reference(&self, at: &Pointer) -> Option<&str> {
        self.references.get(at.as_str()).map(|reference| reference.written.text.as_str())
    }

    /// What was written at this place, references unresolved.
    pub fn written(&self, at: &Pointer) -> Option<Value> {
        let mut node = &self.root;
        for step in steps(at) {
            node = match &node.kind {
                Kind::Scalar(_) => return None,
                Kind::List(items) => items.get(step.parse::<usize>().ok()?)?,
                Kind::Map(_) => &node.entry(&step)?.value,
            };
        }
        Some(node.written())
    }

    /// What was written instead of some value at this place or below it.
    pub(crate) fn reference_within(&self, at: &Pointer) -> Option<&str> {
        let below = format!("{at}/");
        let mut from_here = self.references.range(at.as_str().to_owned()..);
        let found = from_here.find(|(pointer, _)| pointer.as_str() == at.as_str() || pointer.starts_with(&below));
        found.map(|(_, reference)| reference.written.text.as_str())
    }
}

impl Reference {
    /// Whether a message has some piece of what one of the references stands for which stands in none of their names.
    fn is_in(&self, message: &str) -> bool {
        let mut secrets = self.written.secrets.iter();
        secrets.any(|secret| {
            let value: Vec<char> = secret.value.chars().collect();
            let mut pieces = value.windows(PIECE).map(|piece| piece.iter().collect::<String>());
            pieces.any(|piece| message.contains(&piece) && !self.written.text.contains(&piece))
        })
    }
}

/// What is said where what a reference gave does not fit, and why would tell what it gave.
pub(super) fn does_not_fit(written: &str) -> String {
    format!("what `{written}` stands for does not fit here")
}

/// Puts what was written in the place of a secret.
fn mask(message: &mut String, secret: &str, written: &str) {
    if secret.chars().count() >= MASKED && message.contains(secret) {
        *message = message.replace(secret, written);
    }
}

/// Whether what is said of one place may be about what stands at another: at it, in it or around it.
fn is_about(said: &Pointer, at: &str) -> bool {
    let said = said.as_str();
    let stands_in = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    stands_in(at, said) || stands_in(said, at)
}

/// Secrets are not printed by accident.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The keys and indexes of a pointer.
pub(crate) fn steps(at: &Pointer) -> impl Iterator<Item = String> {
    at.as_str().split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
}

impl Node {
    /// Whether there is something to point at beside the key.
    fn begins_on_the_line_of(&self, key: Mark) -> bool {
        let is_empty = matches!(&self.kind, Kind::Scalar(scalar) if scalar.shown().is_empty());
        self.mark.line == key.line && !is_empty
    }
}

/// Shorter texts are no secrets, and taking them out would make a message unreadable.
const MASKED: usize = 3;

/// So many characters of a secret in a row are told by nobody. Fewer are in many words.
const PIECE: usize = 8;
