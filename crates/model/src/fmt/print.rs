//! A layout written out again.

use std::collections::VecDeque;

use super::layout::{Comment, Layout, Piece, Shape};

/// The text of a layout.
pub(super) fn print(layout: Layout) -> String {
    let mut printer =
        Printer { out: String::new(), comments: layout.comments.into(), blank: layout.blank, begins: true };
    printer.before(&layout.root, 0);
    match &layout.root.shape {
        Shape::Map { entries, .. } if !entries.is_empty() => printer.block(&layout.root, &Nest::root(), Start::Line),
        Shape::List { items, .. } if !items.is_empty() => printer.block(&layout.root, &Nest::root(), Start::Line),
        _ => {
            let text = one_line(&layout.root).unwrap_or_default();
            printer.out.push_str(&text);
            printer.end_line(layout.root.end_line);
        }
    }
    while let Some(comment) = printer.comments.pop_front() {
        printer.own_line(&comment, 0);
    }
    printer.out
}

struct Printer {
    out: String,
    comments: VecDeque<Comment>,
    blank: Vec<bool>,
    /// Whether a map, a list or the document has just begun, so that no empty line is due.
    begins: bool,
}

/// Where a map or list stands.
struct Nest {
    /// How far it is indented.
    indent: usize,
    /// The column of what it belongs to, in the text as it was; none for the document.
    parent: Option<usize>,
    /// The line at which something else begins, in the text as it was.
    until: usize,
}

impl Nest {
    fn root() -> Self {
        Self { indent: 0, parent: None, until: usize::MAX }
    }
}

/// Whether the first entry begins a line, or stands behind a dash.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    Line,
    Dash,
}

impl Printer {
    /// A map or a list with an entry a line.
    fn block(&mut self, piece: &Piece, nest: &Nest, start: Start) {
        let mut start = start;
        match &piece.shape {
            Shape::Map { entries, .. } => {
                for (number, (key, value)) in entries.iter().enumerate() {
                    self.begin(key, nest, &mut start);
                    let name = one_line(key).unwrap_or_default();
                    self.out.push_str(&name);
                    self.out.push(':');
                    let until = entries.get(number + 1).map_or(nest.until, |(next, _)| next.line);
                    self.value(value, key.line, &Nest { indent: nest.indent, parent: Some(key.column), until });
                }
            }
            Shape::List { items, .. } => {
                for (number, item) in items.iter().enumerate() {
                    self.begin(item, nest, &mut start);
                    self.out.push('-');
                    let until = items.get(number + 1).map_or(nest.until, |next| next.line);
                    self.item(item, &Nest { indent: nest.indent, parent: Some(piece.column), until });
                }
            }
            Shape::Token(_) | Shape::Block { .. } => {}
        }
        self.leftover(piece, nest);
    }

    fn begin(&mut self, first: &Piece, nest: &Nest, start: &mut Start) {
        if std::mem::replace(start, Start::Line) == Start::Line {
            self.before(first, nest.indent);
            self.indent(nest.indent);
        }
    }

    /// What stands behind the colon of a key.
    fn value(&mut self, value: &Piece, key_line: usize, nest: &Nest) {
        if self.inline(value, nest.indent) {
            return;
        }
        // What stands behind the first entry belongs to that, not to the key.
        self.end_line_before(key_line, first_index(value));
        self.begins = true;
        let inner = Nest { indent: nest.indent + STEP, ..*nest };
        self.block(value, &inner, Start::Line);
    }

    /// What stands behind a dash.
    fn item(&mut self, item: &Piece, nest: &Nest) {
        if self.inline(item, nest.indent) {
            return;
        }
        self.out.push(' ');
        let inner = Nest { indent: nest.indent + STEP, ..*nest };
        self.block(item, &inner, Start::Dash);
    }

    /// Writes a value on this line, if it can stand there.
    fn inline(&mut self, value: &Piece, indent: usize) -> bool {
        if let Shape::Block { header, lines } = &value.shape {
            self.out.push(' ');
            self.out.push_str(header);
            self.end_line(value.line);
            for line in lines {
                if !line.is_empty() {
                    self.indent(indent + STEP);
                    self.out.push_str(line);
                }
                self.out.push('\n');
            }
            return true;
        }
        let has_comments = self.comments.iter().any(|comment| (value.index..value.end_index).contains(&comment.index));
        let Some(text) = one_line(value).filter(|_| stays_bracketed(value) && !has_comments) else { return false };
        let used = self.out.rsplit('\n').next().unwrap_or_default().chars().count();
        let is_token = matches!(value.shape, Shape::Token(_)) || is_empty(value);
        if !is_token && used + 1 + text.chars().count() > WIDTH {
            return false;
        }
        if !text.is_empty() {
            self.out.push(' ');
            self.out.push_str(&text);
        }
        self.end_line(value.end_line);
        true
    }

