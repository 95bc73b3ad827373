//! A tree of YAML, as far as test files need it.

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::Unreadable;

/// A node of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// A text, and whether it was written without quotes.
    Scalar(String, Written),
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>),
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Plain,
    Quoted,
}

impl Node {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Mapping(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            Self::Scalar(..) | Self::Sequence(_) => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar(text, written) => {
                let is_null = *written == Written::Plain && matches!(text.as_str(), "" | "~" | "null");
                (!is_null).then_some(text)
            }
            Self::Sequence(_) | Self::Mapping(_) => None,
        }
    }

    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::Sequence(nodes) => nodes,
            Self::Scalar(..) | Self::Mapping(_) => &[],
        }
    }

    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Mapping(entries) => entries,
            Self::Scalar(..) | Self::Sequence(_) => &[],
        }
    }
}

/// What is being built.
enum Open {
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>, Option<String>),
}

/// Reads a document; one of comments alone holds nothing.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Unreadable> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| Unreadable::Yaml { line: error.marker().line(), what: error.to_string() })?;
        let wrong = |what: &str| Unreadable::Yaml { line: span.start.line(), what: what.to_owned() };
        let done = match event {
            Event::Scalar(value, style, ..) => {
                let written = if style == ScalarStyle::Plain { Written::Plain } else { Written::Quoted };
                Some(Node::Scalar(value.into_owned(), written))
            }
            Event::SequenceStart(..) => {
                open.push(Open::Sequence(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Mapping(Vec::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::Sequence(nodes)) => Some(Node::Sequence(nodes)),
                Some(Open::Mapping(entries, _)) => Some(Node::Mapping(entries)),
                None => return Err(wrong("ends what did not begin")),
            },
            Event::Alias(_) => return Err(wrong("aliases are not read")),
            _ => None,
        };
        let Some(node) = done else { continue };
        match open.last_mut() {
            None => root = root.or(Some(node)),
            Some(Open::Sequence(nodes)) => nodes.push(node),
            Some(Open::Mapping(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => match node {
                    Node::Scalar(text, _) => *key = Some(text),
                    Node::Sequence(_) | Node::Mapping(_) => return Err(wrong("a key must be a text")),
                },
            },
        }
    }
    Ok(root)
}
