//! Bodies of XML: the texts of elements and attributes that a simple path of `XPath` leads to.
//!
//! Entities of a document type are never expanded, and nothing outside of the body is ever read: that a body refers to them
//! is a mistake, told in the end. What was read before a mistake stays.

mod encoding;
mod markup;
mod path;
mod reading;

use std::borrow::Cow;
use std::ops::Range;

pub use self::path::Path;

/// What a body may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Elements within each other.
    pub depth: usize,
    /// Elements and attributes.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 256, nodes: 100_000 }
    }
}

/// A body that was read.
///
/// The text of an element with all elements within it is one piece of the text of the document, so that nothing is copied
/// when values are asked for.
#[derive(Clone, Debug, Default)]
pub struct Xml {
    text: String,
    names: String,
    /// In the order in which they begin.
    elements: Vec<Element>,
    attributes: Vec<Attribute>,
    runs: Vec<Run>,
    /// Whether there is a document type, which may define entities that others expand.
    pub has_document_type: bool,
    /// Why it is not well-formed.
    pub error: Option<Cow<'static, str>>,
}

#[derive(Clone, Debug)]
struct Element {
    /// The element that it is in, as a place in the list.
    parent: Option<usize>,
    name: Range<usize>,
    text: Range<usize>,
}

#[derive(Clone, Debug)]
struct Attribute {
    element: usize,
    name: Range<usize>,
    /// Where its value stands among the names.
    value: Range<usize>,
}

/// A text without an element within it.
#[derive(Clone, Debug)]
struct Run {
    element: usize,
    text: Range<usize>,
}

/// Reads a body.
pub fn read(body: &[u8], limits: &Limits) -> Xml {
    let (document, fault) = encoding::decoded(body);
    let mut xml = Xml::default();
    let outcome = reading::read(&document, limits, &mut xml);
    // What is no text ends the document, and is why it ends too early.
    xml.error = fault.map(Cow::Borrowed).or(outcome.err());
    xml
}

impl Xml {
    /// The values that a path leads to, in the order of the document.
    pub fn values(&self, path: &Path) -> Vec<&[u8]> {
        path.select(self)
    }

    /// Each element with its text, and each attribute with its value, by their names.
    pub fn named(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let elements = self.elements.iter().map(|element| (self.name(&element.name), self.text(&element.text)));
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|one| (self.name(&one.name), self.name(&one.value).as_bytes()));
        elements.chain(attributes).map(|(name, value)| (name.as_bytes(), value))
    }

    fn name(&self, range: &Range<usize>) -> &str {
        self.names.get(range.clone()).unwrap_or_default()
    }

    fn text(&self, range: &Range<usize>) -> &[u8] {
        self.text.get(range.clone()).unwrap_or_default().as_bytes()
    }
}

#[cfg(test)]
mod tests;