    /// Comments and the empty line that stand before something.
    fn before(&mut self, piece: &Piece, indent: usize) {
        while let Some(comment) = self.comments.pop_front_if(|comment| comment.line < piece.line) {
            self.own_line(&comment, indent);
        }
        self.empty_line(piece.line);
    }

    /// Comments at the end of a map or list that are indented like its entries, or stand before its closing bracket.
    fn leftover(&mut self, piece: &Piece, nest: &Nest) {
        let is_bracketed =
            matches!(piece.shape, Shape::Map { bracketed: true, .. } | Shape::List { bracketed: true, .. });
        let belongs = |comment: &mut Comment| {
            let is_deep = comment.column >= piece.column && nest.parent.is_none_or(|parent| comment.column > parent);
            if is_bracketed { comment.index < piece.end_index } else { is_deep && comment.line < nest.until }
        };
        while let Some(comment) = self.comments.pop_front_if(belongs) {
            self.own_line(&comment, nest.indent);
        }
    }

    fn own_line(&mut self, comment: &Comment, indent: usize) {
        if comment.alone {
            self.empty_line(comment.line);
        }
        self.begins = false;
        self.indent(indent);
        self.out.push_str(&comment.text);
        self.out.push('\n');
    }

    /// Ends a line, with the comment that stood at the end of it.
    fn end_line(&mut self, line: usize) {
        self.end_line_before(line, usize::MAX);
    }

    /// Ends a line, with the comment that stood on it before a character.
    fn end_line_before(&mut self, line: usize, index: usize) {
        let belongs = |comment: &mut Comment| comment.line == line && comment.index < index && !comment.alone;
        if let Some(comment) = self.comments.pop_front_if(belongs) {
            self.out.push(' ');
            self.out.push_str(&comment.text);
        }
        self.out.push('\n');
    }

    /// An empty line, if there was one before this line and more than the beginning stands above.
    fn empty_line(&mut self, line: usize) {
        let was_empty = line >= 2 && self.blank.get(line - 2) == Some(&true);
        if was_empty && !self.begins && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
        self.begins = false;
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// Where the first part of a map or list begins.
fn first_index(piece: &Piece) -> usize {
    let first = match &piece.shape {
        Shape::List { items, .. } => items.first(),
        Shape::Map { entries, .. } => entries.first().map(|(key, _)| key),
        Shape::Token(_) | Shape::Block { .. } => None,
    };
    first.map_or(piece.index, |first| first.index)
}

/// Whether something may stand in brackets: if it did, or if there is nothing in it.
fn stays_bracketed(piece: &Piece) -> bool {
    match &piece.shape {
        Shape::Token(_) => true,
        Shape::Block { .. } => false,
        Shape::List { bracketed, .. } | Shape::Map { bracketed, .. } => *bracketed || is_empty(piece),
    }
}

fn is_empty(piece: &Piece) -> bool {
    match &piece.shape {
        Shape::List { items, .. } => items.is_empty(),
        Shape::Map { entries, .. } => entries.is_empty(),
        Shape::Token(_) | Shape::Block { .. } => false,
    }
}

/// A value on one line, if it has no lines of its own.
fn one_line(piece: &Piece) -> Option<String> {
    match &piece.shape {
        Shape::Token(token) => Some(token.clone()),
        Shape::Block { .. } => None,
        Shape::List { items, .. } => {
            let items: Option<Vec<_>> = items.iter().map(|item| one_line(item).map(explicit)).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        Shape::Map { entries, .. } => {
            let entries: Option<Vec<_>> = entries
                .iter()
                .map(|(key, value)| Some(format!("{}: {}", explicit(one_line(key)?), explicit(one_line(value)?))))
                .collect();
            Some(format!("{{{}}}", entries?.join(", ")))
        }
    }
}

/// In brackets, nothing is written as `null`.
fn explicit(token: String) -> String {
    if token.is_empty() { "null".to_owned() } else { token }
}

/// Spaces of one more level.
const STEP: usize = 2;
/// Characters of a line at most that has brackets in it.
const WIDTH: usize = 120;
