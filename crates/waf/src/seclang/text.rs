//! Bytes of a rule file that still know where they stood.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use problem::{Finding, Place, Pointer};

/// A place in a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in bytes.
    pub column: u32,
}

impl Spot {
    /// A finding at this place.
    pub fn finding(&self, message: impl Into<String>) -> Finding {
        let place =
            Place { file: self.file.as_ref().to_owned(), line: self.line as usize, column: self.column as usize };
        Finding { place: Some(place), ..Finding::new(&Pointer::default(), message) }
    }
}

/// A piece of a rule file. Quotes and continuation lines are gone, but each byte knows its line and column.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    file: Arc<str>,
    bytes: Vec<u8>,
    places: Vec<(u32, u32)>,
    /// Where the piece ends, or begins if it is empty.
    end: (u32, u32),
}

impl Text {
    pub(crate) fn new(file: &Arc<str>, line: u32, column: u32) -> Self {
        Self { file: Arc::clone(file), bytes: Vec::new(), places: Vec::new(), end: (line, column) }
    }

    /// A text that stands in no file.
    pub(crate) fn of(file: &Path, content: &str) -> Self {
        let mut text = Self::new(&file.to_string_lossy().into(), 1, 1);
        for (column, byte) in (1..).zip(content.bytes()) {
            text.push(byte, (1, column));
        }
        text
    }

    pub(crate) fn push(&mut self, byte: u8, place: (u32, u32)) {
        self.bytes.push(byte);
        self.places.push(place);
        self.end = (place.0, place.1.saturating_add(1));
    }

    pub(crate) fn pop(&mut self) {
        self.bytes.pop();
        if let Some(place) = self.places.pop() {
            self.end = place;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn byte(&self, index: usize) -> Option<u8> {
        self.bytes.get(index).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The text for people and for comparing, where what is not UTF-8 cannot be right anyway.
    pub(crate) fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn place(&self, index: usize) -> (u32, u32) {
        self.places.get(index).copied().unwrap_or(self.end)
    }

    /// Where the byte at `index` stood.
    pub(crate) fn spot(&self, index: usize) -> Spot {
        let (line, column) = self.place(index);
        Spot { file: Arc::clone(&self.file), line, column }
    }

    pub(crate) fn finding(&self, index: usize, message: impl Into<String>) -> Finding {
        self.spot(index).finding(message)
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        Self {
            file: Arc::clone(&self.file),
            bytes: self.bytes.get(range.clone()).unwrap_or_default().to_vec(),
            places: self.places.get(range.clone()).unwrap_or_default().to_vec(),
            end: self.place(range.end),
        }
    }

    pub(crate) fn from(&self, start: usize) -> Self {
        self.slice(start.min(self.len())..self.len())
    }

    pub(crate) fn trimmed(&self) -> Self {
        let start = self.bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(self.len());
        let end = self.bytes.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(start, |last| last + 1);
        self.slice(start..end)
    }

    pub(crate) fn split_once(&self, separator: u8) -> Option<(Self, Self)> {
        let at = memchr::memchr(separator, &self.bytes)?;
        Some((self.slice(0..at), self.from(at + 1)))
    }

    pub(crate) fn is(&self, word: &str) -> bool {
        self.bytes.eq_ignore_ascii_case(word.as_bytes())
    }
}

/// The lines of a file, where a backslash before the end of a line takes the next one in, and without comments.
pub(crate) fn lines(file: &Path, content: &[u8]) -> Vec<Text> {
    let name: Arc<str> = file.to_string_lossy().into();
    let mut lines = Vec::new();
    let mut open: Option<Text> = None;
    for (index, physical) in content.split(|byte| *byte == b'\n').enumerate() {
        let physical = physical.strip_suffix(b"\r").unwrap_or(physical);
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let mut line = open.take().unwrap_or_else(|| Text::new(&name, number, 1));
        for (column, byte) in physical.iter().enumerate() {
            line.push(*byte, (number, u32::try_from(column + 1).unwrap_or(u32::MAX)));
        }
        if physical.ends_with(b"\\") {
            line.pop();
            open = Some(line);
        } else {
            lines.push(line);
        }
    }
    lines.extend(open);
    lines.into_iter().map(|line| line.trimmed()).filter(|line| line.len() > 0 && line.byte(0) != Some(b'#')).collect()
}

/// The words of a line as Apache reads them: blanks part them, quotes hold them together, and a backslash stands
/// for itself unless a backslash or the quote follows.
pub(crate) fn words(line: &Text) -> Result<Vec<Text>, Finding> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.byte(at).is_some_and(|byte| byte.is_ascii_whitespace()) {
            at += 1;
        }
        let Some(first) = line.byte(at) else { return Ok(words) };
        let quote = Some(first).filter(|byte| matches!(byte, b'"' | b'\''));
        let start = at;
        at += usize::from(quote.is_some());
        let (word, end) = word(line, at, quote);
        let closed = quote.is_none_or(|quote| line.byte(end) == Some(quote));
        if !closed {
            return Err(line.finding(start, "this quote is never closed: write the same quote at the end of the text"));
        }
        words.push(word);
        at = end + usize::from(quote.is_some());
    }
}

fn word(line: &Text, start: usize, quote: Option<u8>) -> (Text, usize) {
    let (number, column) = line.place(start);
    let mut word = Text::new(&line.file, number, column);
    let mut at = start;
    while let Some(byte) = line.byte(at) {
        let ends = quote.map_or(byte.is_ascii_whitespace(), |quote| byte == quote);
        if ends {
            break;
        }
        let next = line.byte(at + 1);
        let escaped = byte == b'\\' && (next == Some(b'\\') || (quote.is_some() && next == quote));
        at += usize::from(escaped);
        if let Some(taken) = line.byte(at) {
            word.push(taken, line.place(at));
        }
        at += 1;
    }
    (word, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Vec<Text> {
        lines(Path::new("a.conf"), content.as_bytes())
    }

    #[test]
    fn a_continued_line_keeps_the_places_of_its_bytes() {
        let read = read("# no\n SecRule ARGS \\\n  \"@rx a\"\n");
        assert_eq!(read.len(), 1);
        let words = words(&read[0]).unwrap();
        let spots: Vec<_> = words.iter().map(|word| (word.lossy(), word.spot(0).line, word.spot(0).column)).collect();
        assert_eq!(spots, [("SecRule".into(), 2, 2), ("ARGS".into(), 2, 10), ("@rx a".into(), 3, 4)]);
    }

    #[test]
    fn a_backslash_stands_for_itself_unless_a_quote_or_another_one_follows() {
        let words = words(&read(r#"A "a\"b\\c\d" 'x\"y'"#)[0]).unwrap();
        let words: Vec<_> = words.iter().map(Text::lossy).collect();
        assert_eq!(words, ["A", r#"a"b\c\d"#, r#"x\"y"#]);
    }

    #[test]
    fn an_open_quote_is_found_where_it_begins() {
        let finding = words(&read("SecMarker \"x").remove(0)).unwrap_err();
        assert!(finding.to_string().starts_with("a.conf:1:11: this quote is never closed"), "{finding}");
    }

    #[test]
    fn a_comment_goes_on_where_its_line_does() {
        assert!(read("# a \\\nSecRuleEngine On").is_empty());
    }
}
