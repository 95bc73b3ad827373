//! One thing wrong with a configuration document, and where.

use std::fmt;

/// Where in a document something stands, as a JSON Pointer (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(String);

impl Pointer {
    /// The place of `key` below this one.
    #[must_use]
    pub fn at(&self, key: impl fmt::Display) -> Self {
        let key = key.to_string();
        if key.contains(['~', '/']) {
            return Self(format!("{}/{}", self.0, key.replace('~', "~0").replace('/', "~1")));
        }
        Self(format!("{}/{key}", self.0))
    }

    /// The pointer as written, empty for the whole document.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The place that this one stands in, unless it is the whole document.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as the operator named it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where in the document.
    pub at: Pointer,
    /// Where in the file, once the reader of the file has looked it up.
    pub place: Option<Place>,
    /// What, and what to write instead.
    pub message: String,
}

impl Finding {
    /// A finding at a place in the document.
    pub fn new(at: &Pointer, message: impl Into<String>) -> Self {
        Self { at: at.clone(), place: None, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { file, line, column }) = &self.place {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        if !self.at.0.is_empty() {
            write!(f, "{}: ", self.at.0)?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_slash_stays_one_step() {
        assert_eq!(Pointer::default().at("apis").at("a/b~c").as_str(), "/apis/a~1b~0c");
    }

    #[test]
    fn a_finding_names_file_line_and_column_when_they_are_known() {
        let mut finding = Finding::new(&Pointer::default().at("apis"), "is empty");
        assert_eq!(finding.to_string(), "/apis: is empty");
        finding.place = Some(Place { file: "vestibule.yaml".into(), line: 3, column: 7 });
        assert_eq!(finding.to_string(), "vestibule.yaml:3:7: /apis: is empty");
    }
}
