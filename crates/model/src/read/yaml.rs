//! Text to tree: YAML 1.2 without what makes documents hard to trust.
//!
//! Refused: a second document, tags, merge keys, keys that are not text, duplicate keys, tabs that indent, and more
//! depth, nodes or bytes than a document needs. Aliases are allowed up to a number of copied nodes.

use std::collections::HashMap;

use problem::{Finding, Place, Pointer};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::tree::{Entry, Kind, Mark, Node, Scalar, Style, plain};

/// Bytes of a document at most.
pub(crate) const MAX_BYTES: usize = 16 << 20;
/// Maps and lists inside each other at most.
const MAX_DEPTH: usize = 64;
/// Keys and values at most that aliases may copy.
const MAX_COPIED: usize = 100_000;

/// The tree of a text, as far as it is a document, and everything that is wrong with its form.
pub(crate) fn parse(text: &str, file: &str) -> (Option<Node>, Vec<Finding>) {
    let mut builder = Builder { file, ..Builder::default() };
    if text.len() > MAX_BYTES {
        builder.find(Mark { line: 1, column: 1 }, format!("is larger than the {MAX_BYTES} bytes that are read"));
        return (None, builder.findings);
    }
    if let Some((at, letter)) = control(text) {
        let code = u32::from(letter);
        builder
            .find(at, format!("the control character U+{code:04X} stands here; in double quotes write \\u{code:04x}"));
        return (None, builder.findings);
    }
    let mut parser = Parser::new_from_str(text);
    let mut broken = None;
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => broken = Some(error),
        }
        if broken.is_some() || builder.given_up {
            break;
        }
    }
    let tabs = tabs(text, &builder.covered);
    for mark in &tabs {
        builder.find(*mark, "a tab indents; write spaces");
    }
    if let Some(error) = broken {
        if tabs.is_empty() {
            builder.find(mark(*error.marker()), syntax(&error, text));
        }
        return (None, builder.findings);
    }
    (builder.root.filter(|_| !builder.given_up), builder.findings)
}

/// The first control character other than tabs and ends of lines (YAML 1.2.2, section 5.1): nobody sees it in an editor.
fn control(text: &str) -> Option<(Mark, char)> {
    let is_odd = |letter: char| letter.is_control() && letter != '\t';
    text.split('\n').enumerate().find_map(|(line, content)| {
        let content = content.strip_suffix('\r').unwrap_or(content);
        let (column, letter) = content.chars().enumerate().find(|(_, letter)| is_odd(*letter))?;
        Some((Mark { line: line + 1, column: column + 1 }, letter))
    })
}

/// Where a tab stands in the indentation of a line, outside of texts that go on over several lines.
fn tabs(text: &str, covered: &[(usize, usize)]) -> Vec<Mark> {
    let indents = text.lines().enumerate().filter_map(|(index, line)| {
        let column = line.chars().take_while(|first| first.is_whitespace()).position(|first| first == '\t')?;
        (!line.trim().is_empty()).then_some(Mark { line: index + 1, column: column + 1 })
    });
    indents.filter(|mark| !covered.iter().any(|(first, last)| (*first..=*last).contains(&mark.line))).collect()
}

/// What the parser says, in words that help.
fn syntax(error: &ScanError, text: &str) -> String {
    let said = error.info();
    let line = text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or_default();
    if said.contains("flow") && line.contains("${") {
        return "is not YAML: inside of brackets, put texts with `${…}` in quotes".to_owned();
    }
    let advice = SYNTAX.iter().find(|(part, _)| said.contains(part)).map(|(_, advice)| *advice);
    match advice {
        Some(advice) => format!("is not YAML: {advice}"),
        None => format!("is not YAML: {said}"),
    }
}

fn mark(marker: Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col() + 1 }
}

/// Puts events together to a tree.
#[derive(Default)]
struct Builder<'a> {
    file: &'a str,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, Node>,
    copied: usize,
    /// Lines, first and last, after the first line of a text that goes on.
    covered: Vec<(usize, usize)>,
    findings: Vec<Finding>,
    given_up: bool,
}

/// A map or a list that has not ended.
struct Open {
    mark: Mark,
    anchor: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    /// With the line of each key.
    Map {
        entries: Vec<Entry>,
        key: Key,
        lines: HashMap<String, usize>,
    },
}

