//! What a formatter must know of a text beside its values: lines, brackets, quotes and comments.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A text with its parts and comments.
pub(super) struct Layout {
    pub(super) root: Piece,
    /// In the order in which they stand.
    pub(super) comments: Vec<Comment>,
    /// For each line, whether there is nothing in it.
    pub(super) blank: Vec<bool>,
}

/// A value and where it was written. Lines are counted from 1, columns and indexes from 0, in characters.
pub(super) struct Piece {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) index: usize,
    pub(super) end_line: usize,
    pub(super) end_index: usize,
    pub(super) shape: Shape,
}

pub(super) enum Shape {
    /// A scalar on one line, as it is to be written.
    Token(String),
    /// A scalar on lines of its own, below `|` or `>`; the lines without their indentation.
    Block {
        header: String,
        lines: Vec<String>,
    },
    List {
        bracketed: bool,
        items: Vec<Piece>,
    },
    Map {
        bracketed: bool,
        entries: Vec<(Piece, Piece)>,
    },
}

/// A comment, from its `#` on.
pub(super) struct Comment {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) index: usize,
    pub(super) text: String,
    /// Whether nothing stands before it.
    pub(super) alone: bool,
}

impl Layout {
    /// Reads a text that is known to be one document, or says in which line stands what cannot be laid out anew.
    pub(super) fn of(text: &str) -> Result<Self, (usize, &'static str)> {
        let text = text.replace("\r\n", "\n");
        let mut reader = Reader { letters: text.chars().collect(), lines: text.lines().collect(), ..Reader::default() };
        let mut parser = Parser::new_from_str(&text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| (error.marker().line(), "is not YAML"))?;
            reader.event(event, span)?;
        }
        let comments = reader.comments();
        let blank = reader.lines.iter().map(|line| line.trim_matches(is_white).is_empty()).collect();
        let root = reader.root.ok_or((1, "is empty"))?;
        Ok(Self { root, comments, blank })
    }
}

#[derive(Default)]
struct Reader<'a> {
    letters: Vec<char>,
    lines: Vec<&'a str>,
    open: Vec<(Piece, Option<Piece>)>,
    root: Option<Piece>,
    /// Characters, from and to, in which `#` begins no comment.
    quoted: Vec<(usize, usize)>,
    /// Lines, first and last, that are the content of a block scalar.
    blocks: Vec<(usize, usize)>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), (usize, &'static str)> {
        let (line, index) = (span.start.line(), span.start.index());
        match event {
            Event::Alias(_) => return Err((line, "aliases are not formatted; write the value out")),
            Event::Scalar(.., anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                return Err((line, "anchors are not formatted; leave it out"));
            }
            Event::Scalar(text, style, ..) => {
                let piece = self.scalar(&text, style, span)?;
                self.close(piece);
            }
            Event::SequenceStart(..) => {
                let bracketed = self.letters.get(index) == Some(&'[');
                self.open.push((piece(span, Shape::List { bracketed, items: Vec::new() }), None));
            }
            Event::MappingStart(..) => {
                let bracketed = self.letters.get(index) == Some(&'{');
                self.open.push((piece(span, Shape::Map { bracketed, entries: Vec::new() }), None));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((mut piece, _)) = self.open.pop() {
                    (piece.end_line, piece.end_index) = (line, index);
                    self.close(piece);
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// Puts a finished piece into what is open.
    fn close(&mut self, piece: Piece) {
        match self.open.last_mut() {
            None => self.root = Some(piece),
            Some((Piece { shape: Shape::Map { entries, .. }, .. }, key)) => match key.take() {
                None => *key = Some(piece),
                Some(key) => entries.push((key, piece)),
            },
            Some((Piece { shape: Shape::List { items, .. }, .. }, _)) => items.push(piece),
            Some(_) => {}
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Result<Piece, (usize, &'static str)> {
        let index = span.start.index();
        match style {
            ScalarStyle::Plain => {
                let token = if text.contains('\n') { quoted(text) } else { text.to_owned() };
                Ok(piece(span, Shape::Token(token)))
            }
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let end = self.closing_quote(index);
                self.quoted.push((index, end));
                let breaks = self.letters.get(index..end).unwrap_or_default().iter().filter(|letter| **letter == '\n');
                let mut piece = piece(span, Shape::Token(quoted(text)));
                (piece.end_line, piece.end_index) = (piece.line + breaks.count(), end);
                Ok(piece)
            }
            ScalarStyle::Literal | ScalarStyle::Folded => self.block(span),
        }
    }

    /// The index of the quote that ends what begins with a quote at `index`.
    fn closing_quote(&self, index: usize) -> usize {
        let quote = self.letters.get(index).copied().unwrap_or('"');
        let mut at = index + 1;
        while let Some(letter) = self.letters.get(at) {
            let is_doubled = quote == '\'' && self.letters.get(at + 1) == Some(&'\'');
            match letter {
                '\\' if quote == '"' => at += 1,
                letter if *letter == quote && is_doubled => at += 1,
                letter if *letter == quote => return at,
                _ => {}
            }
            at += 1;
        }
        at
    }

    /// A scalar below `|` or `>`. The parser says where its content begins; the header is the last line before that.
    fn block(&mut self, span: Span) -> Result<Piece, (usize, &'static str)> {
        let empty = (span.start.line(), "a block without text is not formatted; write `\"\"`");
        let first = self.lines.get(span.start.line() - 1).copied().unwrap_or_default();
        if first.trim_matches(is_white).is_empty() {
            return Err(empty);
        }
        let above = self.lines.get(..span.start.line() - 1).unwrap_or_default();
        let header_at = above.iter().rposition(|line| !line.trim_matches(is_white).is_empty()).ok_or(empty)?;
        let header = above.get(header_at).and_then(|line| header(line)).ok_or(empty)?;
        let indent = first.len() - first.trim_start_matches(' ').len();
        let below = self.lines.get(header_at + 1..).unwrap_or_default();
        let is_content = |line: &&&str| {
            line.trim_matches(' ').is_empty() || line.len() - line.trim_start_matches(' ').len() >= indent
        };
        let mut lines: Vec<_> =
            below.iter().take_while(is_content).map(|line| line.get(indent..).unwrap_or_default().to_owned()).collect();
        self.blocks.push((header_at + 2, header_at + 1 + lines.len()));
        if !header.contains('+') {
            while lines.last().is_some_and(String::is_empty) {
                lines.pop();
            }
        }
        let mut piece = piece(span, Shape::Block { header, lines });
        (piece.line, piece.end_line) = (header_at + 1, header_at + 1);
        Ok(piece)
    }

    fn is_quoted(&self, index: usize) -> bool {
        let behind = self.quoted.partition_point(|(first, _)| *first <= index);
        let before = behind.checked_sub(1).and_then(|number| self.quoted.get(number));
        before.is_some_and(|(_, last)| index <= *last)
    }

    /// Everything from a `#` on that begins a line or follows a space, outside of quotes and blocks.
    fn comments(&self) -> Vec<Comment> {
        let mut comments = Vec::new();
        let mut from = 0;
        for (number, line) in self.letters.split(|letter| *letter == '\n').enumerate() {
            let in_block = self.blocks.iter().any(|(first, last)| (*first..=*last).contains(&(number + 1)));
            let begins = |column: &usize| {
                let is_free = || *column == 0 || line.get(column - 1).is_some_and(|before| is_white(*before));
                line.get(*column) == Some(&'#') && is_free() && !self.is_quoted(from + column)
            };
            if let Some(column) = (0..line.len()).find(begins).filter(|_| !in_block) {
                let (before, after) = line.split_at(column);
                let alone = before.iter().all(|letter| is_white(*letter));
                let text = spaced(&after.iter().collect::<String>());
                comments.push(Comment { line: number + 1, column, index: from + column, text, alone });
            }
            from += line.len() + 1;
        }
        comments
    }
}

/// What YAML takes for space at the end of a line and between words: nothing beyond ASCII (YAML 1.2.2, section 5.5).
fn is_white(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r')
}

fn piece(span: Span, shape: Shape) -> Piece {
    let (start, end) = (span.start, span.end);
    Piece {
        line: start.line(),
        column: start.col(),
        index: start.index(),
        end_line: end.line(),
        end_index: end.index(),
        shape,
    }
}

/// `|` or `>` with what follows it, at the end of a line or before a comment.
fn header(line: &str) -> Option<String> {
    let starts = line.match_indices(['|', '>']).map(|(index, _)| index);
    let headers = starts.filter_map(|index| line.get(index..)).filter_map(|rest| {
        let end = rest.find(' ').unwrap_or(rest.len());
        let (header, after) = rest.split_at_checked(end)?;
        let modifiers = header.get(1..)?.bytes().all(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9'));
        let after = after.trim_matches(is_white);
        (modifiers && (after.is_empty() || after.starts_with('#'))).then(|| header.to_owned())
    });
    headers.into_iter().next()
}

/// A text in quotes: double ones, unless single ones save escapes.
fn quoted(text: &str) -> String {
    let needs_escapes = text.chars().any(char::is_control);
    let has_specials = text.contains(['"', '\\']);
    if has_specials && !needs_escapes {
        return format!("'{}'", text.replace('\'', "''"));
    }
    serde_json::Value::from(text).to_string()
}

/// A comment with a space after its `#`, and none at its end.
fn spaced(comment: &str) -> String {
    let comment = comment.trim_end_matches(is_white);
    match comment.strip_prefix('#') {
        Some(text) if text.starts_with(|first: char| first.is_alphanumeric()) => format!("# {text}"),
        _ => comment.to_owned(),
    }
}