/// What is known of the next entry of a map.
enum Key {
    /// The key comes next.
    Awaited,
    /// The value comes next.
    Known(String, Mark),
    /// The value comes next and is dropped, because the key was refused.
    Refused,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) {
        let at = mark(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.find(at, "a second document begins; a file holds one");
                    self.given_up = true;
                }
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                if span.end.line() > span.start.line() {
                    self.covered.push((span.start.line() + 1, span.end.line()));
                }
                let style = if style == ScalarStyle::Plain { Style::Plain } else { Style::Quoted };
                let scalar = Scalar { text: text.into_owned(), style, reference: None };
                self.value(Node { mark: at, kind: Kind::Scalar(scalar) }, anchor);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                self.begin(Open { mark: at, anchor, parts: Parts::List(Vec::new()) });
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                let parts = Parts::Map { entries: Vec::new(), key: Key::Awaited, lines: HashMap::new() };
                self.begin(Open { mark: at, anchor, parts });
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }

    fn begin(&mut self, open: Open) {
        if self.open.len() == MAX_DEPTH {
            self.find(open.mark, format!("stands deeper than the {MAX_DEPTH} levels that are read"));
            self.given_up = true;
            return;
        }
        self.open.push(open);
    }

    fn end(&mut self) {
        let Some(Open { mark, anchor, parts }) = self.open.pop() else { return };
        let kind = match parts {
            Parts::List(items) => Kind::List(items),
            Parts::Map { entries, .. } => Kind::Map(entries),
        };
        self.value(Node { mark, kind }, anchor);
    }

    fn alias(&mut self, anchor: usize, at: Mark) {
        let Some(mut node) = self.anchors.get(&anchor).cloned() else {
            self.find(at, "the alias stands inside of what it names");
            self.value(empty(at), 0);
            return;
        };
        self.copied += size(&node);
        if self.copied > MAX_COPIED {
            self.find(at, format!("aliases copy more than {MAX_COPIED} keys and values"));
            self.given_up = true;
            return;
        }
        node.mark = at;
        self.value(node, 0);
    }

    /// Takes a finished value: as a key, as a part of what is open, or as the root.
    fn value(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let expects_key = matches!(self.open.last(), Some(Open { parts: Parts::Map { key: Key::Awaited, .. }, .. }));
        if expects_key {
            let known = self.key(&node);
            if let Some(Open { parts: Parts::Map { key, .. }, .. }) = self.open.last_mut() {
                *key = known;
            }
            return;
        }
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => self.root = Some(node),
            Some(Parts::List(items)) => items.push(node),
            Some(Parts::Map { entries, key, .. }) => {
                if let Key::Known(key, mark) = std::mem::replace(key, Key::Awaited) {
                    entries.push(Entry { key, mark, value: node });
                }
            }
        }
    }

    /// What a value is worth as a key of the map that is open.
    fn key(&mut self, node: &Node) -> Key {
        let Kind::Scalar(Scalar { text, style, .. }) = &node.kind else {
            self.find(
                node.mark,
                "a key is a text, not a map or a list; put a text that begins with a bracket in quotes",
            );
            return Key::Refused;
        };
        if *style == Style::Plain && text == "<<" {
            self.find(node.mark, "merge keys are not read; write the keys out");
            return Key::Refused;
        }
        if *style == Style::Plain && !plain(text).is_string() {
            let message = format!("a key is a text; write `\"{text}\"`");
            self.find_at(self.pointer().at(text), node.mark, message);
        }
        let first = match self.open.last_mut().map(|open| &mut open.parts) {
            Some(Parts::Map { lines, .. }) => lines.get(text).copied().or_else(|| {
                lines.insert(text.clone(), node.mark.line);
                None
            }),
            _ => None,
        };
        if let Some(first) = first {
            let path = self.pointer().at(text);
            self.find_at(path, node.mark, format!("`{text}` is written twice, first in line {first}"));
            return Key::Refused;
        }
        Key::Known(text.clone(), node.mark)
    }

    fn refuse_tag(&mut self, is_tagged: bool, at: Mark) {
        if is_tagged {
            self.find(at, "tags are not read; leave it out, and put a text that looks like a number in quotes");
        }
    }

    /// Where in the document the next value stands.
    fn pointer(&self) -> Pointer {
        self.open.iter().fold(Pointer::default(), |at, open| match &open.parts {
            Parts::List(items) => at.at(items.len()),
            Parts::Map { key: Key::Known(key, _), .. } => at.at(key),
            Parts::Map { .. } => at,
        })
    }

    fn find(&mut self, mark: Mark, message: impl Into<String>) {
        self.find_at(self.pointer(), mark, message);
    }

    fn find_at(&mut self, at: Pointer, mark: Mark, message: impl Into<String>) {
        let place = Place { file: self.file.to_owned(), line: mark.line, column: mark.column };
        self.findings.push(Finding { at, place: Some(place), message: message.into() });
    }
}

fn empty(mark: Mark) -> Node {
    Node { mark, kind: Kind::Scalar(Scalar { text: String::new(), style: Style::Plain, reference: None }) }
}

/// The number of keys and values of a node.
fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar(_) => 1,
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|entry| 1 + size(&entry.value)).sum::<usize>(),
    }
}

/// What the parser says, and what an operator can do about it.
const SYNTAX: &[(&str, &str)] = &[
    ("mapping values are not allowed", "a key begins a line of its own, and a text with `: ` in it stands in quotes"),
    ("did not find expected key", "this line is not indented like its neighbours"),
    ("did not find expected '-'", "this line is not indented like its neighbours, or lacks a `-`"),
    ("expected ',' or", "a comma is missing before this, or a bracket is not closed"),
    ("unexpected end of stream", "a quote is not closed"),
    ("unexpected character", "a text that begins with this character stands in quotes"),
    ("unknown anchor", "the alias names nothing that stands above it"),
    ("simple key expect", "a key has no `:`"),
    ("recursion limit", "brackets stand deeper inside each other than is read"),
    ("misplaced bracket", "a bracket is closed that was not opened"),
];
